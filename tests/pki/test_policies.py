"""Policies and the notation of principals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_people import GOAL, NOW, bundle, key, signed

from vx32py.pki import policy as module
from vx32py.pki.errors import BadPolicy, BadTerm
from vx32py.pki.keys import fingerprint
from vx32py.pki.logic import VERIFIER, Claim, Delegation, Quorum, Role, Vouch
from vx32py.pki.notation import parse_principal, shorten
from vx32py.pki.policy import NATIVE_SCHEMES, Policy
from vx32py.pki.verifying import verify

ALICE, BOB = key("alice"), key("bob")
NAMES = {"alice": ALICE, "bob": BOB}


def test_the_policy_in_the_documentation_is_one() -> None:
    assert module.__doc__
    policy = Policy.parse(
        module.__doc__.partition("TOML:\n")[2].partition("\nA key that nobody")[0].replace("\n    ", "\n")
    )
    registrar = policy.names["registrar"]
    assert policy.skew == 60
    assert Delegation(registrar, VERIFIER, "domains/example.org", 2) in policy.states
    assert Claim("domains/localhost", registrar, "ours") in policy.states
    assert {each for each in policy.states if isinstance(each, Vouch)} == {
        Vouch("sha-256", "hash"), Vouch("ed25519", "signature"),
        Vouch("elf:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "signature"),
    }  # fmt: skip
    assert len(policy.states) == 6
    assert (policy.lists, policy.steps, policy.plugin_calls) == ("named", 20000, 256)


def test_an_empty_policy_trusts_nobody_and_takes_the_native_schemes() -> None:
    assert Policy.parse("") == Policy()
    assert Policy().states == frozenset(NATIVE_SCHEMES)


def test_a_policy_file_is_used_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'[names]\nalice = "{ALICE}"\n[[trust]]\nprincipal = "alice"\ntopic = "door"\n')
    verify(GOAL, bundle(signed("alice", GOAL)), Policy.load(path), now=NOW)
    assert Policy.load(path) == Policy.trusting((ALICE, "door", 0), names={"alice": ALICE})


def test_what_the_policy_states_needs_no_credential() -> None:
    policy = Policy.parse('[[state]]\ntopic = "door/front"\ntext = "open"\n')
    assert verify(GOAL, bundle(), policy, now=NOW).rule == "policy"


def test_names_build_on_names() -> None:
    text = (
        f'[names]\nalice = "{ALICE}"\nstaff = "alice/staff"\n[[trust]]\nprincipal = "2of(alice,staff)"\ntopic = "*"\n'
    )
    assert Delegation(Quorum.of(2, ALICE, Role(ALICE, "staff")), VERIFIER, "*") in Policy.parse(text).states


TRUST = f'[[trust]]\nprincipal = "{ALICE}"\n'
POLICIES = {
    "no TOML": ("[", "not TOML"),
    "a list too deep": ("a = " + "[" * 100_000, "not TOML"),
    "an unknown key": ("trusted = 1", "unknown key 'trusted'"),
    "an unknown table": ("[trust-me]", "unknown key 'trust-me'"),
    "trust that is a table": ("[trust]", "trust: {} where a list should be"),
    "trust that is a text": ('trust = ["alice"]', "trust 1: not a table"),
    "trust in nobody": ('[[trust]]\ntopic = "a"', "trust 1: principal is missing"),
    "trust on nothing": (TRUST, "trust 1: topic is missing"),
    "trust on no topic": (TRUST + 'topic = ""', "trust 1: '' is no topic"),
    "trust with a word too many": (TRUST + 'topic = "a"\nunless = "b"', "trust 1: unknown key 'unless'"),
    "trust too deep": (TRUST + 'topic = "a"\ndepth = 33', "trust 1: the depth of a delegation is from 0 to 32"),
    "a depth that is a text": (TRUST + 'topic = "a"\ndepth = "1"', "trust 1: depth: '1' where a number should be"),
    "a depth that is true": (TRUST + 'topic = "a"\ndepth = true', "trust 1: depth: True where a number should be"),
    "a second trust that is wrong": (TRUST + 'topic = "a"\n' + TRUST, "trust 2: topic is missing"),
    "trust in the verifier": ('[[trust]]\nprincipal = "verifier"\ntopic = "a"', "trust 1: the verifier speaks for nobody else"),
    "an unknown name": ('[[trust]]\nprincipal = "carol"\ntopic = "a"', "trust 1: principal: no principal: 'carol'"),
    "a name that is a number": ("[names]\nalice = 1", "names.alice: 1 is no text"),
    "a name that is none": ('[names]\n"a/b" = "verifier"', "names: 'a/b' is no name"),
    "a name that is taken": (f'[names]\nverifier = "{ALICE}"', "names: 'verifier' is no name"),
    "a statement on schemes": ('[[state]]\ntopic = "pki/scheme"', "state 1: topics below pki"),
    "a statement about nobody known": ('[[state]]\ntopic = "a"\nabout = "x"', "state 1: about: no principal"),
    "a scheme without a name": ('[schemes]\nhash = [""]', "schemes: '' is no name of a scheme"),
    "a scheme that is a number": ("[schemes]\nhash = [1]", "schemes: 1 is no name of a scheme"),
    "schemes of an unknown kind": ('[schemes]\ncipher = ["aes"]', "schemes: unknown key 'cipher'"),
    "schemes that are a text": ('[schemes]\nhash = "sha-256"', "schemes: hash: 'sha-256' where a list should be"),
    "lists sometimes": ('[revocation]\nlists = "sometimes"', '"named" or "always"'),
    "an unknown key of revocation": ("[revocation]\nrequire = 1", "revocation: unknown key 'require'"),
    "a skew below zero": ("clock-skew = -1", "clock-skew: from 0 to"),
    "a skew of years": ("clock-skew = 100000000", "clock-skew: from 0 to"),
    "no steps": ("[limits]\nsteps = 0", "limits: from 1"),
    "an unknown limit": ("[limits]\nfuel = 0", "limits: unknown key 'fuel'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), POLICIES.values(), ids=POLICIES)
def test_a_policy_that_makes_no_sense(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(BadPolicy) as refusal:
        Policy.load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_policy_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadPolicy, match="not UTF-8"):
        Policy.load(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadPolicy, match="more than"):
        Policy.load(path)


# ---- notation


@pytest.mark.parametrize(
    "principal",
    [ALICE, fingerprint(ALICE), Role(ALICE, "a"), Role(Role(ALICE, "a"), "b.c-d"), Quorum.of(1, ALICE, Role(BOB, "x")),
     Role(Quorum.of(2, ALICE, Quorum.of(2, fingerprint(BOB), BOB)), "board"), VERIFIER],
    ids=lambda principal: shorten(str(principal)),
)  # fmt: skip
def test_what_is_written_is_read(principal: Role) -> None:
    assert parse_principal(str(principal)) == principal


def test_names_stand_for_principals() -> None:
    assert parse_principal("1of(alice,bob/staff)", NAMES) == Quorum.of(1, ALICE, Role(BOB, "staff"))


NO_PRINCIPALS = [
    "", "/", "alice", "alice/", "/a", "key:", "key:ed25519", "key:ed25519:", "key:ed25519:A", "key:ed25519:====", "key:ed25519:AAA=",
    "key:ed25519:AB", "key::AA", "key:Ed25519:AAAA", "key:ed25519:AA AA", "key:ed25519:AA+A", "hash:sha-256:", "hash:sha-256:00",
    "hash:sha-256:" + "AA" * 32, "hash:sha-256:" + "0" * 33, "2of()", "2of(", "2of(verifier,verifier)", f"2of({ALICE},{ALICE})",
    f"3of({ALICE},{BOB})", f"0of({ALICE},{BOB})", f"2of({ALICE},{BOB}", f"2of({ALICE},{BOB}))", f"2of({ALICE},{BOB})x", f"2of({ALICE};{BOB})",
    f"{ALICE},{BOB}", f"{ALICE} ", f" {ALICE}", f"{ALICE}//a", "verifier/a", f"{ALICE}/" + "a/" * 10 + "a", "2of(" * 5000, "a" * 100_000,
    f"{ALICE}/\x1b[2J", "999of(a,b)",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_PRINCIPALS, ids=lambda text: ascii(text[:30]))
def test_what_is_no_principal(text: str) -> None:
    with pytest.raises(BadTerm) as refusal:
        parse_principal(text)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


@settings(max_examples=200)
@given(st.text("keyhas:ed25519-/,()2of AB=_é", max_size=40))
def test_any_text_is_a_principal_in_its_one_notation_or_refused(text: str) -> None:
    try:
        principal = parse_principal(text)
    except BadTerm:
        return
    assert parse_principal(str(principal)) == principal


def test_long_keys_are_shortened_and_known_ones_named() -> None:
    said = f"{Role(ALICE, 'staff')} and {fingerprint(BOB)} and {BOB}"
    short = shorten(said, {ALICE: "alice"})
    assert short.startswith("alice/staff and hash:sha-256:")
    assert str(BOB) not in short
    assert len(short) < 80
