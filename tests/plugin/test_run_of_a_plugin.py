"""``vx32py run`` of a plug-in was a page fault at an address that nobody has ever heard of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plugin_images import plugin_image

from vx32py.commands.guests import PLUGIN_SECTION
from vx32py.plugin import declarations


@pytest.mark.parametrize("command", ["run", "trace"])
def test_it_says_that_it_is_a_plug_in_and_what_to_do_with_it(tmp_path: Path, command: str) -> None:
    path = tmp_path / "plugin.elf"
    path.write_bytes(plugin_image("ret"))
    done = subprocess.run(
        [sys.executable, "-m", "vx32py", command, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 125
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"vx32py: {path}: a plug-in, ")
    assert ".instantiate(" in line
    assert done.stdout == ""


def test_it_is_the_section_that_makes_a_plug_in() -> None:
    assert PLUGIN_SECTION == declarations.SECTION
