"""A guest that says "done" before there is a file: its host got an exception that is nobody's business."""

from __future__ import annotations

from images import image

import vx32py


def test_a_guest_that_is_done_before_it_reads_ends_each_file_so(engine_name: str) -> None:
    program = image("mov eax, 30; mov edx, 7; syscall; 1: jmp 1b")
    with vx32py.Sandbox(engine=engine_name, timeout=60).stream(program) as stream:
        for _ in range(2):
            result = stream.run(b"a file", owner=1)
            assert (result.exit_code, result.limit) == (7, None)
