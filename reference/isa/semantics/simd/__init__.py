"""Floating point on vectors and scalars: SSE to SSE4.1, AVX, F16C, FMA."""

from reference.isa.semantics.simd import (
    approximate,
    arithmetic,
    compare,
    convert,
    fma,
    form,
    lane,
    mxcsr,
)

__all__ = [
    "approximate",
    "arithmetic",
    "compare",
    "convert",
    "fma",
    "form",
    "lane",
    "mxcsr",
]
