"""Decoders for tests: where they must be built, the policy that all of them must do with, and how one file is decoded."""

from __future__ import annotations

import functools
import os
from typing import Final

import pytest

import vx32py
from conformance.decoders import cases, making
from reference.policy import Group, Policy
from vx32py import decoders

#: Integers and SSE2, nothing that differs from host to host, no x87.
PLAIN: Final = Policy(frozenset({Group.BASE, Group.CMOV, Group.SSE, Group.SSE2}), reproducible=True)
#: No decoder may take longer for one of these files, in seconds.
SAFETY: Final = 120.0


@functools.cache
def module(name: str) -> vx32py.Module:
    """The decoder, loaded once. Where it cannot be built the test is skipped, but not where CI sees to it that it can."""
    try:
        return decoders.load(name)
    except decoders.DecoderMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


def box(name: str, engine: str = "jit") -> vx32py.Sandbox:
    """A sandbox with the memory that the decoder declares, and the policy."""
    return vx32py.Sandbox(engine=engine, memory=decoders.MEMORY[name], policy=PLAIN, timeout=SAFETY)


def decode(name: str, data: bytes, engine: str = "jit") -> vx32py.Result:
    """One file through the decoder."""
    return box(name, engine).run(module(name), stdin=data)


def made(case: cases.Case, size: cases.Size) -> tuple[bytes, cases.Check]:
    """The case's file; skipped without the tool that makes it, but not in CI."""
    try:
        return cases.made(case, size)
    except making.ToolMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


def complaint(result: vx32py.Result, name: str) -> str | None:
    """What is wrong with how a decoder met a file that may be damaged: it ends by itself, and says why in one line."""
    if result.trap is not None or result.limit is not None or result.exit_code not in {0, 1}:
        return f"exit code {result.exit_code}, trap {result.trap}, limit {result.limit}"
    lines = result.stderr.decode("ascii", "replace").splitlines()
    if result.exit_code == 0:
        return f"exit code 0 and {lines}" if lines else None
    if len(lines) != 1 or not lines[0].startswith(f"{name}: ") or len(lines[0]) > 200:
        return f"exit code 1 and {lines}"
    return None
