"""What the specification raises.

Exception
  GuestTrap          (reference.traps)   inside an engine: this instruction traps
  MemoryFault        an access that the address space refuses
  OutOfMemory        a mapping that exceeds the guest's allowance
  NotModelled        an instruction whose semantics the specification does not have
  VerificationError  translated code that the verifier refuses
  EngineUnavailable  an engine that this host cannot run
"""

from __future__ import annotations

from collections.abc import Sequence

from reference.traps import Access


class MemoryFault(Exception):
    """An access to guest memory that its permissions refuse. ``address`` is the first byte that is out of reach."""

    def __init__(self, address: int, access: Access) -> None:
        super().__init__(f"cannot {str(access.name).lower()} guest memory at {address:#010x}")
        self.address = address
        self.access = access


class OutOfMemory(Exception):
    """A mapping would exceed what the guest may have. The message names the request and the allowance."""


class NotModelled(Exception):
    """The specification admits this instruction but cannot execute it. Names the instruction and its guest EIP."""

    def __init__(self, instruction: str, eip: int) -> None:
        super().__init__(f"not modelled: {instruction} at eip {eip:#010x} (the jit engine runs it)")
        self.instruction = instruction
        self.eip = eip


class EngineUnavailable(Exception):
    """This host cannot run the engine; the message says why."""


class VerificationError(Exception):
    """Translated code that the verifier refuses: a defect of the translator, or of what keeps translated code. ``problems``
    are the verifier's reasons, of which the message has the first. None of the code has run."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"refused by the verifier: {problems[0]}{more}")
        self.problems = tuple(problems)
