"""Paths that lead out of a granted folder: none does. Each does natively, in the same folder."""

from __future__ import annotations

import os
import secrets
import select
import socket
from pathlib import Path

import pytest
from prison import Got, Out, World, numbers

AT_FDCWD = -100
AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x200, 0x400, 0x1000
O_LARGEFILE = 0o100000
READ = ("read", Got(0), Out(64), 64)


def reading(path: str) -> tuple[tuple[object, ...], ...]:
    """Open a file and read it."""
    return ("open", path, os.O_RDONLY), READ


# -- reading ---------------------------------------------------------------------------------------------------------


def test_the_hosts_own_path_is_not_the_guests(world: World) -> None:
    attempt = reading("{outside}/secret")
    assert world.secret in world.native(*attempt).output
    assert world.jail(*attempt).results == ["ENOENT", "EBADF"]


@pytest.mark.parametrize("kind", ["absolute", "relative", "folder", "chain", "link in a linked folder", "parent"])
def test_a_symbolic_link_leads_nowhere_outside(world: World, kind: str) -> None:
    link, path = world.granted / "link", "{granted}/link"
    match kind:
        case "absolute":
            link.symlink_to(world.outside / "secret")
        case "relative":
            link.symlink_to("../outside/secret")
        case "folder":
            link.symlink_to(world.outside)
            path += "/inner/secret"
        case "chain":
            for i in range(20):
                (world.granted / f"step{i}").symlink_to(f"step{i + 1}")
            (world.granted / "step20").symlink_to(world.outside)
            link.symlink_to("step0/inner/../secret")
        case "link in a linked folder":
            (world.granted / "inner" / "up").symlink_to("../..")
            link.symlink_to("inner/up")
            path += "/outside/secret"
        case "parent":
            link.symlink_to("..")
            path += "/outside/secret"
    attempt = reading(path)
    assert world.secret in world.native(*attempt).output
    run = world.jail(*attempt)
    assert run.results == ["ENOENT", "EBADF"]


def test_a_link_that_the_guest_makes_leads_nowhere_outside(world: World) -> None:
    attempt = (
        ("symlink", "{outside}/secret", "{granted}/mine"), ("open", "{granted}/mine", os.O_RDONLY),
        ("read", Got(1), Out(64), 64), ("unlink", "{granted}/mine"),
    )  # fmt: skip
    assert world.secret in world.native(*attempt).output
    assert world.jail(*attempt).results == [0, "ENOENT", "EBADF", 0]


def test_the_parents_of_the_root_are_the_root(world: World) -> None:
    """However many of them, in all spellings, from every depth."""
    there = str(world.outside / "secret").lstrip("/")
    (world.granted / "inner" / "deep").mkdir()
    ups = [start + up * count + there
           for start in ("/", "{granted}/", "{granted}/inner/deep/")
           for up in ("../", ".././", "..//", "./../")
           for count in (1, 2, 3, 5, 20)]  # fmt: skip
    ups.append("../" * 1200 + there)
    calls = [call for i, path in enumerate(ups) for call in (("open", path, 0), ("read", Got(2 * i), Out(64), 64))]
    native = world.native(*calls)
    assert native.output.count(world.secret) > len(ups) // 3
    for start in range(0, len(calls), 62):
        run = world.jail(*[_moved(call, start) for call in calls[start : start + 62]])
        assert set(run.results[::2]) == {"ENOENT"}, run.results
        assert set(run.results[1::2]) == {"EBADF"}


def _moved(call: tuple[object, ...], start: int) -> tuple[object, ...]:
    """The same call where the first is that of number ``start``."""
    return tuple(Got(word.number - start) if isinstance(word, Got) else word for word in call)


def test_what_only_looks_like_a_parent_is_none(world: World) -> None:
    names = ["...", ". .", "..\u00a0", ".. ", " ..", "..\\", "%2e%2e", "..\x01", "\u2024\u2024", "\uff0e\uff0e"]
    run = world.jail(*[("open", "{granted}/" + name + "/outside/secret", 0) for name in names])
    assert set(run.results) == {"ENOENT"}
    # They are names like all others.
    run = world.jail(*[("mkdir", "{granted}/" + name, 0o755) for name in names])
    assert run.results == [0] * len(names)
    assert {path.name for path in world.granted.iterdir()} == {*names, "file", "inner"}


def test_a_name_may_be_any_bytes_and_nothing_else_comes_of_it(world: World) -> None:
    raw = b"\xff\xfe\x80..\xc0\xaf\n\t" + bytes(range(1, 47)) + bytes(range(48, 128))
    path = b"/granted/" + raw + b"\0"
    run = world.jail(
        ("open", path, os.O_CREAT | os.O_WRONLY, 0o600), ("write", Got(0), b"mine", 4), ("access", path, 0)
    )
    assert run.results[1:] == [4, 0]
    assert (Path(os.fsdecode(os.fsencode(world.granted) + b"/" + raw))).read_bytes() == b"mine"


def test_a_descriptor_of_a_folder_is_no_way_up(world: World) -> None:
    attempt = (
        ("open", "{granted}/inner", os.O_RDONLY), ("openat", Got(0), "../../outside/secret", os.O_RDONLY),
        ("read", Got(1), Out(64), 64), ("fchdir", Got(0)), ("open", "../../outside/secret", 0),
        ("read", Got(4), Out(64), 64),
    )  # fmt: skip
    native = world.native(*attempt)
    assert native.output.count(world.secret) == 2
    run = world.jail(*attempt)
    assert run.results[1:] == ["ENOENT", "EBADF", 0, "ENOENT", "EBADF"]


def test_an_absolute_path_beside_a_descriptor_is_the_guests(world: World) -> None:
    attempt = ("open", "{granted}", 0), ("openat", Got(0), "{outside}/secret", 0), ("read", Got(1), Out(64), 64)
    assert world.secret in world.native(*attempt).output
    assert world.jail(*attempt).results[1:] == ["ENOENT", "EBADF"]


def test_a_folder_that_the_guest_moves_up_under_its_own_feet_is_no_way_out(world: World) -> None:
    """A way out of chroot: the working directory is deep down, is moved to the top, and its parents are counted from there."""
    moves = (
        ("mkdir", "{granted}/a", 0o755), ("mkdir", "{granted}/a/b", 0o755), ("mkdir", "{granted}/a/b/c", 0o755),
        ("chdir", "{granted}/a/b/c"), ("open", ".", 0), ("rename", "{granted}/a/b/c", "{granted}/c"),
        ("open", "../../../../../outside/secret", 0), ("read", Got(6), Out(64), 64),
        ("open", "../outside/secret", 0), ("read", Got(8), Out(64), 64),
        ("open", "../../outside/secret", 0), ("read", Got(10), Out(64), 64),
        ("openat", Got(4), "../../outside/secret", 0), ("read", Got(12), Out(64), 64),
    )  # fmt: skip
    assert (
        world.secret
        in world.native(*moves, ("rmdir", "{granted}/c"), ("rmdir", "{granted}/a/b"), ("rmdir", "{granted}/a")).output
    )
    run = world.jail(*moves)
    assert run.results[:4] == [0] * 4
    assert run.results[5:] == [0, "ENOENT", "EBADF", "ENOENT", "EBADF", "ENOENT", "EBADF", "ENOENT", "EBADF"]


def test_a_removed_working_directory_has_no_parent_outside(world: World) -> None:
    calls = (
        ("mkdir", "{granted}/gone", 0o755), ("chdir", "{granted}/gone"), ("rmdir", "{granted}/gone"),
        ("open", "../outside/secret", 0), ("open", "../../outside/secret", 0), ("getcwd", Out(64), 64),
    )  # fmt: skip
    run = world.jail(*calls)
    assert run.results == [0, 0, 0, "ENOENT", "ENOENT", "ENOENT"]


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/root{outside}/secret", "/proc/self/cwd{up}{outside}/secret", "/proc/thread-self/root{outside}/secret",
        "/proc/{host}/root{outside}/secret", "/proc/{host}/cwd{up}{outside}/secret", "/proc/{bird}/root{outside}/secret",
        "/proc/self/task/../../{host}/root{outside}/secret", "/proc/1/root{outside}/secret",
        "/dev/fd/../../../..{outside}/secret", "/proc/self/fd/../root/{outside}/secret",
    ],
)  # fmt: skip
def test_no_link_of_proc_leads_outside(world: World, bird: object, path: str) -> None:
    words = {"host": os.getpid(), "bird": bird.pid, "up": "/.." * 20, "outside": world.outside}  # type: ignore[attr-defined]
    attempt = reading(path.format(**words))
    natively = "/dev/fd" not in path and "/1/" not in path
    if natively:
        assert world.secret in world.native(*attempt).output
    run = world.jail(*attempt)
    assert run.results == ["ENOENT", "EBADF"]


def test_proc_shows_nothing_of_the_host(world: World, bird: object) -> None:
    """Neither processes, nor their memory, environments and files."""
    host = os.getpid()
    os.environ["CANARY_OF_THE_TESTS"] = world.secret.decode()
    paths = [f"/proc/{pid}/{name}" for pid in (host, bird.pid, 1)  # type: ignore[attr-defined]
             for name in ("environ", "cmdline", "mem", "maps", "stat", "exe", "fd/0", "fd/1", "ns/mnt", "task")]  # fmt: skip
    paths += [
        f"/proc/{name}" for name in ("kcore", "kmsg", "keys", "kallsyms", "sysrq-trigger", "sys/kernel/core_pattern")
    ]
    paths += ["/sys/kernel", "/sys/fs/cgroup", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/ptmx",
              "/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/loop0", "/etc/shadow", "/run", "/root"]  # fmt: skip
    calls = [("access", path, 0) for path in paths]
    assert world.native(*calls).results.count(0) > 20
    run = world.jail(*calls)
    found = [path for path, result in zip(paths, run.results, strict=True) if result != "ENOENT"]
    assert found == []
    listing = world.jail(("open", "/proc", os.O_DIRECTORY), ("getdents64", Got(0), Out(4096), 4096))
    for pid in (host, bird.pid):  # type: ignore[attr-defined]
        assert f"\0{pid}\0".encode() not in listing.output


@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/self/map_files", "/proc/self/pagemap", "/proc/self/auxv",
                                  "/proc/self/environ", "/proc/self/maps", "/proc/self/cmdline"])  # fmt: skip
def test_proc_self_is_not_the_hosts(world: World, path: str) -> None:
    """A guest that opens what the kernel calls "self" would have the whole Python process."""
    assert isinstance(world.native(("open", path, os.O_RDONLY))[0], int)
    run = world.jail(("open", path, os.O_RDONLY), ("read", Got(0), Out(8192), 8192), ("lseek", Got(0), 1 << 20, 0))
    for word in (b"python", b"libc.so.6", os.fsencode(os.environ["PATH"]), b"pytest"):
        assert word not in run.output


def test_the_guests_executable_is_not_the_hosts(world: World) -> None:
    run = world.jail(
        ("readlink", "/proc/self/exe", Out(256), 256),
        ("open", "/proc/self/exe", os.O_WRONLY),
        *reading("/proc/self/exe"),
    )
    assert b"python" not in b"".join(run.buffers)
    assert run[1] in {"ENOENT", "EROFS", "ETXTBSY", "EACCES"}


def test_the_root_is_made_of_what_is_granted(world: World) -> None:
    run = world.jail(("open", "/", os.O_DIRECTORY), ("getdents64", Got(0), Out(4096), 4096))
    native = world.native(("open", "/", os.O_DIRECTORY), ("getdents64", Got(0), Out(8192), 8192))
    assert b"granted\0" in run.buffers[0]
    for name in ("usr", "root", "home", "work", "boot", "opt", "srv", "sys"):
        if Path("/", name).exists():
            assert f"{name}\0".encode() in native.buffers[0]
            assert f"{name}\0".encode() not in run.buffers[0]


def test_links_to_themselves_end(world: World) -> None:
    (world.granted / "self").symlink_to("self")
    (world.granted / "ping").symlink_to("pong")
    (world.granted / "pong").symlink_to("ping/x")
    # Every one of these walks the next one twice: 2^40 steps if nobody counts.
    (world.granted / "b0").symlink_to("inner")
    for i in range(40):
        (world.granted / f"b{i + 1}").symlink_to(f"b{i}/../b{i}")
    calls = [("open", "{granted}/" + name, 0) for name in ("self", "ping", "b40", "self/", "ping/../file")]
    assert set(world.native(*calls).results) == {"ELOOP"}
    assert set(world.jail(*calls).results) == {"ELOOP"}


def test_long_paths_are_refused_as_the_kernel_does(world: World) -> None:
    paths = [
        "{granted}/" + "x" * 255,
        "{granted}/" + "x" * 256,
        "{granted}/" + "./" * 2100,
        "/" * 5000,
        "/" + "x/" * 2100,
    ]
    calls = [("open", path, 0) for path in paths]
    assert world.jail(*calls).results == world.native(*calls).results


# -- making and changing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "O_EXCL", "folder", "socket", "link target", "truncate", "chmod", "utimes"])
def test_nothing_outside_is_made_or_changed_through_a_link(world: World, twin: World, kind: str) -> None:
    for each in (world, twin):
        (each.granted / "new").symlink_to(each.outside / "new")
        (each.granted / "old").symlink_to(each.outside / "secret")
        (each.granted / "dir").symlink_to(each.outside)
    attempts: dict[str, tuple[tuple[object, ...], ...]] = {
        "file": (("open", "{granted}/new", os.O_CREAT | os.O_WRONLY, 0o600),),
        "O_EXCL": (("open", "{granted}/dir/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600),),
        "folder": (("mkdir", "{granted}/dir/new", 0o755),),
        "socket": (("mknod", "{granted}/dir/new", 0o010644, 0),),
        "link target": (("link", "{granted}/file", "{granted}/dir/new"),),
        "truncate": (("truncate", "{granted}/old", 0),),
        "chmod": (("chmod", "{granted}/old", 0),),
        "utimes": (("utime", "{granted}/old", [1, 1]),),
    }
    twin.native(*attempts[kind])
    assert twin.harm() != []
    (result,) = world.jail(*attempts[kind]).results
    assert result == "ENOENT"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (("link", "{outside}/secret", "{granted}/mine"), "ENOENT"),
        (("link", "/granted/../../../../{outside}/secret", "{granted}/mine"), "ENOENT"),
        (("linkat", AT_FDCWD, "{granted}/link", AT_FDCWD, "{granted}/mine", AT_SYMLINK_FOLLOW), "ENOENT"),
        (("rename", "{outside}/secret", "{granted}/mine"), "ENOENT"),
        (("rename", "{granted}/file", "{outside}/secret"), "ENOENT"),
        (("renameat2", AT_FDCWD, "{granted}/file", AT_FDCWD, "{outside}/secret", 2), "ENOENT"),
        (("unlink", "{outside}/secret"), "ENOENT"),
        (("unlinkat", AT_FDCWD, "{outside}/inner/secret", 0), "ENOENT"),
        (("rename", "{outside}/inner", "{granted}/mine"), "ENOENT"),
        (("chdir", "{outside}"), "ENOENT"),
        (("symlinkat", "x", AT_FDCWD, "{outside}/mine"), "ENOENT"),
    ],
)
def test_nothing_is_brought_in_or_taken_away(world: World, twin: World, how: tuple[object, ...], expected: str) -> None:
    for each in (world, twin):
        (each.granted / "link").symlink_to(each.outside / "secret")
    run = twin.native(
        tuple("{outside}/secret" if word == "/granted/../../../../{outside}/secret" else word for word in how)
    )
    assert run[0] == 0
    assert world.jail(how).results == [expected]
    assert not (world.granted / "mine").exists()


def test_no_hard_link_is_made_across_grants(world: World, twin: World) -> None:
    """A link in the writable folder to a file of the read-only one could be written to."""
    attempt = (
        ("link", "{readonly}/file", "{granted}/mine"), ("open", "{granted}/mine", os.O_RDWR),
        ("write", Got(1), b"changed", 7), ("rename", "{readonly}/file", "{granted}/mine"),
        ("linkat", AT_FDCWD, "{readonly}/inner/file", AT_FDCWD, "{granted}/mine", 0),
        ("open", "{readonly}/file", 0), ("linkat", Got(5), "", AT_FDCWD, "{granted}/mine", AT_EMPTY_PATH),
    )  # fmt: skip
    twin.native(*attempt)
    assert "readonly/file" in twin.harm()
    run = world.jail(*attempt)
    assert [run[i] for i in (0, 1, 2, 3, 4)] == ["EXDEV", "ENOENT", "EBADF", "EXDEV", "EXDEV"]
    assert run[6] in {"EXDEV", "ENOENT"}


# -- what is not a file ----------------------------------------------------------------------------------------------


def test_devices_are_neither_made_nor_opened(world: World) -> None:
    zero = os.makedev(1, 5)
    made = ("mknod", "{granted}/device", 0o020666, zero), ("mknod", "{granted}/disk", 0o060666, os.makedev(8, 0))
    if os.getuid() == 0:
        os.mknod(world.granted / "planted", 0o020666, zero)
        assert world.native(*reading("{granted}/planted"))[1] == 64
    else:
        (world.granted / "planted").symlink_to("/dev/zero")
    run = world.jail(*made, ("open", "{granted}/planted", 0), ("open", "{granted}/planted", os.O_RDWR))
    assert run.results[:2] == ["EPERM", "EPERM"]
    assert set(run.results[2:]) <= {"EACCES", "ENXIO", "ENOENT"}
    assert not (world.granted / "device").exists()


def test_a_pipe_of_the_hosts_in_a_granted_folder_is_not_opened(world: World) -> None:
    """Neither does an open of it stop the host until somebody opens the other end."""
    os.mkfifo(world.granted / "pipe")
    reader = os.open(world.granted / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    attempt = ("open", "{granted}/pipe", os.O_WRONLY), ("write", Got(0), b"from inside", 11)
    world.native(*attempt)
    assert os.read(reader, 100) == b"from inside"
    run = world.jail(*attempt, ("open", "{granted}/pipe", os.O_RDONLY))
    if isinstance(run[0], str):
        assert run.results[:2] == ["EACCES", "EBADF"]
    os.set_blocking(reader, False)
    assert os.read(reader, 100) == b""
    os.close(reader)


@pytest.mark.parametrize("kind", ["path", "abstract", "path through a link"])
def test_unix_sockets_of_the_host_are_not_reached(world: World, kind: str) -> None:
    """Such as those of X11 and D-Bus."""
    listener = socket.socket(socket.AF_UNIX)
    if kind == "abstract":
        name = f"\0vx32py-{secrets.token_hex(4)}".encode()
    else:
        name = os.fsencode(world.granted / "socket")
        if kind == "path through a link":
            listener.bind(str(world.outside / "socket"))
            (world.granted / "socket").symlink_to(world.outside / "socket")
    if listener.getsockname() in {"", b""}:
        listener.bind(name)
    world.before = world._state()
    listener.listen()
    listener.setblocking(False)

    def attempt(path: bytes) -> tuple[tuple[object, ...], ...]:
        address = b"\1\0" + path + (b"\0" if kind != "abstract" else b"")
        return (
            ("socket", 1, 1, 0), ("connect", Got(0), address, len(address)),
            ("socketcall", 1, [1, 1, 0]), ("socketcall", 3, [Got(2), address, len(address)]),
        )  # fmt: skip

    with listener:
        assert world.native(*attempt(name))[1] == 0
        for _ in range(2):
            listener.accept()[0].close()
        for path in {name, name.replace(os.fsencode(world.granted), b"/granted")}:
            run = world.jail(*attempt(path))
            assert set(run.results[1::2]) <= {"EBADF", "ECONNREFUSED", "EACCES", "ENOENT"}
            assert all(isinstance(result, str) for result in run.results[1::2])
        assert not select.select([listener], [], [], 0)[0]


def test_a_unix_socket_is_not_bound_outside(world: World, twin: World) -> None:
    for each in (world, twin):
        (each.granted / "dir").symlink_to(each.outside)

    def attempt(world: World, granted: str) -> tuple[tuple[object, ...], ...]:
        calls: list[tuple[object, ...]] = [("socket", 1, 1, 0)]
        for path in (f"{granted}/dir/new", f"{world.outside}/other", f"{granted}/../outside/third"):
            address = b"\1\0" + path.encode() + b"\0"
            calls += [("bind", Got(0), address, len(address)), ("socket", 1, 1, 0)]
        return tuple(calls)

    assert twin.native(*attempt(twin, str(twin.granted)))[1] == 0
    assert twin.harm() != []
    run = world.jail(*attempt(world, "/granted"))
    assert all(isinstance(result, str) for result in run.results[1::2])


def test_no_program_gets_the_set_user_id_bit(world: World) -> None:
    """The guest runs as whoever runs the host: another user of the machine must not get a shell of that one's."""
    run_as = ("{granted}/shell", "{granted}/other", "{granted}/folder")
    calls = (
        ("open", run_as[0], os.O_CREAT | os.O_WRONLY, 0o6777), ("fchmod", Got(0), 0o6777), ("chmod", run_as[0], 0o6755),
        ("fchmodat", AT_FDCWD, run_as[0], 0o4755), ("mkdir", run_as[2], 0o2777), ("chmod", run_as[2], 0o3777),
        ("mknod", run_as[1], 0o106755, 0),
    )  # fmt: skip
    world.native(*calls)
    assert (world.granted / "shell").stat().st_mode & 0o6000
    for name in ("shell", "folder", "other"):
        path = world.granted / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    world.jail(*calls)
    for name in ("shell", "folder"):
        assert (world.granted / name).stat().st_mode & 0o6000 == 0, name  # sticky directories are harmless


def test_a_planted_set_user_id_program_gives_nothing(world: World) -> None:
    """No call of a guest's makes the kernel start a program: what runs is another guest, with the rights of the first."""
    program = world.granted / "program"
    program.write_bytes((world.outside / "program").read_bytes())
    os.chown(program, 1 if os.getuid() == 0 else -1, -1)
    program.chmod(0o4755)
    attempt = (
        "execve",
        "{granted}/program",
        ["program", str(numbers()["geteuid32"]), ";", str(numbers()["getpid"]), ";", 0],
        [0],
    )
    assert world.native(attempt)[0] == program.stat().st_uid
    before = world.jail(("geteuid32",), ("getpid",))
    assert world.jail(attempt).results in (before.results, ["EACCES"])


def test_handles_of_files_are_none(world: World) -> None:
    """open_by_handle_at opens by inode number, and is the way out of containers."""
    attempt = (
        ("name_to_handle_at", AT_FDCWD, "{granted}/file", [128] + [0] * 34, Out(4), 0),
        ("open", "{granted}", 0), ("open_by_handle_at", Got(1), [8, 1, 2, 0], 0),
    )  # fmt: skip
    run = world.jail(*attempt)
    assert [run[0], run[2]] in (
        ["ENOSYS", "ENOSYS"],
        ["ENOTSUP", "EPERM"],
        ["ENOTSUP", "ENOTSUP"],
        ["EPERM", "EPERM"],
    )


def test_nobody_is_told_what_happens_outside(world: World) -> None:
    watch = ("inotify_init1", 0o4000), ("inotify_add_watch", Got(0), "{outside}", 0xFFF)
    assert world.native(*watch)[1] == 1
    run = world.jail(*watch, ("fanotify_init", 0, 0), ("open", "{granted}", 0), ("fcntl64", Got(3), 1026, 0x8000_001F))
    assert run[1] in {"EBADF", "ENOENT", "ENOSYS"}
    assert run[2] in {"ENOSYS", "EPERM"}
    assert run[4] == "EINVAL"
