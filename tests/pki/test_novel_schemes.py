"""A certificate whose schemes nobody here has heard of: accepted with the plug-in attached and vouched for, else refused."""

from __future__ import annotations

import pytest
from pki_plugins import shipped
from pki_world import (
    ALICE,
    BOB,
    GOAL,
    MALLORY,
    NOW,
    POLICY,
    ROOT,
    behaving,
    body,
    claim,
    grant,
    honest_plugin,
    load,
    novel_hash,
    novel_key,
    novel_signature,
    vouch,
)  # fmt: skip

from vx32py.pki.credentials import Bundle
from vx32py.pki.errors import Refused
from vx32py.pki.guest import GuestScheme
from vx32py.pki.logic import Hashed, Key, Proof, RevocationList, Withdrawal
from vx32py.pki.revocation import State
from vx32py.pki.scheme import plugin_name
from vx32py.pki.verifying import explain, verify
from vx32py.pki.wire import signed_message, to_bytes

pytestmark = pytest.mark.compiler


def proof_of(*parts: Bundle, now: int = NOW, state: State | None = None) -> Proof:
    return verify(GOAL, parts, POLICY, now=now, load=load, state=state)


def novel(elf: bytes) -> tuple[Bundle, Bundle, Bundle]:
    """The root trusts a key by a hash that nobody knows; the key's signatures are of a kind that nobody knows."""
    key = novel_key(elf)
    chain = Bundle((grant(novel_hash(elf, key)), novel_signature(key, body(GOAL))))
    return chain, Bundle((vouch(elf, "hash"), vouch(elf, "signature"))), Bundle((), (elf,))


def test_a_certificate_of_unheard_of_schemes_is_accepted() -> None:
    lines = explain(proof_of(*novel(honest_plugin())))
    assert any("hashed" in line for line in lines)
    assert any("hash scheme elf:" in line and "is good" in line for line in lines)
    assert any("signature scheme elf:" in line and "is good" in line for line in lines)


def test_it_is_refused_where_nobody_vouches_for_the_plugin() -> None:
    chain, vouchers, plugin = novel(honest_plugin())
    with pytest.raises(Refused, match="nobody who is trusted to vouches for it: signature scheme elf:"):
        proof_of(chain, plugin)
    for missing in range(2):
        with pytest.raises(Refused, match=r"nobody who is trusted to vouches for it: (signature|hash) scheme elf:"):
            proof_of(chain, Bundle((vouchers.credentials[missing],)), plugin)
    by_mallory = Bundle((vouch(honest_plugin(), "hash", MALLORY), vouch(honest_plugin(), "signature", MALLORY)))
    with pytest.raises(Refused, match="nobody who is trusted to vouches for it"):
        proof_of(chain, by_mallory, plugin)


def test_it_is_refused_when_the_voucher_has_expired() -> None:
    elf = honest_plugin()
    chain, _, plugin = novel(elf)
    vouchers = Bundle((vouch(elf, "hash"), vouch(elf, "signature", end=NOW)))
    with pytest.raises(Refused, match=r"nobody who is trusted to vouches for it: signature scheme|expired at"):
        proof_of(chain, vouchers, plugin)
    proof_of(chain, vouchers, plugin, now=NOW - 1)


def test_it_is_refused_when_the_voucher_was_revoked() -> None:
    elf = honest_plugin()
    chain, _, plugin = novel(elf)
    revocable = vouch(elf, "signature", revoker=ROOT.principal)
    vouchers = Bundle((vouch(elf, "hash"), revocable))
    empty = Bundle((ROOT.credential(body(RevocationList(1))),))
    full = Bundle((ROOT.credential(body(RevocationList(2, (revocable.identity,)))),))
    state = State()
    proof_of(chain, vouchers, plugin, empty, state=state)
    for listing in (full, empty):  # and the older list does not help any more
        with pytest.raises(Refused, match="rule"):
            proof_of(chain, vouchers, plugin, listing, state=state)
    withdrawn = Bundle((ROOT.credential(body(Withdrawal(revocable.identity))),))
    with pytest.raises(Refused, match="rule"):
        proof_of(chain, vouchers, plugin, empty, withdrawn)


@pytest.mark.parametrize("place", range(0, 100, 5))
def test_it_is_refused_when_the_plugin_differs_by_a_bit(place: int) -> None:
    elf = honest_plugin()
    chain, vouchers, _ = novel(elf)
    other = bytearray(elf)
    other[place * len(elf) // 100] ^= 1 << place % 8
    with pytest.raises(Refused, match="nobody has brought the plug-in elf:"):
        proof_of(chain, vouchers, Bundle((), (bytes(other),)))


def test_a_plugin_that_lies_is_refused_though_it_is_vouched_for() -> None:
    with pytest.raises(Refused, match="two different digests"):
        proof_of(*novel(behaving("whole")))


def test_the_plugins_that_come_with_the_package_will_do() -> None:
    """A key by its Whirlpool hash, which nothing here computes natively; its Ed25519 signature verified by the guest alone."""
    ed25519, whirlpool = shipped("ed25519"), shipped("whirlpool")
    key = Key(plugin_name(ed25519), ALICE.principal.public)
    with GuestScheme(whirlpool) as scheme:
        hashed = Hashed(plugin_name(whirlpool), scheme.digest(to_bytes(key)))
    statement = body(GOAL)
    signed = Bundle((grant(hashed), type(claim())(statement, ((key, ALICE.sign(signed_message(key, statement))),))))
    vouchers = Bundle((vouch(ed25519, "signature"), vouch(whirlpool, "hash")))
    plugins = Bundle((), (ed25519, whirlpool))
    proof = verify(GOAL, [signed, vouchers, plugins], POLICY, now=NOW)
    assert any("hashed" in line for line in explain(proof))
    with pytest.raises(Refused, match="nobody who is trusted to vouches"):
        verify(GOAL, [signed, plugins], POLICY, now=NOW)
    forged = type(claim())(statement, ((key, BOB.sign(signed_message(key, statement))),))
    with pytest.raises(Refused, match="there is no good signature"):
        verify(GOAL, [Bundle((grant(hashed), forged)), vouchers, plugins], POLICY, now=NOW)


def test_a_refusal_says_nothing_of_topics_that_have_nothing_to_do_with_it() -> None:
    """It said that mail is not within pki/scheme, where the signature was what was wrong."""
    forged = type(claim())(body(GOAL), ((ALICE.principal, bytes(64)),))
    with pytest.raises(Refused, match="rule signed: there is no good signature") as refused:
        proof_of(Bundle((grant(ALICE), forged)))
    assert not [note for note in refused.value.notes if "pki/" in note.reason]
