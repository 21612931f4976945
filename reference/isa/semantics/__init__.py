"""What each instruction does, a module for each family. Importing the package fills the registry."""

from reference.isa.semantics import integer, packed, saved_state, simd, system, x87

__all__ = ["integer", "packed", "saved_state", "simd", "system", "x87"]
