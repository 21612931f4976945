"""Hostile archives: what a case is, and how one is judged."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asm import assemble

from conformance.archives import forge
from vx32py.archive import Archive, ArchiveError, Limits
from vx32py.archive.extracting import Extraction, extract

BUFFER = 0x0804_A000
#: Little of everything: hostile decoders are to reach their limits soon.
LIMITS = Limits(memory="8M", seconds=0.1)

#: A decoder that turns every bit 0, 2, 4 and 6.
XOR = f"""
1:  mov eax, 3; xor edx, edx; mov ecx, {BUFFER}; mov ebx, 4096; syscall
    test eax, eax; jle 4f
    mov esi, eax; mov edi, {BUFFER}
2:  xor byte ptr [edi], 0x55; inc edi; dec eax; jnz 2b
    mov edi, {BUFFER}
3:  mov eax, 4; mov edx, 1; mov ecx, edi; mov ebx, esi; syscall
    test eax, eax; jle 5f
    add edi, eax; sub esi, eax; jnz 3b
    jmp 1b
4:  mov edx, eax; mov eax, 1; syscall
5:  mov eax, 1; mov edx, 2; syscall
"""


def xor(content: bytes) -> bytes:
    """What the honest decoder makes of bytes, and of what it made."""
    return bytes(byte ^ 0x55 for byte in content)


def program(code: str) -> bytes:
    """An ELF program of these instructions."""
    return forge.elf(assemble(code))


def good_decoder() -> forge.Decoder:
    """The honest decoder."""
    return forge.Decoder(program(XOR))


def decoded_entry(name: str, content: bytes, decoder: forge.Decoder, **other: Any) -> forge.Entry:
    """A member that ``decoder`` decodes."""
    return forge.Entry(name, content, forge.VX, xor(content), decoder=decoder, **other)


#: A member that must be extracted whatever its neighbours are.
GOOD = {"good": b"a good member\n" * 3}


def good() -> forge.Entry:
    """It."""
    return forge.Entry("good", GOOD["good"], forge.DEFLATED)


def made(*parts: forge.Entry | forge.Decoder | bytes, **options: Any) -> Callable[[], bytes]:
    """What makes an archive, when it is wanted."""
    return partial(forge.archive, *parts, **options)


@dataclass
class Case:
    """An archive, and what must become of it.

    ``files``: what must be in the target directory afterwards, links as text. ``bad``: of each member that must be
    refused, a pattern of the reason. ``problem``: a pattern of what the archive as a whole is said to have, and whether
    there must be one. ``unreadable``: it is no archive at all.
    """

    name: str
    data: Callable[[], bytes]
    files: Mapping[str, object] = field(default_factory=lambda: dict(GOOD))
    bad: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    unreadable: str | None = None
    decoded: bool = False
    limits: Limits = LIMITS
    workers: int = 2
    #: What is in the target directory before.
    prepare: Callable[[Path], None] | None = None

    def __str__(self) -> str:
        return self.name


def snapshot(path: Path) -> dict[str, tuple[object, int, int, int]]:
    """Everything there is below a path: contents, modes, times and link texts, without following anything."""
    found: dict[str, tuple[object, int, int, int]] = {}
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            entry = Path(folder, name)
            status = entry.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content: object = kind
            if kind == stat.S_IFREG:
                content = entry.read_bytes()
            elif kind == stat.S_IFLNK:
                content = os.readlink(entry)
            found[str(entry.relative_to(path))] = content, status.st_mode, status.st_mtime_ns, status.st_nlink
    return found


def contents(path: Path) -> dict[str, object]:
    """Files and links below a path: what is in them. Folders only where they are empty."""
    found: dict[str, object] = {}
    for name, (content, _, _, _) in snapshot(path).items():
        if content != stat.S_IFDIR:
            found[name] = content
        elif not list((path / name).iterdir()):
            found[name + "/"] = None
    return found


def make_world(base: Path) -> Path:
    """A target directory, with canaries all around it, which are all that a member could reach that climbs out; the
    target."""
    for name in ("canary", "outside/canary", "outside/deeper/canary"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("alive")
    (base / "home" / "target").mkdir(parents=True)
    (base / "home" / "canary").write_text("alive")
    return base / "home" / "target"


def around(base: Path) -> dict[str, tuple[object, int, int, int]]:
    """The world without the target's contents."""
    everything = snapshot(base)
    del everything["home/target"]
    return {name: what for name, what in everything.items() if not name.startswith("home/target/")}


def judge(case: Case, base: Path, engine: str) -> Extraction | None:
    """Extract a case's archive, and assert all that must hold."""
    target = make_world(base)
    path = base / "outside" / "archive.zip"
    path.write_bytes(case.data())
    if case.prepare is not None:
        case.prepare(target)
    before = around(base)
    if case.unreadable is not None:
        with pytest.raises(ArchiveError, match=case.unreadable) as caught:
            Archive(path)
        one_line(str(caught.value))
        return None
    with Archive(path) as archive:
        done = extract(archive, target, decoded=case.decoded, limits=case.limits, engine=engine, workers=case.workers)
        problems = archive.problems
    assert around(base) == before
    reasons: dict[str, list[str]] = {}
    for failure in done.failures:
        one_line(str(failure))
        reasons.setdefault(failure.name, []).append(failure.reason)
    assert reasons.keys() == case.bad.keys(), (reasons, problems)
    for name, pattern in case.bad.items():
        assert any(re.search(pattern, reason) for reason in reasons[name]), reasons[name]
    assert contents(target) == case.files
    for problem in problems:
        one_line(problem)
    if case.problem is None:
        assert not problems, problems
    else:
        assert any(re.search(case.problem, problem) for problem in problems), problems
    return done


def one_line(text: str) -> None:
    """Whether a message is one that a terminal can show."""
    assert text.isprintable(), text
    assert 0 < len(text) <= 500, text


def cases(*groups: Sequence[Case]) -> list[Case]:
    """All of them, with names that differ."""
    found = [case for group in groups for case in group]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    return found
