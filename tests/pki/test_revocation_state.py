"""What is remembered about revocation, in its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pki_people import key

from vx32py.pki import revocation
from vx32py.pki.encoding import encode
from vx32py.pki.errors import BadState
from vx32py.pki.logic import Claim, RevocationList, Role, Says, Withdrawal
from vx32py.pki.revocation import MAGIC, State
from vx32py.pki.wire import to_data

ALICE, BOB = key("alice"), Role(key("bob"), "revoker")
SOMETHING = [
    Says(ALICE, Withdrawal(b"1" * 32)), Says(BOB, Withdrawal(b"1" * 32)), Says(ALICE, RevocationList(3, (b"2" * 32,))),
    Says(BOB, RevocationList(0)), Says(BOB, Claim("door")),
]  # fmt: skip


def learned() -> State:
    state = State()
    assert state.learn(SOMETHING) == []
    return state


def test_what_is_said_about_revocation_is_learned() -> None:
    state = learned()
    assert state.withdrawn == {(ALICE, b"1" * 32), (BOB, b"1" * 32)}
    assert state.numbers == {ALICE: 3, BOB: 0}


@given(st.permutations([(number, content) for number in range(3) for content in (b"a", b"b")]))
def test_numbers_only_rise_and_two_lists_with_one_number_count_neither(order: list[tuple[int, bytes]]) -> None:
    state, least = State(), 0
    seen: dict[int, bytes] = {}
    for number, content in order:
        state.learn([Says(ALICE, RevocationList(number, (content * 32,)))])
        disputed = seen.setdefault(number, content) != content
        least = max(least, number + (disputed and number == max(seen)))
        assert state.numbers[ALICE] >= number
        assert state.numbers[ALICE] == least
    assert state.numbers == {ALICE: 3}


def test_the_same_list_again_is_no_dispute() -> None:
    state = learned()
    assert state.learn(SOMETHING) == []
    assert state.numbers == {ALICE: 3, BOB: 0}


def test_a_state_that_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert State.load(path).numbers == {}
    state = learned()
    state.learn([Says(BOB, RevocationList(0, (b"2" * 32,)))])
    state.path = path
    state.save()
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = State.load(path)
    assert (loaded.withdrawn, loaded.numbers) == (state.withdrawn, {ALICE: 3, BOB: 1})
    before = path.read_bytes()
    loaded.save()
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"state", "state.count"}


def test_a_state_without_a_file_is_not_saved() -> None:
    with pytest.raises(ValueError, match="no file"):
        State().save()


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = learned()
    state.path = tmp_path / "state"
    state.save()
    before = state.path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    state.learn([Says(ALICE, RevocationList(9))])
    with pytest.raises(OSError, match="full"):
        state.save()
    assert state.path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"state", "state.count"}
    State.load(state.path)


ROW = [to_data(ALICE), 1, bytes(32)]
STATES = {
    "nothing": b"",
    "another file": b"vx32py credentials 1\n\xa0",
    "no data": MAGIC,
    "no map": MAGIC + encode([]),
    "half a map": MAGIC + encode({"lists": []}),
    "a key too many": MAGIC + encode({"lists": [], "withdrawn": [], "more": []}),
    "no lists": MAGIC + encode({"lists": {}, "withdrawn": []}),
    "a row that is none": MAGIC + encode({"lists": [1], "withdrawn": []}),
    "a row that is short": MAGIC + encode({"lists": [ROW[:2]], "withdrawn": []}),
    "a number below zero": MAGIC + encode({"lists": [[ROW[0], -1, b""]], "withdrawn": []}),
    "a number that is true": MAGIC + encode({"lists": [[ROW[0], True, b""]], "withdrawn": []}),
    "a principal that is none": MAGIC + encode({"lists": [[["claim"], 1, b""]], "withdrawn": []}),
    "a short identity": MAGIC + encode({"lists": [], "withdrawn": [[ROW[0], bytes(31)]]}),
    "changes of another kind": MAGIC + encode({"lists": [], "withdrawn": [], "changes": b"1"}),
    "changes below zero": MAGIC + encode({"lists": [], "withdrawn": [], "changes": -1}),
    "bytes behind": MAGIC + encode({"lists": [], "withdrawn": []}) + b"\0",
}


@pytest.mark.parametrize("data", STATES.values(), ids=STATES)
def test_a_state_that_is_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(data)
    with pytest.raises(BadState) as refusal:
        State.load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_there_is_an_end_to_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MAX_WITHDRAWN", 3)
    state = learned()
    with pytest.raises(BadState, match="more than 3 withdrawals"):
        state.learn([Says(ALICE, Withdrawal(bytes([n]) * 32)) for n in range(3)])
