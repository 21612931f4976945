"""The target directory: where members are written, and nothing is written elsewhere.

Everything below it is reached from its descriptor, through folders only: the host's kernel follows no link and no ``..``
(openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, see :mod:`vx32py.vfs.host`), whatever lies there already and whatever
other processes rename meanwhile. A file is written under a name of its own and gets its real one when it is whole.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from vx32py._errors import CallError
from vx32py.archive import temporary
from vx32py.archive.errors import printable
from vx32py.archive.names import Refused, check_link
from vx32py.vfs.host import open_beneath, rename_to_new

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: What a file or folder gets whose archive does not say; the umask applies to that and to what archives say.
_FILE_MODE: Final = 0o666
_FOLDER_MODE: Final = 0o777
#: Times are written as far as this reaches: years 1901 to 2446, as ext4's.
_TIMES: Final = (-(1 << 31), (1 << 34) - (1 << 31) - 1)
_NAMES: Final = {
    stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFREG: "a file",
}  # fmt: skip

#: What is appended to the name of a file of which only a part could be extracted, or that is not what it should be.
BROKEN: Final = ".broken"

Parts = Sequence[str]


class Target:
    """A directory below which members are written.

    ``overwrite``: whether files and links that were there before are replaced: their names are, never what they lead to.
    What this object has made itself is replaced by nothing. It may be used by several threads.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Makes the directory if it is not there. Raises OSError."""
        os.makedirs(path, exist_ok=True)
        self.path = os.fspath(path)
        self.overwrite = overwrite
        self._fd = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._lock = threading.Lock()
        #: Identities of what was made here, and of the folders that have been looked at for what others have left there.
        self._made: set[tuple[int, int]] = set()
        self._cleared: set[tuple[int, int]] = set()
        #: The folders that were made here.
        self.made_folders: list[tuple[str, ...]] = []

    def close(self) -> None:
        """Let go of the directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- folders -------------------------------------------------------------------------------------------------

    @contextmanager
    def folder(self, parts: Parts) -> Iterator[int]:
        """A descriptor of the folder, which is made with all above it if it is not there. Raises Refused."""
        _check(parts)
        with host_errors():
            fd = self._open_or_make(parts)
        try:
            self._clear(fd)
            yield fd
        finally:
            os.close(fd)

    def _clear(self, folder: int) -> None:
        """Take away what an extraction that was killed has left in a folder, once."""
        status = os.fstat(folder)
        identity = status.st_dev, status.st_ino
        with self._lock:
            known = identity in self._cleared or identity in self._made
            self._cleared.add(identity)
        if not known:
            temporary.clear(folder)

    def _open_or_make(self, parts: Parts) -> int:
        try:
            return self._open(parts)
        except CallError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                raise
        # Name by name, to make what is missing, or to say what is in the way.
        here = os.dup(self._fd)
        for i, name in enumerate(parts):
            try:
                following = self._step(here, name, tuple(parts[: i + 1]))
            finally:
                os.close(here)
            here = following
        return here

    def _open(self, parts: Parts) -> int:
        """A descriptor of a folder that is there. Raises CallError."""
        fd = open_beneath(self._fd, "/".join(parts))
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise CallError(errno.ENOTDIR)
        return fd

    def _step(self, here: int, name: str, path: tuple[str, ...]) -> int:
        # The owner alone may use a folder until all is in it: it may be meant for nobody else.
        made = False
        try:
            os.mkdir(name, 0o700, dir_fd=here)
            made = True
        except FileExistsError:
            pass
        try:
            fd = os.open(name, _FOLDER, dir_fd=here)
        except OSError as error:
            # What Linux says of a link depends on the flags.
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            kind = stat.S_IFMT(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)
            raise Refused(f"{_NAMES.get(kind, 'something')} is in the way at '{printable('/'.join(path))}'") from None
        if made:
            status = os.fstat(fd)
            with self._lock:
                self._made.add((status.st_dev, status.st_ino))
                self.made_folders.append(path)
        return fd

    def finish_folder(self, parts: Parts, mode: int | None, modified: int | None) -> None:
        """Give a folder that was made here its mode and time (nanoseconds); one that was there before keeps its own.
        Raises Refused."""
        if not parts:
            return
        _check(parts)
        with host_errors():
            fd = self._open(parts)
            try:
                if not self._is_ours(os.fstat(fd)):
                    return
                readable = os.open(".", _FOLDER, dir_fd=fd)
                try:
                    self._finish(readable, _FOLDER_MODE if mode is None else mode, modified)
                finally:
                    os.close(readable)
            finally:
                os.close(fd)

    # -- files and links -----------------------------------------------------------------------------------------

    @contextmanager
    def file(self, parts: Parts) -> Iterator[NewFile]:
        """A file to be written, which is there when :meth:`NewFile.keep` was called and not at all otherwise. Raises
        Refused."""
        _check(parts)
        with self.folder(parts[:-1]) as folder:
            new = NewFile(self, folder, parts[-1])
            try:
                with host_errors():
                    self._check_free(folder, parts[-1])
                    new.open()
                yield new
            finally:
                new.discard()

    def link(self, parts: Parts, text: bytes) -> None:
        """Make a symbolic link; only when all files are there, so that none is written through it. Raises Refused."""
        _check(parts)
        check_link(text, len(parts) - 1)
        with self.folder(parts[:-1]) as folder, host_errors():
            self._check_free(folder, parts[-1])
            name = temporary.new_name()
            os.symlink(text, os.fsencode(name), dir_fd=folder)
            try:
                self.rename(folder, name, parts[-1])
            except BaseException:
                temporary.remove(folder, name)
                raise

    def _check_free(self, folder: int, name: str) -> None:
        """Whether there may be a new file of this name. Raises Refused, OSError."""
        try:
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        kind = stat.S_IFMT(there.st_mode)
        if kind == stat.S_IFDIR:
            raise Refused("there is a folder of its name")
        if self._is_ours(there):
            raise Refused("another member has been extracted under its name")
        if not self.overwrite:
            raise Refused(f"there is {_NAMES.get(kind, 'something')} of its name, which is not overwritten")

    def rename(self, folder: int, before: str, name: str) -> None:
        """Give something its real name. Raises Refused, OSError."""
        identity = os.stat(before, dir_fd=folder, follow_symlinks=False)
        # With the lock, nobody here makes this name between the look and the deed; nor under another case.
        with self._lock:
            self._check_free(folder, name)
            if self.overwrite:
                os.rename(before, name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                try:
                    rename_to_new(folder, before, name)
                except FileExistsError:
                    raise Refused("there is something of its name, which is not overwritten") from None
            self._made.add((identity.st_dev, identity.st_ino))

    def _is_ours(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self._made

    def _finish(self, fd: int, mode: int, modified: int | None) -> None:
        if modified is not None:
            low, high = _TIMES
            when = min(max(modified, low * 10**9), high * 10**9)
            os.utime(fd, ns=(when, when))
        # Set-user-id, set-group-id and the sticky bit are never an archive's to give.
        os.fchmod(fd, mode & 0o777 & ~self._umask)

    def finish_file(self, fd: int, mode: int | None, modified: int | None) -> None:
        """Give an open file its mode and time (nanoseconds). Raises OSError."""
        self._finish(fd, _FILE_MODE if mode is None else mode, modified)


class NewFile:
    """A file that is being written; made by :meth:`Target.file`. ``fd`` is open for reading and writing."""

    def __init__(self, target: Target, folder: int, name: str) -> None:
        self.fd = -1
        self._target = target
        self._folder = folder
        #: What it is called while it is written; empty before and afterwards.
        self._before = ""
        self._name = name

    def open(self) -> None:
        """Begin, under a name that nothing has. Raises OSError."""
        while self.fd < 0:
            self._before = temporary.new_name()
            self.fd = temporary.create(self._folder, self._before)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Raises Refused."""
        rest = memoryview(data)
        with host_errors():
            while rest:
                rest = rest[os.write(self.fd, rest) :]

    def keep(self, mode: int | None = None, modified: int | None = None) -> None:
        """It is whole: give it mode, time (nanoseconds) and its real name. Raises Refused."""
        with host_errors():
            self._target.finish_file(self.fd, mode, modified)
            self._get_name(self._name)

    def keep_broken(self) -> str | None:
        """Keep what there is of it under a name that says so, which is the result; None if that cannot be."""
        name = self._name + BROKEN
        try:
            with host_errors():
                self._get_name(name)
        except Refused:
            return None
        return name

    def _get_name(self, name: str) -> None:
        self._target.rename(self._folder, self._before, name)
        temporary.forget(self._folder, self._before)
        self._before = ""
        os.close(self.fd)
        self.fd = -1

    def discard(self) -> None:
        """Remove it, if it was not kept."""
        if self._before:
            temporary.remove(self._folder, self._before)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _check(parts: Parts) -> None:
    """Components that are not plain names must not get here: the kernel would walk them. Raises ValueError."""
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            raise ValueError(f"not the name of a file: {part!r}")


@contextmanager
def host_errors() -> Iterator[None]:
    """What the host refuses is a reason not to extract a member: an OSError or CallError becomes Refused."""
    try:
        yield
    except (OSError, CallError) as error:
        number = error.errno or 0
        raise Refused(f"cannot be written: {os.strerror(number)}") from None
    except UnicodeEncodeError:
        raise Refused("cannot be written: this locale does not have the characters of its name") from None
