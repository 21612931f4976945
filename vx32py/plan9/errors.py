"""What goes wrong in Plan 9's kernel: an error is a text, which the process can ask for (errstr(2)).

The texts are the kernel's own (/sys/src/9/port/error.h), since programs compare them.
"""

from __future__ import annotations

from typing import Final

#: Of an error text, with its zero byte, and of a note.
ERRMAX: Final = 128


class Error(Exception):
    """A call fails: the process gets -1, and ``text`` is its error string."""

    @property
    def text(self) -> str:
        """The error string."""
        return str(self.args[0])


Emount: Final = "inconsistent mount"
Eunmount: Final = "not mounted"
Eismtpt: Final = "is a mount point"
Eunion: Final = "not in union"
Emountrpc: Final = "mount rpc error"
Eshutdown: Final = "device shut down"
Enocreate: Final = "mounted directory forbids creation"
Enonexist: Final = "file does not exist"
Eexist: Final = "file already exists"
Ebadsharp: Final = "unknown device in # filename"
Enotdir: Final = "not a directory"
Eisdir: Final = "file is a directory"
Ebadchar: Final = "bad character in file name"
Efilename: Final = "file name syntax"
Etoolong: Final = "name too long"
Eperm: Final = "permission denied"
Ebadusefd: Final = "inappropriate use of fd"
Ebadarg: Final = "bad arg in system call"
Einuse: Final = "device or object already in use"
Eio: Final = "i/o error"
Etoobig: Final = "read or write too large"
Etoosmall: Final = "read or write too small"
Enoport: Final = "network port not available"
Ehungup: Final = "i/o on hungup channel"
Ebadctl: Final = "bad process or channel control request"
Enodev: Final = "no free devices"
Eprocdied: Final = "process exited"
Enochild: Final = "no living children"
Eioload: Final = "i/o error in demand load"
Enovmem: Final = "virtual memory allocation failed"
Ebadfd: Final = "fd out of range or not open"
Enofd: Final = "no free file descriptors"
Eisstream: Final = "seek on a stream"
Ebadexec: Final = "exec header invalid"
Etimedout: Final = "connection timed out"
Econrefused: Final = "connection refused"
Econinuse: Final = "connection in use"
Eintr: Final = "interrupted"
Enomem: Final = "kernel allocate failed"
Enoswap: Final = "swap space full"
Esoverlap: Final = "segments overlap"
Eshort: Final = "i/o count too small"
Ebadspec: Final = "bad attach specifier"
Enoreg: Final = "process has no saved registers"
Enoattach: Final = "mount/attach disallowed"
Eshortstat: Final = "stat buffer too small"
Ebadstat: Final = "malformed stat buffer"
Enegoff: Final = "negative i/o offset"
Ecmdargs: Final = "wrong #args in control message"
Ebadip: Final = "bad ip address syntax"
Edirseek: Final = "seek in directory"
Enoprocs: Final = "no procs"
