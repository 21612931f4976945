"""What the PKI raises, apart from ValueError and TypeError for arguments that make no sense.

Vx32Error
  PkiError
    BadTerm          (ValueError)    a principal, statement or policy word outside what the logic has
    BadEncoding      (ValueError)    bytes that are not the one canonical encoding of anything
    BadCredential    (ValueError)    bytes that are not a file of credentials
    BadKey           (ValueError)    not a key, certificate or private key that can be used here
    BadPolicy        (ValueError)    a policy that makes no sense
    BadState         (ValueError)    not a file of what is known about revocation
    SchemeError                      a hash or signature scheme that cannot be used, or failed while it was
      UnknownScheme                  nobody has brought the code of this scheme
    ProofRefused                     the checker refuses a proof; ``rule`` and ``path`` say where
    Refused                          nothing in the credentials proves the goal; ``rule``, ``credential``, ``notes``
"""

from __future__ import annotations

from reference.records import dataclass
from vx32py._errors import Vx32Error

__all__ = [
    "BadCredential", "BadEncoding", "BadKey", "BadPolicy", "BadState", "BadTerm", "Note", "PkiError", "ProofRefused", "Refused",
    "SchemeError", "UnknownScheme",
]  # fmt: skip


class PkiError(Vx32Error):
    """Base of everything that goes wrong with credentials. The message is one line."""


class BadTerm(PkiError, ValueError):
    """A principal or statement outside what the logic has."""


class BadEncoding(PkiError, ValueError):
    """Bytes that are not the canonical encoding of anything. The message says what is wrong, and at which offset."""


class BadCredential(PkiError, ValueError):
    """Bytes that are not a file of credentials."""


class BadKey(PkiError, ValueError):
    """Bytes that are no key, certificate or private key, or one of a kind that is not taken."""


class BadPolicy(PkiError, ValueError):
    """A policy that makes no sense."""


class BadState(PkiError, ValueError):
    """Bytes that are not what :meth:`vx32py.pki.revocation.State.save` writes."""


class SchemeError(PkiError):
    """A hash or signature scheme that cannot be used, or that failed: a plug-in that trapped, looped or answered nonsense."""


class UnknownScheme(SchemeError):
    """Nobody has brought the code of this scheme."""


class ProofRefused(PkiError):
    """The checker refuses a proof. ``rule`` is the rule that is not followed; ``path`` leads to the node: numbers of premises,
    from the root."""

    def __init__(self, rule: str, reason: str, path: tuple[int, ...] = ()) -> None:
        super().__init__(f"rule {rule}: {reason}")
        self.rule = rule
        self.reason = reason
        self.path = path


@dataclass(frozen=True, slots=True)
class Note:
    """An attempt to prove something that failed: at which rule, why, and which credential it was about ("" if none)."""

    rule: str
    reason: str
    credential: str = ""


class Refused(PkiError):
    """Nothing in the credentials proves the goal.

    ``rule`` is the rule at which the nearest attempt failed ("" where there was none) and ``credential`` the label of the
    credential it was about; ``notes`` are all attempts that failed, as far as they were kept.
    """

    def __init__(self, reason: str, rule: str = "", credential: str = "", notes: tuple[Note, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rule = rule
        self.credential = credential
        self.notes = notes
