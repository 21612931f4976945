"""docs/pki.md and examples/pki.py run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pki_plugins import shipped

from vx32py import _compile

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pki.md").read_text()

pytestmark = pytest.mark.compiler


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def transcript() -> list[tuple[str, str]]:
    """Each command of the page, with what it is said to print."""
    commands: list[tuple[str, str]] = []
    for block in blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], ""))
            else:
                commands[-1] = commands[-1][0], commands[-1][1] + line + "\n"
    return commands


def test_the_transcripts_are_what_happens(tmp_path: Path) -> None:
    for name in ("whirlpool", "ed25519"):
        shipped(name)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vx32py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vx32py "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    trust, more = blocks("toml")

    def run(command: str) -> str:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)  # fmt: skip
        assert done.returncode == 0, (command, done.stdout)
        return done.stdout

    commands = transcript()
    assert len(commands) > 15
    for command, wanted in commands:
        if "pki verify" in command:
            known = run("vx32py pki principal root.key.pub").strip()
            policy = trust + more if "certificate.cred" in command and "voucher.cred" in command else trust
            (tmp_path / "policy.toml").write_text(policy.replace("root.key.pub", known))
        pattern = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", wanted))
        printed = run(command)
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{command}\n{printed}"


def test_the_python_on_the_page_runs() -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verifier says: claim doors/front: open  [delegated, 1 hops]\n")


def test_the_example_runs_and_refuses_what_it_should(tmp_path: Path) -> None:
    _compile.compile_guest([ROOT / "examples" / "lamport.c"], tmp_path / "lamport.elf", plugin=True)
    command = [sys.executable, str(ROOT / "examples" / "pki.py"), str(tmp_path / "lamport.elf")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    reasons = [
        "vouches for it: signature scheme elf:", "trusted to says: claim doors/back", "rule current: expired at",
        "there is no good signature of key:elf:", "nobody has brought the plug-in elf:",
    ]  # fmt: skip
    refusals = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    assert len(refusals) == len(reasons)
    for reason, line in zip(reasons, refusals, strict=True):
        assert reason in line
