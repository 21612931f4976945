"""An older state file that was put back made a verifier forget what had been revoked, and nobody noticed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pki_people import key

from vx32py.pki.encoding import encode
from vx32py.pki.errors import BadState
from vx32py.pki.logic import RevocationList, Says, Withdrawal
from vx32py.pki.revocation import MAGIC, State

ALICE = key("alice")


def learn(path: Path, *statements: Withdrawal | RevocationList) -> None:
    state = State.load(path)
    state.learn(Says(ALICE, statement) for statement in statements)
    state.save()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state that has changed twice."""
    path = tmp_path / "seen"
    learn(path, RevocationList(1))
    learn(path, RevocationList(2))
    return path


def test_an_older_file_is_refused(path: Path) -> None:
    older = path.read_bytes()
    learn(path, Withdrawal(b"1" * 32))
    newer = path.read_bytes()
    path.write_bytes(older)
    for use in (State.load, lambda where: State(where).save()):
        with pytest.raises(
            BadState, match=r"seen: older than what was saved last: 2 changes, and there were 3"
        ) as refusal:
            use(path)
        assert "\n" not in str(refusal.value)
    path.write_bytes(newer)
    assert State.load(path).withdrawn


def test_a_file_that_is_gone_is_missed(path: Path) -> None:
    path.unlink()
    with pytest.raises(BadState, match=r"seen: missing, after 2 changes \(remove .*seen.count to begin anew\)"):
        State.load(path)


def test_a_counter_that_is_gone_is_missed(path: Path) -> None:
    counter = path.with_name("seen.count")
    counter.unlink()
    with pytest.raises(BadState, match=r"write 2 there"):
        State.load(path)
    counter.write_text("2")
    assert State.load(path).numbers == {ALICE: 2}


@pytest.mark.parametrize("text", ["-1", "x", "1 2", "9" * 17, "\n", "1" * 60])
def test_a_counter_that_is_none(path: Path, text: str) -> None:
    path.with_name("seen.count").write_text(text)
    with pytest.raises(BadState, match=r"seen.count: not a number"):
        State.load(path)


def test_what_is_not_new_is_not_written(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    learn(path, RevocationList(1), RevocationList(2))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_file_that_was_written_before_changes_were_counted(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    path.write_bytes(MAGIC + encode({"lists": [], "withdrawn": []}))
    assert State.load(path).changes == 0
    learn(path, RevocationList(1))
    assert State.load(path).changes == 1


def test_a_crash_between_the_two_files_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vx32py.pki import counter

    def crash(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(counter.Counter, "set", crash)
    with pytest.raises(OSError, match="power cut"):
        learn(path, RevocationList(3))
    monkeypatch.undo()
    assert State.load(path).numbers == {ALICE: 3}
    learn(path, RevocationList(4))
    assert (State.load(path).changes, path.with_name("seen.count").read_text()) == (4, "0" * 15 + "4\n")


def test_what_several_verifiers_learn_at_the_same_time_is_all_kept(path: Path) -> None:
    """The last one to save had the last word, and the others had learned nothing."""
    together = threading.Barrier(8)

    def one(number: int) -> None:
        state = State.load(path)
        together.wait()
        state.learn([Says(ALICE, Withdrawal(bytes([number]) * 32)), Says(ALICE, RevocationList(10 + number))])
        state.save()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = State.load(path)
    assert {name[0] for _, name in state.withdrawn} == set(range(8))
    assert state.numbers == {ALICE: 17}
    assert state.changes == 10


def test_two_lists_of_one_number_that_two_verifiers_saw_count_neither(path: Path) -> None:
    first, second = State.load(path), State.load(path)
    first.learn([Says(ALICE, RevocationList(5, (b"1" * 32,)))])
    second.learn([Says(ALICE, RevocationList(5, (b"2" * 32,)))])
    first.save()
    second.save()
    assert State.load(path).numbers == {ALICE: 6}
