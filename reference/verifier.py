"""The Verifier protocol: who judges translated code before it can be reached. The specification has none of its own: a
verifier is worth something because it shares nothing with the translator."""

from __future__ import annotations

from typing import Protocol

from reference.cache import Translated
from reference.translator.fragment import Fragment


class Verifier(Protocol):
    """A judge of translated code. Each method says what is wrong with it, one line each; nothing if it is accepted."""

    def problems(
        self,
        fragment: Fragment,
        *,
        origin: int,
        gs_base: int | None,
        window: int | None,
        metered: bool,
        guest: bytes | None,
    ) -> list[str]:
        """A fragment, and what it was translated for; ``guest`` is the guest's code from its EIP on, if that is known."""
        ...

    def single_problems(self, code: bytes, offset: int) -> list[str]:
        """One copied instruction for the scratch area, and the way back to the host."""
        ...

    def stub_problems(self, code: bytes) -> list[str]:
        """The beginning of a code segment, up to the scratch area."""
        ...

    def audit(self, translated: Translated) -> list[str]:
        """All that is reachable now: stubs, fragments with their links, entry table."""
        ...
