"""The application's objects as files: what ``Kernel.bind`` puts into the name space.

A mapping is a directory. ``bytes`` or ``str`` are a file that can be read, and executed if the bytes are a program; a
``bytearray`` is one that can be changed. A function without arguments is called when its file is opened, and returns what can be
read there, and a :class:`File` does as it likes.

What is raised here is the application's affair and comes out of ``Kernel.wait``; only :class:`Error` is for the guest, whose
call fails with that text, and WouldBlock makes it wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from vx32py.plan9.aout import MAGIC
from vx32py.plan9.chan import DMDIR, ORDWR, OTRUNC, OWRITE, Caller, Chan, open_mode
from vx32py.plan9.devices.nodes import Node
from vx32py.plan9.errors import Eexist, Enonexist, Eperm, Error, Etoobig

if TYPE_CHECKING:
    from vx32py.plan9.chan import KernelView
    from vx32py.plan9.stat import Dir

#: A ``bytearray`` grows to this size at most, and all together in a writable :class:`Directory` grow by so much; it has so many
#: files.
MOST_BYTES: Final = 64 << 20
MOST_TOGETHER: Final = 256 << 20
#: What a file counts besides its bytes.
_OVERHEAD: Final = 1024
MOST_FILES: Final = 10_000
#: How files begin that can be executed.
_PROGRAMS: Final = (MAGIC.to_bytes(4, "big"), b"#!")
_WRITES: Final = (OWRITE, ORDWR)


class Opened:
    """A file as somebody has it open. ``user`` and ``pid`` are who opened it, ``mode`` is OREAD, OWRITE or ORDWR (0, 1, 2);
    ``state`` is the file's own, None at first."""

    __slots__ = ("mode", "pid", "state", "user")

    def __init__(self, user: str, pid: int, mode: int) -> None:
        self.user = user
        self.pid = pid
        self.mode = mode
        self.state: Any = None


class File:
    """A file whose content the application makes and takes; a subclass overrides what its file can do.

    ``permissions`` are the nine bits of its mode; None stands for reading by everybody if there is a ``read``, and writing if
    there is a ``write``.
    """

    permissions: int | None = None

    def open(self, opened: Opened) -> None:
        """Somebody opens it."""

    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on; none at the end."""
        raise Error(Eperm)

    def write(self, opened: Opened, data: bytes, offset: int) -> int | None:
        """Take what is written; how much of it, all if None."""
        raise Error(Eperm)

    def truncate(self) -> None:
        """It is opened to be written anew."""

    def close(self, opened: Opened) -> None:
        """Somebody has closed it who had opened it, or has ended."""

    def size(self) -> int:
        """How many bytes it has, as far as that can be told."""
        return 0


class Directory:
    """A mapping as a directory in which guests may create and remove files (a ``bytearray`` each) and directories (a ``dict``
    each), if it is ``writable``; ``left`` is by how many bytes all that is in it may still grow."""

    def __init__(self, files: MutableMapping[str, Any], *, writable: bool = True) -> None:
        self.files = files
        self.writable = writable
        self.left = MOST_TOGETHER

    def take(self, count: int) -> None:
        """It has so many bytes more; or less, if that is negative. Raises Error."""
        if count > self.left:
            raise Error("file system full")
        self.left -= count


#: What can be a file or a directory.
Served: TypeAlias = "bytes | str | bytearray | Callable[[], bytes | str] | File | Directory | Mapping[str, Any]"


class _Made(File):
    """Bytes, or a function that makes some, once each time it is opened."""

    def __init__(self, content: bytes | str | Callable[[], bytes | str]) -> None:
        self._content = content

    @property
    def is_program(self) -> bool:
        """Whether it could be executed: an a.out, or a script."""
        return isinstance(self._content, bytes) and self._content.startswith(_PROGRAMS)

    def open(self, opened: Opened) -> None:
        found = self._content() if callable(self._content) else self._content
        if not isinstance(found, bytes | str):
            raise TypeError(f"the content of a file is bytes or str, not {type(found).__name__}")
        opened.state = found.encode(errors="surrogateescape") if isinstance(found, str) else found

    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        piece: bytes = opened.state[offset : offset + count]
        return piece

    def size(self) -> int:
        content = self._content
        return (
            0
            if callable(content)
            else len(content.encode(errors="surrogateescape") if isinstance(content, str) else content)
        )


class _Array(File):
    """A bytearray, perhaps one in a directory that has an end."""

    def __init__(self, content: bytearray, directory: Directory | None) -> None:
        self._content = content
        self._directory = directory

    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        return bytes(self._content[offset : offset + count])

    def write(self, opened: Opened, data: bytes, offset: int) -> int:
        content = self._content
        if offset + len(data) > MOST_BYTES:
            raise Error(Etoobig)
        if self._directory is not None:
            self._directory.take(max(offset + len(data) - len(content), 0))
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data
        return len(data)

    def truncate(self) -> None:
        if self._directory is not None:
            self._directory.take(-len(self._content))
        self._content.clear()

    def size(self) -> int:
        return len(self._content)


class ObjectNode(Node):
    """An object in the name space. Which file it is, is a matter of where it is: ``above`` are the names down to it."""

    def __init__(
        self, value: Served, name: str, up: ObjectNode | None, above: tuple[object, ...], view: KernelView
    ) -> None:
        self.up = up
        self._above = above
        self._view = view
        self.file: File | None = None
        self.folder: Mapping[str, Any] | None = None
        self.writable = False
        self._directory: Directory | None = up._directory if up is not None else None  # noqa: SLF001
        if isinstance(value, Directory):
            self.folder, self.writable, self._directory = value.files, value.writable, value
        elif isinstance(value, Mapping):
            self.folder, self.writable = value, up is not None and up.writable
        elif isinstance(value, File):
            self.file = value
        elif isinstance(value, bytearray):
            self.file = _Array(value, self._directory)
        elif isinstance(value, bytes | str) or callable(value):
            self.file = _Made(value)
        else:
            raise TypeError(
                f"{name}: a file is bytes, str, a bytearray, a function or a File, a directory is a mapping; not "
                f"{type(value).__name__}"
            )
        number = int.from_bytes(blake2b(repr(above).encode(errors="surrogateescape"), digest_size=8).digest(), "little")
        super().__init__(name, self._permissions(), path=number)

    def _permissions(self) -> int:
        if self.file is None:
            return DMDIR | 0o555 | (0o222 if self.writable else 0)
        if self.file.permissions is not None:
            return self.file.permissions & 0o777
        kind = type(self.file)
        if isinstance(self.file, _Made) and self.file.is_program:
            return 0o555
        return (0o444 if kind.read is not File.read else 0) | (0o222 if kind.write is not File.write else 0)

    @property
    def length(self) -> int:
        return self.file.size() if self.file is not None else 0

    # -- directories -------------------------------------------------------------------------------------------------

    def parent(self, caller: Caller) -> Node:
        return self.up if self.up is not None else self

    def child(self, caller: Caller, name: str) -> Node:
        assert self.folder is not None
        try:
            value = self.folder[name]
        except KeyError:
            raise Error(Enonexist) from None
        return self._node(name, value)

    def _node(self, name: str, value: Served) -> ObjectNode:
        return ObjectNode(value, name, self, (*self._above, name), self._view)

    def children(self, caller: Caller) -> Iterable[Node]:
        assert self.folder is not None
        found = []
        for name, value in tuple(self.folder.items()):
            _check_name(name)
            found.append(self._node(name, value))
        return found

    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        if not self.writable:
            raise Error(Eperm)
        folder = cast("MutableMapping[str, Any]", self.folder)
        if name in folder:
            raise Error(Eexist)
        if len(folder) >= MOST_FILES:
            raise Error("directory full")
        if self._directory is not None:
            self._directory.take(_OVERHEAD)
        value: Served = {} if perm & DMDIR else bytearray()
        folder[name] = value
        return self._node(name, value)

    def remove(self, caller: Caller) -> None:
        up = self.up
        if up is None or not up.writable:
            raise Error(Eperm)
        if self.folder:
            raise Error("directory not empty")
        try:
            del cast("MutableMapping[str, Any]", up.folder)[self.name]
        except KeyError:
            raise Error(Enonexist) from None
        if self._directory is not None:
            self._directory.take(-_OVERHEAD - (self.length if isinstance(self.file, _Array) else 0))

    def wstat(self, caller: Caller, changes: Dir) -> None:
        untouched = type(changes)()
        rename = bool(changes.name) and changes.name != self.name
        if (rename and (self.up is None or not self.up.writable)) or changes.mode not in (untouched.mode, self.mode):
            raise Error(Eperm)
        if changes.length not in (untouched.length, self.length):
            if changes.length or self.file is None or not self.permits(caller, 2):
                raise Error(Eperm)
            self.file.truncate()
        if rename:
            assert self.up is not None
            folder = cast("MutableMapping[str, Any]", self.up.folder)
            if changes.name in folder:
                raise Error(Eexist)
            if self.name not in folder:
                raise Error(Enonexist)
            folder[changes.name] = folder.pop(self.name)
            self.name = changes.name

    # -- files -------------------------------------------------------------------------------------------------------

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        if self.file is not None:
            opened = Opened(caller.user, caller.pid, open_mode(mode))
            self.file.open(opened)
            if mode & OTRUNC and open_mode(mode) in _WRITES:
                self.file.truncate()
            chan.state = opened
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        assert self.file is not None
        found = self.file.read(chan.state, count, offset)
        if not isinstance(found, bytes | bytearray | memoryview):
            raise TypeError(f"{type(self.file).__name__}.read returned {type(found).__name__}, not bytes")
        if len(found) > count:
            raise ValueError(f"{type(self.file).__name__}.read returned {len(found)} bytes, not up to {count}")
        return bytes(found)

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        assert self.file is not None
        count = self.file.write(chan.state, data, offset)
        if count is None:
            return len(data)
        if not 0 <= count <= len(data):
            raise ValueError(f"{type(self.file).__name__}.write says that it took {count} of {len(data)} bytes")
        return count

    def close(self, chan: Chan) -> None:
        file, opened = self.file, chan.state
        if file is not None and isinstance(opened, Opened):
            try:
                file.close(opened)
            except Error:
                return
            except Exception as error:  # noqa: BLE001
                # Who closes must come to its end, and may be the kernel itself: it is told a little later.
                self._view.attendants.fail(error)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be the name of a file")
