"""What kernels leave behind: no descriptor of the host's, and no coroutine that was never run."""

from __future__ import annotations

import gc
import os
import socket
import threading
import warnings
from pathlib import Path

import pytest
from plan9_programs import main, program

from vx32py.plan9 import Error, File, Kernel, Opened, WouldBlock
from vx32py.plan9.chan import ORDWR
from vx32py.plan9.devices.pipe import Pipes


def descriptors() -> set[str]:
    gc.collect()
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            continue
    # Code of programs that have run is kept for the next time (jit/kept.py).
    return {each for each in found if "/proc/" not in each and "memfd:" not in each}


class Waits(File):
    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        raise WouldBlock(lambda: False)


def test_a_kernel_that_is_closed_in_the_midst_of_everything_leaves_no_descriptor(
    engine_name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with Kernel(engine=engine_name) as first:  # what is opened once for all
        first.wait(first.start_program(program(main("sleep(1);"))))
    before = descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            kernel = Kernel(engine=engine_name, timeout=60, root=tmp_path, net="host")
            host = kernel.host
            kernel.bind({"waits": Waits()}, "/mnt/app")
            ours, theirs = socket.socketpair()
            kernel.export(ours)
            ours.close()
            listening = socket.create_server(("127.0.0.1", 0))
            kernel.export(listening)
            client = socket.create_connection(listening.getsockname())
            listening.close()
            one, other = socket.socketpair()
            server = threading.Thread(target=lambda end=other: end.recv(100))
            server.start()
            host.patience = 0.05
            with pytest.raises(Error, match="interrupted"):
                kernel.mount(one, "/n")
            server.join()
            held = [host.open("/net/tcp/clone", ORDWR), host.open("/net/udp/clone", ORDWR), host.open("/file")]
            held[0].device.node(held[0]).write(host, held[0], b"announce 127.0.0.1!0", 0)  # type: ignore[attr-defined]
            body = """
                char b[10]; int fd = open(argv[1], OREAD);
                read(fd, b, 10);
            """
            for name in ("/mnt/app/waits", "/net/tcp/0/listen"):
                kernel.start_program(program(main(body)), ["test", name])
            kernel.wait(kernel.start_program(program(main("sleep(20);"))))
            kernel.close()
            held[2].close()  # what the application has opened itself
            for each in (theirs, client, one, other):
                each.close()
            del held, host, kernel
            gc.collect()
    assert descriptors() == before


def test_pipes_that_nobody_had_any_more_waited_for_the_garbage_collector(engine_name: str) -> None:
    """There are only so many: a program that makes and closes them made everybody wait for it."""
    body = "int i, ends[2]; for(i = 0; i < 50; i++){ check(pipe(ends) == 0); close(ends[0]); close(ends[1]); }"
    with Kernel(engine=engine_name, timeout=60) as kernel:
        device = kernel.devices["|"]
        assert isinstance(device, Pipes)
        gc.collect()
        gc.disable()
        try:
            proc = kernel.start_program(program(main(body)))
            kernel.wait(proc)
            assert (proc.status, device.count) == ("", 0)
        finally:
            gc.enable()
