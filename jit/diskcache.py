"""A cache on disk for what is dear to make and follows from its key: machine code of ours, compiled translators, guests'
translated code.

An entry is a file named after the digest of its key; it holds a magic number, the digest of key and payload, and the
payload. Code from here is executed, so an entry counts only if it is a regular file in a directory of this user's own
that nobody else may write to, and if the digest is right. Whatever else is found is ignored, never an error: a cache
that cannot be used makes things slower, nothing more.

The directory is ``$VX32PY_CACHE``, else ``$XDG_CACHE_HOME/vx32py``, else ``~/.cache/vx32py``; an empty ``VX32PY_CACHE``
turns the cache off. It may be removed at any time (:func:`clear`), and many processes may use it at once.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

# hashlib has the same function, but loads OpenSSL first, which takes as long as all else that a small guest needs.
from _blake2 import blake2b
from typing import Final

_MAGIC: Final = b"vx32py\x02\n"
_DIGEST_BYTES: Final = 32
_KEY_LENGTH: Final = 2 * _DIGEST_BYTES
#: When there are more entries or more bytes than this, the least recently used go, until there are half as many.
_MOST_ENTRIES: Final = 512
_MOST_BYTES: Final = 256 << 20
#: Seconds after which use of an entry is noted again, and after which what a killed process left behind is removed.
_DAY: Final = 86400


def directory() -> str | None:
    """The cache directory (it may not exist yet), or None where caching is turned off."""
    chosen = os.environ.get("VX32PY_CACHE")
    if chosen is not None:
        return chosen or None
    parent = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(parent):  # the XDG specification: a relative path is invalid and must be ignored
        parent = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(parent, "vx32py")


def key_of(*parts: str | bytes) -> str:
    """A key from everything the payload depends on. Parts are delimited, so ``("ab", "c")`` is not ``("a", "bc")``."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def load(key: str) -> bytes | None:
    """The payload stored under ``key`` (from :func:`key_of`), or None where there is none that can be trusted."""
    place = directory()
    if place is None or not _is_ours_alone(place):
        return None
    try:
        handle = os.open(os.path.join(place, key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return None
        try:
            content = file.read()
        except OSError:
            return None
        if time.time() - status.st_mtime > _DAY:
            with contextlib.suppress(OSError):
                os.utime(handle)
    start = len(_MAGIC) + _DIGEST_BYTES
    payload = content[start:]
    if not content.startswith(_MAGIC) or content[len(_MAGIC) : start] != _digest(key, payload):
        return None
    return payload


def save(key: str, payload: bytes) -> bool:
    """Store ``payload`` under ``key``, all of it or nothing. Whether that was possible."""
    place = directory()
    if place is None:
        return False
    temporary = os.path.join(place, f".{key}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        if not _is_ours_alone(place):
            return False
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            file.write(_MAGIC + _digest(key, payload) + payload)
        os.replace(temporary, os.path.join(place, key))
        _trim(place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    return True


def _trim(place: str) -> None:
    now, entries = time.time(), []
    with os.scandir(place) as found:
        for entry in found:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if _is_key(entry.name):
                    entries.append((status.st_mtime, status.st_size, entry.path))
                elif _is_temporary(entry.name) and now - status.st_mtime > _DAY:
                    os.unlink(entry.path)
    total = sum(size for _, size, _ in entries)
    if len(entries) <= _MOST_ENTRIES and total <= _MOST_BYTES:
        return
    left = len(entries)
    for _, size, path in sorted(entries):
        if left <= _MOST_ENTRIES // 2 and total <= _MOST_BYTES // 2:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        left, total = left - 1, total - size


def usable() -> bool:
    """Whether there is a cache directory that nobody else may write to."""
    place = directory()
    return place is not None and _is_ours_alone(place)


def usage() -> tuple[int, int]:
    """How many entries there are, and their bytes."""
    sizes = []
    place = directory()
    if place is not None and usable():
        with contextlib.suppress(OSError), os.scandir(place) as found:
            for entry in found:
                if _is_key(entry.name):
                    with contextlib.suppress(OSError):
                        sizes.append(entry.stat(follow_symlinks=False).st_size)
    return len(sizes), sum(sizes)


def clear() -> int:
    """Remove every entry, and whatever processes that were killed have left behind; how many entries there were."""
    place, removed = directory(), 0
    if place is None or not usable():
        return 0
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if _is_key(name[:_KEY_LENGTH]) or _is_temporary(name):  # and nothing else that may be there
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(place, name))
                    removed += _is_key(name)
    return removed


def _is_key(name: str) -> bool:
    return len(name) == _KEY_LENGTH and not name.strip("0123456789abcdef")


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and _is_key(name[1 : 1 + _KEY_LENGTH])


def _digest(key: str, payload: bytes) -> bytes:
    digest = blake2b(key.encode(), digest_size=_DIGEST_BYTES)
    digest.update(payload)
    return digest.digest()


def _is_ours_alone(place: str) -> bool:
    try:
        status = os.stat(place)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_private(status)


def _is_private(status: os.stat_result) -> bool:
    """Whether only this user (or root on the user's behalf) can have written it."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
