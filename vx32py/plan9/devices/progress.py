"""How far a write has come that is made again because it waited.

A process makes one call at a time, and keeps that itself (Task.progress). For others, which may write to several channels at
a time, it is kept in ``Chan.state``, together with the very piece of data that is written: what follows a write that was
given up is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller, Chan


def written(caller: Caller, chan: Chan, data: bytes) -> int:
    """So much of this has been written already."""
    done: int | None = getattr(caller, "progress", None)
    if done is None:
        piece, done = chan.state if chan.state is not None else (None, 0)
        return done if piece is data else 0
    return done


def has_written(caller: Caller, chan: Chan, data: bytes, done: int) -> None:
    """Remember it."""
    if hasattr(caller, "progress"):
        caller.progress = done
    else:
        chan.state = data, done
