"""A certificate whose signature scheme the verifying program has never heard of, because the scheme comes with it.

    vx32py cc --plugin examples/lamport.c -o lamport.elf
    python examples/pki.py lamport.elf

Anna has no keys but Lamport's, which are good for one signature each. The registrar, whose keys are Ed25519, lets her speak for it
about doors, and vouches for the scheme. The porter's program has the registrar's public key and a policy, and nothing else.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path

from vx32py.pki import Body, Bundle, Claim, Credential, Delegation, Key, Refused, SigningKey, Vouch
from vx32py.pki.policy import Policy
from vx32py.pki.scheme import plugin_name
from vx32py.pki.verifying import explain, verify
from vx32py.pki.wire import signed_message


class LamportKey:
    """Anna's side: this is the only Python here that knows the scheme, and the porter does not have it."""

    def __init__(self, scheme: str) -> None:
        self._secrets = [(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(256)]
        hashes = [hashlib.sha256(each).digest() for pair in self._secrets for each in pair]
        self.principal = Key(scheme, hashlib.sha256(b"".join(hashes)).digest())

    def sign(self, body: Body) -> Credential:
        """The body under this key's signature. Once."""
        digest = hashlib.sha256(signed_message(self.principal, body)).digest()
        parts = []
        for i, pair in enumerate(self._secrets):
            bit = digest[i // 8] >> (7 - i % 8) & 1
            parts.append(pair[bit] + hashlib.sha256(pair[1 - bit]).digest())
        return Credential(body, ((self.principal, b"".join(parts)),))


def main() -> int:
    """0 if all goes as it should."""
    plugin = Path(sys.argv[1]).read_bytes()
    registrar, anna = SigningKey.generate(), LamportKey(plugin_name(plugin))
    start, end = 1_800_000_000, 1_800_086_400

    # What Anna sends along: a delegation, her own word, and the plug-in. And a vouching, from the registrar's page.
    delegation = registrar.credential(Body(Delegation(anna.principal, registrar.principal, "doors/front"), start, end))
    opened = anna.sign(Body(Claim("doors/front", text="open"), start, end))
    certificate = Bundle((delegation, opened), (plugin,))
    vouching = Bundle((registrar.credential(Body(Vouch(plugin_name(plugin), "signature"), start, end + 86_400)),))

    # The porter: believes the registrar about doors (and whom it sends), and about signature schemes.
    policy = Policy.trusting(
        (registrar.principal, "doors", 1), (registrar.principal, "pki/scheme/signature", 0), names={"registrar": registrar.principal}
    )  # fmt: skip
    goal = Claim("doors/front", text="open")
    proof = verify(goal, [certificate, vouching], policy, now=start + 60)
    print("\n".join(explain(proof, policy.names)))

    # Nobody vouches; another door; too late; a signature of something else; a plug-in of one bit's difference.
    forged = Credential(opened.body, ((anna.principal, bytes(256 * 64)),))
    changed = plugin[:-1] + bytes([plugin[-1] ^ 1])
    for attempt in (
        lambda: verify(goal, certificate, policy, now=start + 60),
        lambda: verify(Claim("doors/back", text="open"), [certificate, vouching], policy, now=start + 60),
        lambda: verify(goal, [certificate, vouching], policy, now=end),
        lambda: verify(goal, [Bundle((delegation, forged), (plugin,)), vouching], policy, now=start + 60),
        lambda: verify(goal, [Bundle((delegation, opened), (changed,)), vouching], policy, now=start + 60),
    ):
        try:
            attempt()
        except Refused as refused:
            print("refused:", refused)
        else:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
