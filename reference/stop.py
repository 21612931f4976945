"""Stop: how translated code came back to its host, before anybody has made sense of it."""

from __future__ import annotations

from enum import Enum

from reference.records import dataclass
from reference.traps import Access


class StopKind(Enum):
    """LEFT: through the exit stub, REASON tells why. FAULT: a processor exception. INTERRUPTED: from outside.
    STEPPED: one instruction was executed with the trap flag set."""

    LEFT = "left"
    FAULT = "fault"
    INTERRUPTED = "interrupted"
    STEPPED = "stepped"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where translated code stopped. ``offset`` is the EIP in the code segment (not for LEFT). For a FAULT: the
    processor's vector, and for page faults the guest address and the kind of access."""

    kind: StopKind
    offset: int = 0
    vector: int = 0
    address: int = 0
    access: Access = Access.NONE
