"""Name spaces: bind, mount, unmount (bind(2))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._calls import signed
from vx32py.plan9 import naming
from vx32py.plan9.calls.files import channel
from vx32py.plan9.calls.table import call
from vx32py.plan9.chan import OCEXEC, ORDWR, OREAD, Chan
from vx32py.plan9.errors import Ebadarg, Enoattach, Error
from vx32py.plan9.namespace import MAFTER, MBEFORE, MMASK, MORDER
from vx32py.plan9.waiting import waits

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc


def _check_flag(flag: int) -> None:
    if flag & ~MMASK or flag & MORDER == MBEFORE | MAFTER:
        raise Error(Ebadarg)


@call(2, "bind")
@waits
async def bind(proc: Proc, new: int, old: int, flag: int) -> int:
    """Let a file be found elsewhere, too."""
    _check_flag(flag)
    source = await naming.find_to_bind(proc, proc.string(new))
    target = await naming.find_mount_point(proc, proc.string(old))
    return proc.names.mount(source, target, flag)


@call(46, "mount")
@waits
async def mount(proc: Proc, fd: int, afd: int, old: int, flag: int, spec: int) -> int:
    """Let the files of a server be found somewhere; it is at the other end of a descriptor, which is closed."""
    return await _mount(proc, fd, afd, old, flag, spec)


@call(13, "_mount")
@waits
async def old_mount(proc: Proc, fd: int, old: int, flag: int, spec: int) -> int:
    """The same for old programs, without authentication."""
    return await _mount(proc, fd, 0xFFFF_FFFF, old, flag, spec)


async def _mount(proc: Proc, fd: int, afd: int, old: int, flag: int, spec: int) -> int:
    from vx32py.plan9.devices.mnt import attach

    _check_flag(flag)
    if proc.names.noattach:
        raise Error(Enoattach)
    connection = channel(proc, fd, ORDWR, for_messages=True).incref()
    auth: Chan | None = None
    try:
        auth = channel(proc, afd, ORDWR, for_messages=True).incref() if signed(afd) >= 0 else None
        tree, place = proc.string(spec), proc.string(old)
        if tree:
            naming.check_name(tree)
        source = await attach(proc, connection, auth, tree)
        target = await naming.find_mount_point(proc, place)
        number = proc.names.mount(source, target, flag, tree)
    finally:
        connection.close()
        if auth is not None:
            auth.close()
    proc.fds.take(fd).close()
    return number


@call(35, "unmount")
@waits
async def unmount(proc: Proc, name: int, old: int) -> None:
    """Let something, or all of it, be found somewhere no more."""
    target = await naming.find_mount_point(proc, proc.string(old))
    if not name:
        proc.names.unmount(target, None)
        return
    # What is behind a name such as /srv/cs is only known when it is open.
    mounted = await naming.open_file(proc, proc.string(name), OREAD)
    try:
        proc.names.unmount(target, mounted)
    finally:
        mounted.close()


@call(40, "fversion")
@waits
async def fversion(proc: Proc, fd: int, size: int, version: int, length: int) -> int:
    """Agree with a server on the protocol; how long the name of that is."""
    from vx32py.plan9.devices.mnt import negotiate

    proc.memory.check(version, length, writable=True)
    wanted, end, _ = proc.memory.read(version, length).partition(b"\0")
    if not end:
        raise Error(Ebadarg)
    connection = channel(proc, fd, ORDWR, for_messages=True)
    agreed = (await negotiate(proc, connection, size, wanted.decode(errors="replace"))).encode()
    if len(agreed) > length:
        from vx32py.plan9.errors import Eshort

        raise Error(Eshort)
    proc.memory.write(version, agreed + b"\0" * (len(agreed) < length))
    return len(agreed)


@call(10, "fauth")
@waits
async def fauth(proc: Proc, fd: int, spec: int) -> int:
    """A descriptor on which to convince a server of who one is."""
    from vx32py.plan9.devices.mnt import authentication

    connection = channel(proc, fd, ORDWR, for_messages=True)
    tree = proc.string(spec)
    chan = await authentication(proc, connection, tree)
    chan.flags |= OCEXEC
    try:
        return proc.fds.install(chan)
    except Error:
        chan.close()
        raise


@call(9, "_fsession")
def old_session(proc: Proc, fd: int, challenge: int, length: int) -> None:
    """Old programs wanted to convince a server before a mount; there is nothing to be said any more."""
    del fd
    if not length:
        raise Error(Ebadarg)
    proc.memory.check(challenge, length, writable=True)
    proc.memory.write_u8(challenge, 0)
