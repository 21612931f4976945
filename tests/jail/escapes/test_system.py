"""Calls that change a machine, or look into its kernel: refused, whoever the guest thinks it is."""

from __future__ import annotations

import os
import socket

import pytest
from prison import Got, Out, World, address4, address6

NONE = 0
#: What there is no call for in a jail is ENOSYS, or what an unprivileged process of the kernel's would get.
REFUSED = {"ENOSYS", "EPERM"}

#: Name → calls. Each would change the machine for the superuser, or shows what a guest is not to see.
PRIVILEGED: dict[str, tuple[tuple[object, ...], ...]] = {
    "reboot": (("reboot", 0xFEE1DEAD, 672274793, 0, 0), ("reboot", 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0)),
    "mount": (("mount", "none", "{granted}", "tmpfs", 0, 0), ("mount", "/", "{granted}", 0, 0x1000, 0)),
    "umount": (("umount2", "{granted}", 2), ("umount", "/")),
    "new mounts": (
        ("open_tree", -100, "/", 1), ("move_mount", -100, "/", -100, "{granted}", 0), ("fsopen", "tmpfs", 0),
        ("fspick", -100, "/", 0), ("fsmount", 3, 0, 0), ("fsconfig", 3, 0, 0, 0, 0),
        ("mount_setattr", -100, "/", 0, [0] * 8, 32),
    ),
    "pivot_root": (("pivot_root", "/", "{granted}"),),
    "namespaces": (
        ("unshare", 0x1000_0000), ("unshare", 0x0002_0000), ("unshare", 0x4000_0000), ("setns", 0, 0),
        ("clone", 0x1000_0011, 0, 0, 0, 0), ("clone", 0x2002_0011, 0, 0, 0, 0),
    ),
    "modules": (("init_module", b"\x7fELF", 4, ""), ("finit_module", 0, "", 0), ("delete_module", "ext4", 0)),
    "bpf": (("bpf", 0, [1, 4, 4, 1], 16), ("bpf", 5, [0] * 16, 64)),
    "perf": (("perf_event_open", [1, 64] + [0] * 14, 0, -1, -1, 0),),
    "keys": (("keyctl", 0, -3, 0, 0, 0), ("add_key", "user", "k", b"x", 1, -3), ("request_key", "user", "k", 0, -3)),
    "userfaultfd": (("userfaultfd", 0), ("userfaultfd", 1)),
    "io_uring": (("io_uring_setup", 4, Out(120)), ("io_uring_enter", 3, 1, 1, 0, 0), ("io_uring_register", 3, 0, 0, 0)),
    "kernel aio": (("io_setup", 4, [0]),),
    "swap": (("swapon", "{granted}/file", 0), ("swapoff", "{granted}/file")),
    "names": (("sethostname", "owned", 5), ("setdomainname", "owned", 5)),
    "clock": (
        ("settimeofday", [1, 1], 0), ("stime", [1]), ("clock_settime", 0, [1, 1]), ("clock_settime64", 0, [1, 0, 1, 0]),
        ("adjtimex", [1] + [0] * 31), ("clock_adjtime", 0, [1] + [0] * 31),
    ),
    "ports": (("iopl", 3), ("ioperm", 0x60, 4, 1)),
    "vm86": (("vm86", 1, Out(128)), ("vm86old", Out(128))),
    "modify_ldt": (("modify_ldt", 0x11, [6, 0, 0xFFFFF, 0x51], 16), ("modify_ldt", 1, [0, 0, 0xFFFFF, 0x51], 16)),
    "quota": (("quotactl", 0x80000100, "/dev/vda", 0, "x"),),
    "accounting": (("acct", "{granted}/file"), ("acct", 0)),
    "syslog": (("syslog", 5, 0, 0), ("syslog", 8, 0, 1)),
    "kexec": (("kexec_load", 0, 0, 0, 0),),
    "fanotify": (("fanotify_init", 0, 0), ("fanotify_mark", 3, 1, 1, 0, -100, "/")),
    "handles": (("open_by_handle_at", -100, [8, 1, 0, 0], 0),),
    "lookup": (("lookup_dcookie", 1, 0, Out(64), 64), ("sysfs", 3, 0, 0), ("_sysctl", [0] * 6), ("nfsservctl", 0, 0, 0)),
    "memory of the machine": (
        ("memfd_secret", 0), ("migrate_pages", 0, 0, 0, 0), ("mbind", 0, 4096, 2, 0, 0, 0), ("process_mrelease", 3, 0),
    ),
    "old": (("create_module", "x", 4096), ("uselib", "/lib/ld.so"), ("bdflush", 1, 0), ("get_kernel_syms", 0)),
    "landlock": (("landlock_create_ruleset", 0, 0, 1), ("landlock_restrict_self", 3, 0)),
}  # fmt: skip


@pytest.mark.parametrize("what", PRIVILEGED)
def test_a_call_that_changes_the_machine_is_refused(world: World, what: str) -> None:
    run = world.jail(*PRIVILEGED[what])
    # Without namespaces in the kernel, clone says EINVAL (kernel/fork.c).
    allowed = REFUSED | {"EINVAL"} if what == "namespaces" else REFUSED
    assert set(run.results) <= allowed, list(zip(PRIVILEGED[what], run.results, strict=True))


def test_natively_some_of_these_are_not_refused(world: World) -> None:
    """Those that do no harm: the table is no list of numbers that nobody has."""
    harmless = ("userfaultfd", "kernel aio", "keys", "modify_ldt", "syslog", "fanotify")
    allowed = [
        what
        for what in harmless
        if any(isinstance(result, int) for result in world.native(*PRIVILEGED[what][:1]).results)
    ]
    assert len(allowed) >= 2, allowed
    if os.getuid() == 0:
        assert {"fanotify", "keys"} & set(allowed)


def test_programs_in_memory_are_guests_too(world: World) -> None:
    """memfd_create, execveat: where they are there, what runs is in the jail."""
    image = (world.outside / "program").read_bytes()
    (world.granted / "image").write_bytes(image)
    run = world.jail(
        ("memfd_create", "x", 0), ("open", "{granted}/image", 0), ("sendfile", Got(0), Got(1), 0, len(image)),
        ("execveat", Got(0), "", ["program", "5", f"s{world.outside}/secret", "i0", ";", 0], [0], 0x1000),
    )  # fmt: skip
    assert run.results[-1] in {"ENOENT", "ENOSYS", "EACCES", "EBADF", "EPERM"}
    assert world.secret not in run.output


def test_the_machine_is_not_described(world: World) -> None:
    """uname and sysinfo are made up: a guest learns no host's name, no kernel's version."""
    run = world.jail(("uname", Out(390)), ("syslog", 3, Out(512), 512))
    assert os.uname().version.encode() not in run.buffers[0]
    assert os.uname().nodename.encode() + b"\0" not in run.buffers[0][65:130] or os.uname().nodename in {
        "",
        "localhost",
    }
    assert not any(run.buffers[1])


# -- network ---------------------------------------------------------------------------------------------------------


def test_without_a_network_there_is_none(world: World) -> None:
    """In any family, through either door."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        connect = ("socket", 2, 1, 0), ("connect", Got(0), address4(port), 16)
        assert world.native(*connect)[1] == 0
        server.accept()[0].close()
        run = world.jail(
            *connect, ("socketcall", 1, [2, 1, 0]), ("socketcall", 3, [Got(2), address4(port), 16]),
            ("socket", 10, 1, 0), ("connect", Got(4), address6(port, "::ffff:127.0.0.1"), 28),
            ("socket", 2, 1, 0), ("connect", Got(6), address4(port, "0.0.0.0"), 16),
        )  # fmt: skip
        assert all(isinstance(result, str) for result in run.results[1::2]), run.results
        with pytest.raises(BlockingIOError):
            server.accept()


def test_without_a_network_no_datagram_leaves(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        to = address4(server.getsockname()[1])
        attempt = (
            ("socket", 2, 2, 0), ("sendto", Got(0), b"out", 3, 0, to, 16),
            ("sendmsg", Got(0), [to, 16, [b"out", 3], 1, 0, 0, 0], 0), ("connect", Got(0), to, 16), ("write", Got(0), b"out", 3),
            ("sendmmsg", Got(0), [to, 16, [b"out", 3], 1, 0, 0, 0, 0], 1, 0),
        )  # fmt: skip
        world.native(*attempt)
        assert server.recv(10) == b"out"
        while True:
            try:
                server.recv(10)
            except BlockingIOError:
                break
        run = world.jail(*attempt)
        assert all(isinstance(result, str) for result in run.results[1:])
        with pytest.raises(BlockingIOError):
            server.recv(10)


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [(2, 3, 255), (2, 3, 1), (10, 3, 58), (17, 3, 0x300), (17, 2, 0x300), (16, 3, 0), (16, 2, 15), (38, 5, 0), (40, 1, 0),
     (31, 3, 1), (29, 3, 1), (15, 3, 2), (44, 3, 0), (2, 1, 132), (2, 10, 0), (0, 0, 0), (99, 1, 0), (5, 2, 0)],
)  # fmt: skip
def test_sockets_that_are_no_plain_ones_are_refused(world: World, family: int, kind: int, protocol: int) -> None:
    """Raw and packet sockets, netlink, the kernel's cryptography, virtual machines, Bluetooth, CAN, keys, XDP …"""
    run = world.jail(
        ("socket", family, kind, protocol),
        ("socketcall", 1, [family, kind, protocol]),
        ("socketpair", family, kind, protocol, Out(8)),
    )
    assert set(run.results) <= {
        "EAFNOSUPPORT",
        "EPERM",
        "EACCES",
        "ENOSYS",
        "EPROTONOSUPPORT",
        "ESOCKTNOSUPPORT",
        "EINVAL",
        "ENOTSUP",
    }
