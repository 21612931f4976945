"""The integer instructions, a module for each family."""

from reference.isa.semantics.integer import (
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
    status,
    string,
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
    "status",
    "string",
]
