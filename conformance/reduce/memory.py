"""The memory of a case, byte by byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from conformance.case import Case, background


def contents(case: Case) -> dict[int, int]:
    """What memory holds besides its background and the code, byte by byte."""
    found: dict[int, int] = {}
    for address, content in case.memory:
        found |= dict(enumerate(content, address))
    for address in range(case.eip, case.eip + len(case.code)):
        found.pop(address, None)
    return {address: byte for address, byte in sorted(found.items()) if background(address, 1)[0] != byte}


def with_contents(case: Case, content: Mapping[int, int]) -> Case:
    """The case with exactly this content of memory."""
    windows: list[tuple[int, bytearray]] = []
    for address, byte in sorted(content.items()):
        if background(address, 1)[0] == byte:
            continue
        if windows and windows[-1][0] + len(windows[-1][1]) == address:
            windows[-1][1].append(byte)
        else:
            windows.append((address, bytearray([byte])))
    return replace(case, memory=tuple((address, bytes(window)) for address, window in windows))
