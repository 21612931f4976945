"""A public-key infrastructure whose certificates carry what is needed to check them (Alpaca, CCS 2007).

docs/pki-logic.md is the logic, docs/pki.md how to use it. Everything is loaded when it is first used; `cryptography` and cbor2, which
the extra ``pki`` installs, when something is signed, verified, written or read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._lazy import exports

if TYPE_CHECKING:
    from vx32py.pki.credentials import Bundle as Bundle
    from vx32py.pki.credentials import Credential as Credential
    from vx32py.pki.errors import PkiError as PkiError
    from vx32py.pki.errors import Refused as Refused
    from vx32py.pki.keys import SigningKey as SigningKey
    from vx32py.pki.logic import VERIFIER as VERIFIER
    from vx32py.pki.logic import Body as Body
    from vx32py.pki.logic import Claim as Claim
    from vx32py.pki.logic import Delegation as Delegation
    from vx32py.pki.logic import Hashed as Hashed
    from vx32py.pki.logic import Key as Key
    from vx32py.pki.logic import Proof as Proof
    from vx32py.pki.logic import Quorum as Quorum
    from vx32py.pki.logic import RevocationList as RevocationList
    from vx32py.pki.logic import Role as Role
    from vx32py.pki.logic import Vouch as Vouch
    from vx32py.pki.logic import Withdrawal as Withdrawal
    from vx32py.pki.policy import Policy as Policy
    from vx32py.pki.revocation import State as State
    from vx32py.pki.verifying import explain as explain
    from vx32py.pki.verifying import verify as verify

_HOMES = {
    "vx32py.pki.credentials": ("Bundle", "Credential"),
    "vx32py.pki.errors": ("PkiError", "Refused"),
    "vx32py.pki.keys": ("SigningKey",),
    "vx32py.pki.logic": (
        "VERIFIER", "Body", "Claim", "Delegation", "Hashed", "Key", "Proof", "Quorum", "RevocationList", "Role", "Vouch",
        "Withdrawal",
    ),
    "vx32py.pki.policy": ("Policy",),
    "vx32py.pki.revocation": ("State",),
    "vx32py.pki.verifying": ("explain", "verify"),
}  # fmt: skip

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605 - a list of str, made from the one table above
__getattr__, __dir__ = exports(__name__, _HOMES)
