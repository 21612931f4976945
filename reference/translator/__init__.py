"""The translator: guest code to fragments, in the four passes of the paper, one file each.

    scan -> simplify -> (meter) -> place -> emit

:func:`translate` is a function: equal arguments give equal bytes. The native translator must give the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.translator.fragment import Exit, Fragment, Landing, Span
from reference.translator.shape import FETCH_BYTES, Shape, placed

if TYPE_CHECKING:
    from reference.policy import Policy

__all__ = [
    "FETCH_BYTES",
    "Exit",
    "Fragment",
    "Landing",
    "Shape",
    "Span",
    "placed",
    "translate",
]


def translate(
    code: bytes,
    eip: int,
    policy: Policy,
    *,
    offset: int,
    gs_base: int | None = None,
    origin: int = 0,
    window: int | None = None,
    metered: bool = False,
) -> Fragment:
    """Translate the guest code at ``eip`` into a fragment for code offset ``offset``.

    ``code`` is a copy of the guest's bytes from ``eip`` on, :data:`FETCH_BYTES` long or up to where execute permission
    ends. ``gs_base`` is the guest's thread pointer, ``origin`` the EIP of code offset 0, ``window`` the first EIP that
    the direct entry table has an entry for, or None for the hashed table (see layout.py). A ``metered`` fragment takes the
    fuel of its instructions (see meter.py). Raises InvalidOpcode or TruncatedCode when there is no instruction at ``eip``.
    """
    # The passes are loaded when they are needed: they read the whole instruction table, which takes longer than all other
    # imports together, and an engine with a translator of its own may never need them.
    from reference.translator.emit import emit
    from reference.translator.meter import charge
    from reference.translator.place import place
    from reference.translator.scan import scan
    from reference.translator.simplify import simplify

    items = scan(code, eip, policy, gs_base)
    simplify(items)
    if metered:
        charge(items)
    placement = place(items, offset, window)
    return emit(items, placement, eip, offset, gs_base, origin, window)
