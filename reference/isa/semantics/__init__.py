"""What each instruction does, a module for each family. Importing the package fills the registry."""

from reference.isa.semantics import (
    arithmetic,
    bcd,
    bit,
    control,
    flag,
    logic,
    move,
    multiply,
    shift,
    stack,
    string,
    system,
)

__all__ = [
    "arithmetic",
    "bcd",
    "bit",
    "control",
    "flag",
    "logic",
    "move",
    "multiply",
    "shift",
    "stack",
    "string",
    "system",
]
