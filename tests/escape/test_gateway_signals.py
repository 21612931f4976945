"""A signal at every instruction on the way into a guest, in it, out of it, and through a native answer: the guest computes
the same, each call is made once, and the host is as it was.

All instructions get the signal of ours on the plain way; the other ways and signals are sampled (``every``).
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from bare import DATA, Bare, Routine
from child import in_child
from images import DATA as IMAGE_DATA
from images import image
from tracer import CS, RAX, RIP, RSP, Ended, Tracee

from jit import gateway, hostarea, library, signals
from vx32py import Sandbox


class Subject:
    """What is done again and again in the process that is traced, each time behind a marker."""

    def __init__(self) -> None:
        self.marker = Routine("nop\n ret")
        self.handled = 0
        signal.signal(signal.SIGALRM, self._handle)

    def _handle(self, *_: object) -> None:
        self.handled += 1

    def prepare(self) -> None:
        """Before the marker."""

    def act(self) -> None:
        """Behind it: with the guest."""

    def check(self) -> None:
        """Afterwards: an AssertionError if it was not as ever."""

    def run(self) -> None:
        """For ever."""
        while True:
            self.prepare()
            self.marker()
            self.act()
            self.check()


class BareGuest(Subject):
    """A few instructions of each kind, on a bare processor; with ``single``, one of them as a single step."""

    def __init__(self, single: bool) -> None:
        from host_state import Host

        super().__init__()
        self.single = single
        self.bare = Bare()
        self.bare.load(
            f"add eax, ecx; push eax; fld1; fstp qword ptr [{DATA}]; paddd xmm1, xmm2; pop edx; stc; std; "
            f"mov [{DATA + 8}], edx"
        )
        self.bare.processor.prepare()
        self.host = Host()

    def prepare(self) -> None:
        cpu = self.bare.cpu
        cpu.reset()
        cpu.eax, cpu.ecx, cpu.esp, cpu.eflags = 40, 2, 0x0030_0000, 0x202
        cpu.fp[160 + 32 : 160 + 36] = b"\1\0\0\0"

    def act(self) -> None:
        processor, offset = self.bare.processor, 0x1000
        for _ in range(40):
            stop = processor.enter(offset, self.single)
            if stop.kind.value == "left":
                return
            offset = stop.offset
        raise AssertionError(f"it does not get on: {stop}")

    def check(self) -> None:
        cpu, space = self.bare.cpu, self.bare.space
        assert (cpu.eax, cpu.edx, cpu.esp, space.read_u32(DATA + 8)) == (42, 42, 0x0030_0000, 42)
        assert cpu.eflags & 0x601 == 0x601
        assert space.read(DATA, 8).hex() == "000000000000f03f"
        assert cpu.xmm(1)[:4] == b"\1\0\0\0"
        assert not self.host.disturbed()


class Answered(Subject):
    """A program that makes three writes, of which the second and third are answered natively."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.file = path.open("ab")  # a restore takes positions back, too
        code = f"""
            mov     esi, 3
        1:  mov     eax, 4
            mov     edx, 1
            mov     ecx, {IMAGE_DATA}
            mov     ebx, 5
            syscall
            add     edi, eax
            dec     esi
            jnz     1b
            int3
        """
        self.process: Any = Sandbox(engine="jit").spawn(image(code, b"hello"), stdout=self.file.fileno())
        self.snapshot = self.process.snapshot()

    def prepare(self) -> None:
        self.process.restore(self.snapshot)
        os.lseek(self.file.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self.file.fileno(), 0)

    def act(self) -> None:
        self.process.run()

    def check(self) -> None:
        assert self.process.registers.edi == 15
        assert os.fstat(self.file.fileno()).st_size == 15


def trace(subject: Subject, number: int, *, every: int = 1, entry: int = 0, whole: bool = True) -> int:
    """Let the subject run in a process of its own, each time with the signal some instructions later, from the beginning of
    the way in; in the ``entry``-th of the entries behind the marker. How many instructions there were, until the guest has
    been left again, or, if not the ``whole`` way is wanted, until it begins."""
    tracee = Tracee(subject.run)
    enter, marker = gateway.load().address_of("enter"), subject.marker.address
    position, pending = 0, 0
    try:
        for _ in range(3):  # until it is as it will always be
            tracee.run_to(marker)
            tracee.step()
        while True:
            tracee.run_to(marker, pending)
            tracee.step()
            for i in range(entry + 1):
                tracee.run_to(enter)
                if i < entry:
                    tracee.step()
            top = tracee.registers()[RSP]
            back = tracee.peek(top)
            pending, left = number, False
            for _ in range(position):
                if (arrived := tracee.step()) != signal.SIGTRAP:  # a timer's: the same again
                    pending = arrived
                    break
                registers = tracee.registers()
                if (registers[RIP], registers[RSP]) == (back, top + 8) or (registers[CS] & 4 and not whole):
                    # Unless it is back early because of an earlier signal, of which Python's part was still to be done.
                    pending, left = 0, not whole or registers[RAX] == hostarea.KIND_LEFT
                    break
            else:
                position += every
            if left:
                tracee.run_to(marker)  # what was wrong the last time would have ended it
                return position
    except Ended as error:
        status = error.args[0]
        raise AssertionError(f"with signal {number} at instruction {position} the process ended: {status:#x}") from None
    finally:
        tracee.kill()


def numbers() -> dict[str, int]:
    """A signal of ours, and one that Python handles."""
    signals.this_thread()
    return {"kick": signals.kick_signal() or 0, "alarm": signal.SIGALRM}


@pytest.mark.parametrize("name", ["kick", "alarm"])
@in_child
def test_a_signal_at_every_instruction_from_entering_a_guest_to_leaving_it(name: str) -> None:
    assert trace(BareGuest(single=False), numbers()[name], every=1 if name == "kick" else 7) > 80


@pytest.mark.parametrize("name", ["kick", "alarm"])
@in_child
def test_a_signal_at_every_instruction_before_a_single_step(name: str) -> None:
    assert trace(BareGuest(single=True), numbers()[name], every=2 if name == "kick" else 7, whole=False) > 40


@pytest.mark.parametrize("entry", [0, 1])
@pytest.mark.parametrize("name", ["kick", "alarm"])
@in_child
def test_a_signal_at_every_instruction_of_native_answers(name: str, entry: int) -> None:
    with tempfile.TemporaryDirectory() as folder, library.unused():
        subject = Answered(Path(folder) / "out")
        assert trace(subject, numbers()[name], every=5 if name == "kick" and entry else 11, entry=entry) > 100
