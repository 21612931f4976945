"""Boot: what Plan 9's init does once there is a name space (/sys/src/cmd/init.c): a shell in the user's home.

The shell is the root's ``/bin/rc`` with ``/rc/lib/rcmain``. What is interactive is a login shell, where the user has a profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference.records import dataclass
from vx32py._errors import BadImage
from vx32py.plan9.aout import parse_header
from vx32py.plan9.chan import DMDIR, OREAD
from vx32py.plan9.errors import Eisdir, Eperm, Error
from vx32py.plan9.paths import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vx32py.plan9.host import Host
    from vx32py.plan9.kernel import Kernel

SHELL: Final = "/bin/rc"
RCMAIN: Final = "/rc/lib/rcmain"
#: Where a system says which time zone it is in; programs look for it in $timezone.
_TIMEZONE: Final = "/adm/timezone/local"
_MOST: Final = 64 << 10


class NoShell(Error):
    """A root in which nothing can be booted: one line that says what is missing."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What to start: see :meth:`vx32py.plan9.kernel.Kernel.start`."""

    command: tuple[str, ...]
    env: dict[str, str]
    directory: str


def shell(
    kernel: Kernel, command: str | None = None, arguments: Sequence[str] = (), *, interactive: bool = False
) -> Beginning:
    """The shell of a kernel that has a root: for one ``command``, with $* from ``arguments``, or for what it reads from its standard input; then
    ``interactive`` means with a prompt. Raises NoShell."""
    check(kernel)
    words = ["rc", "-m", RCMAIN]
    home = home_of(kernel)
    if command is not None:
        words += ["-c", command, *arguments]
    elif interactive:
        words += ["-li" if is_there(kernel, f"{home}/lib/profile") else "-i", *arguments]
    return Beginning(tuple(words), environment(kernel), home)


def check(kernel: Kernel) -> None:
    """Whether there is a shell that can run. Raises NoShell."""
    for name, where in ((SHELL, "/386/bin/rc, nor /bin/rc"), (RCMAIN, RCMAIN)):
        if not is_there(kernel, name):
            raise NoShell(f"there is no {where}: not the root of a Plan 9 system for the 386")
    why = what_is_wrong(kernel, SHELL)
    if why is not None:
        raise NoShell(f"{SHELL}: {why}")


def what_is_wrong(kernel: Kernel, program: str) -> str | None:
    """Why a program of the name space cannot be run, in more words than Plan 9's kernel has for it; None where there are none."""
    path = program if program.startswith(("/", "#", "./", "../")) else f"/bin/{program}"
    try:
        mode = kernel.host.stat(path).mode
        if mode & DMDIR:
            return Eisdir
        beginning = kernel.host.do(_beginning(kernel.host, path))
    except Error as error:
        return error.text
    if not mode & 0o111:
        return f"{Eperm}: no mode of execution on the host (chmod +x)"
    if not beginning.startswith(b"#!"):
        try:
            parse_header(beginning)
        except BadImage as error:
            return str(error)
    return None


async def _beginning(host: Host, name: str) -> bytes:
    from vx32py.plan9 import naming, transfers

    chan = await naming.open_file(host, name, OREAD)
    try:
        return await transfers.read(host, chan, 64, None)
    finally:
        chan.close()


def home_of(kernel: Kernel) -> str:
    """The user's home, or the root where there is none."""
    home = f"/usr/{kernel.user}"
    return home if is_there(kernel, home) else "/"


def environment(kernel: Kernel) -> dict[str, str]:
    """What init sets, besides what the kernel does."""
    found = {"home": home_of(kernel)}
    try:
        zone = kernel.host.read(_TIMEZONE)
    except Error:
        return found
    if len(zone) < _MOST:
        found["timezone"] = zone.decode(errors="surrogateescape")
    return found


def is_there(kernel: Kernel, name: str) -> bool:
    """Whether there is a file."""
    try:
        kernel.host.stat(clean(name))
    except Error:
        return False
    return True
