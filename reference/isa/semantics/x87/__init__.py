"""The x87: a stack of eight registers of 80 bits."""

from reference.isa.semantics.x87 import (
    arithmetic,
    compare,
    environment,
    functions,
    load_store,
    stack,
    state,
)

__all__ = [
    "arithmetic",
    "compare",
    "environment",
    "functions",
    "load_store",
    "stack",
    "state",
]
