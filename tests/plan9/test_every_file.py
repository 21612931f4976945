"""Every file that there is, used in every way: what comes of it is data or an error string."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan9_programs import main, program

from vx32py.plan9 import Directory, Error, Kernel
from vx32py.plan9.chan import DMAPPEND, DMDIR, DMEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Chan
from vx32py.plan9.host import Host
from vx32py.plan9.naming import create_file, find
from vx32py.plan9.stat import Dir
from vx32py.plan9.waiting import Running

OFFSETS = (0, 1, 4096, 0x1000, 0xFFFF_FFFF, 1 << 40, (1 << 63) - 1)
COUNTS = (0, 1, 100, 1 << 20)
DATA = (
    b"", b"\0", b"x" * 5000, b"\xff\xfe", b"kill", b"hangup", b"0", b"-1", b"99999999999999999999", b"connect 127.0.0.1!1", b"announce 0",
    b"rawon", b"none", b"closefd 0", b"startstop", b"pri 5", "\u0661".encode(), "closefd ²".encode(), b"1" * 5000, b"connect 127.0.0.1!" + b"1" * 5000, b" \n", b"%s%n", b"a!b!c",
)  # fmt: skip


def files(host: Host, path: str, depth: int) -> Iterator[str]:
    """What there is below a directory."""
    yield path
    if not depth:
        return
    try:
        entries = host.entries(path)
    except Error:
        return
    for name in sorted({entry.name for entry in entries}):
        yield from files(host, f"{path.rstrip('/')}/{name}", depth - 1)


def attempt(host: Host, running: Running[object]) -> object:
    with contextlib.suppress(Error):
        return host.do(running, timeout=0.01)
    return None


async def use(host: Host, chan: Chan, chance: random.Random) -> None:
    for _ in range(2):
        with contextlib.suppress(Error):
            found = await chan.device.read(host, chan, chance.choice(COUNTS), chance.choice(OFFSETS))
            assert isinstance(found, bytes)
        with contextlib.suppress(Error):
            assert await chan.device.write(host, chan, chance.choice(DATA), chance.choice(OFFSETS)) >= 0


async def change(host: Host, name: str, changes: Dir) -> None:
    chan = await find(host, name)
    await chan.device.wstat(host, chan, changes)


@pytest.mark.parametrize("seed", range(2))
def test_every_file_is_used_in_every_way(engine_name: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "file").write_text("content")
    (tmp_path / "folder").mkdir()
    with Kernel(
        engine=engine_name, timeout=100, root=tmp_path, writable=True, net=["127.0.0.1:1", "listen:127.0.0.1:0"]
    ) as kernel:
        host = kernel.host
        kernel.bind(
            Directory({"array": bytearray(b"x"), "bytes": b"y", "made": lambda: "z", "more": {"deep": b""}}), "/mnt/app"
        )
        # Every other one spins: then its files are read while it runs.
        for body in ("int p[2]; char b[10]; pipe(p); read(p[0], b, 1);", "for(;;) sleep(1000);"):
            kernel.start_program(program(main(body)))
        kernel.wait(kernel.start_program(program(main("sleep(1);"))))
        for protocol in ("tcp", "udp"):
            host.open(f"/net/{protocol}/clone", ORDWR)
        names = [name for name in files(host, "/", 4) if name not in ("/proc/1", "/dev/cons")]
        names += ["#c/null", "#d", "#e/x", "#s", "#|", "#U", "#I/tcp", "#p", "#kx", "#o", "#M", "#", "#Zx"]
        assert len(names) > 120
        chance.shuffle(names)
        host.patience = 0.05  # to open a listen may take for ever
        for name in names:
            for mode in (OREAD, OWRITE, ORDWR, OEXEC, OREAD | OTRUNC, ORDWR | OTRUNC | ORCLOSE):
                if mode & ORCLOSE and chance.random() < 0.9:
                    continue
                chan: Chan | None = None
                with contextlib.suppress(Error):
                    chan = host.open(name, mode)
                if chan is not None:
                    attempt(host, use(host, chan, chance))
                    chan.close()
            with contextlib.suppress(Error):
                assert host.stat(name).pack()
            changes = chance.choice(
                [Dir(name="new"), Dir(mode=chance.getrandbits(32)), Dir(length=chance.choice((0, 1, 1 << 20, 1 << 63))),
                 Dir(mtime=chance.getrandbits(32)), Dir(atime=1), Dir(gid="sys"), Dir(uid="x"), Dir(name="a/b"), Dir()]
            )  # fmt: skip
            attempt(host, change(host, name, changes))
            for perm in (0o666, DMDIR | 0o777, DMAPPEND | DMEXCL | 0o600):
                made = attempt(host, create_file(host, f"{name}/made", ORDWR if not perm & DMDIR else OREAD, perm))
                if isinstance(made, Chan):
                    attempt(host, use(host, made, chance))
                    made.close()
            if chance.random() < 0.1 and name != "/":
                with contextlib.suppress(Error):
                    host.remove(name)
        # The kernel is whole.
        proc = kernel.start_program(program(main("check(fork() >= 0); sleep(1);")))
        kernel.wait(proc)
        assert proc.status == ""
