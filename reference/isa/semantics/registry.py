"""The registry: mnemonic to the function that says what the instruction does.

A semantic function takes the machine and the bound instruction and returns the EIP to go on at. All of them have the
same rhythm: operands, operation, effects, flags, EIP. One that cannot complete raises (:mod:`.machine` says what) before
it has changed anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation

Semantics = Callable[[Machine, Operation], int]
_S = TypeVar("_S", bound=Semantics)

#: Mnemonic to semantic function. Filled by the modules of this package as they are imported.
SEMANTICS: Final[dict[str, Semantics]] = {}


def semantics(*mnemonics: str) -> Callable[[_S], _S]:
    """Register a function as the meaning of these mnemonics."""

    def register(function: _S) -> _S:
        for mnemonic in mnemonics:
            if mnemonic in SEMANTICS:
                raise ValueError(f"two meanings for {mnemonic}")
            SEMANTICS[mnemonic] = function
        return function

    return register
