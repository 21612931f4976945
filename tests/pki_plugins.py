"""The plug-ins of the PKI for tests, and plug-ins of the tests' own."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import pytest

from vx32py import _compile
from vx32py.pki import plugins
from vx32py.upstream import building
from vx32py.upstream.building import Target

HERE = Path(__file__).resolve().parent / "pki"


def shipped(name: str) -> bytes:
    """The ELF of a plug-in that comes with the package, as it would be built now. Where that cannot be, the test is skipped,
    or fails where CI is set."""
    try:
        if not building.is_fresh(Target(plugins.RECIPES[name], plugins.BUILT / f"{name}.elf")):
            building.build([Target(plugins.RECIPES[name], plugins.BUILT / f"{name}.elf")])
        return plugins.load(name)
    except (building.NotBuilt, _compile.CompileError, plugins.PluginMissing) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the plug-in {name} cannot be built here: {error}")


@functools.cache
def compiled(source: str, *flags: str) -> bytes:
    """A plug-in made of C text."""
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    folder = plugins.BUILT.parents[2] / "build" / "test-plugins"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("\0".join([source, *flags]).encode()).hexdigest()[:24]
    text = folder / f"{name}.{os.getpid()}.c"
    text.write_text(source)
    try:
        return _compile.compile_guest([text], folder / f"{name}.elf", plugin=True, flags=flags).read_bytes()
    finally:
        text.unlink()
