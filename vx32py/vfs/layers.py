"""Layers: what has been changed in a tree, listed, saved to a directory of the host's, and loaded again.

A directory has the form of a layer of an OCI image (opencontainers/image-spec, layer.md): changed files as they are, an
empty file ``.wh.NAME`` for each name that has been removed, and ``.wh..wh..opq`` in a directory of which nothing of the
lower one is to be seen. Owners are not saved: the host's user owns the files. FIFOs and sockets are not saved.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from vx32py._errors import CallError
from vx32py.vfs.content import copy_bytes
from vx32py.vfs.tree import Inode, Tree

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"


class Change(NamedTuple):
    """``what`` is added, changed or removed; ``path`` as the guest has it, within the tree."""

    what: str
    path: str


def changes(tree: Tree) -> list[Change]:
    """What differs from the lower tree, in the order of paths."""
    found: list[Change] = []
    for path, node in _changed(tree):
        if node is None:
            found.append(Change("removed", path))
        else:
            below = tree.lower is not None and _is_below(tree, path)
            found.append(Change("changed" if below else "added", path))
    return sorted(found, key=lambda change: change.path)


def save(tree: Tree, directory: str | os.PathLike[str]) -> None:
    """Write the layer, in place of what is there. Raises OSError."""
    target = os.fspath(directory)
    fresh = f"{target.rstrip('/')}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    for path, node in sorted(_changed(tree), key=lambda pair: pair[0]):
        where = fresh + path
        os.makedirs(os.path.dirname(where), exist_ok=True)
        if node is None:
            above, name = os.path.split(where)
            with open(os.path.join(above, WHITEOUT + name), "wb"):
                pass
        else:
            _write(node, where, path)
    _set_attributes(tree, fresh)
    if os.path.exists(target):
        shutil.rmtree(target)
    os.rename(fresh, target)


def load(tree: Tree, directory: str | os.PathLike[str]) -> None:
    """Change a fresh tree as a saved layer says; nothing where there is none. Raises OSError, CallError(ENOSPC)."""
    if os.path.isdir(directory):
        _load(tree.root, os.fspath(directory))


def _is_below(tree: Tree, path: str) -> bool:
    assert tree.lower is not None
    try:
        os.close(tree.lower.open_path(path[1:]))
    except CallError:
        return False
    return True


def _changed(tree: Tree) -> Iterator[tuple[str, Inode | None]]:
    """Every path that is not what it is below: with its inode, or None where it has been removed."""
    seen: set[int] = set()

    def inside(directory: Inode, path: str) -> Iterator[tuple[str, Inode | None]]:
        if id(directory) in seen:
            return
        seen.add(id(directory))
        for name, node in directory.changes.items():
            if node is not None:
                yield f"{path}/{name}", node
                if node.kind == stat.S_IFDIR:
                    yield from inside(node, f"{path}/{name}")
            elif tree.lower is not None and _is_below(tree, f"{directory.lower}/{name}"):
                yield f"{path}/{name}", None

    yield from inside(tree.root, "")
    for inode in tuple(tree.kept.values()):
        if id(inode) in seen or not inode.own:
            continue
        try:
            path = inode.path()
        except CallError:
            continue  # removed
        if inode.above.changes.get(inode.name) is inode:
            continue  # it has been told of with its directory
        if path:
            yield path, inode
        if inode.kind == stat.S_IFDIR:
            yield from inside(inode, path)


def _write(node: Inode, where: str, path: str) -> None:
    if node.kind == stat.S_IFDIR:
        os.makedirs(where, exist_ok=True)
        if node.lower != path:
            with open(os.path.join(where, OPAQUE), "wb"):
                pass
            if node.lower is not None:  # it has been moved here, with all that is in it
                for name, _, _ in node.entries():
                    child = node.look_up(name)
                    if child is not None and name not in node.changes:
                        _write(child, f"{where}/{name}", "")
    elif node.kind == stat.S_IFLNK:
        if not os.path.lexists(where):
            os.symlink(node.readlink(), where)
    elif node.kind == stat.S_IFREG:
        source = node.opened(os.O_RDONLY)
        target = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            copy_bytes(source.fd, target, source.status().size)  # type: ignore[attr-defined]
        finally:
            source.close()
            os.close(target)
        status = node.status()
        os.chmod(where, status.mode & 0o777)
        os.utime(where, ns=(status.atime, status.mtime))


def _set_attributes(tree: Tree, directory: str) -> None:
    """Modes and times of directories, once all is in them."""
    for path, node in _changed(tree):
        if node is not None and node.kind == stat.S_IFDIR and os.path.isdir(directory + path):
            status = node.status()
            os.chmod(directory + path, status.mode & 0o777 | 0o700)
            os.utime(directory + path, ns=(status.atime, status.mtime))


def _load(target: Inode, directory: str) -> None:
    names = sorted(os.listdir(directory))
    if OPAQUE in names and target.lower is not None:
        for name, _, _ in tuple(target.entries()):
            target.put(name, None)
    for name in names:
        if name == OPAQUE:
            continue
        if name.startswith(WHITEOUT):
            target.put(name[len(WHITEOUT) :], None)
            continue
        where = f"{directory}/{name}"
        host = os.lstat(where)
        kind, mode = stat.S_IFMT(host.st_mode), stat.S_IMODE(host.st_mode) & 0o777
        there = target.look_up(name)
        if kind == stat.S_IFDIR:
            if there is None or there.kind != stat.S_IFDIR:
                there = target.tree.new(kind, mode)
                target.put(name, there)
            there.place(target, name)
            _load(there, where)
            there.chmod(mode)
        elif kind == stat.S_IFLNK:
            there = target.tree.new(kind, 0o777)
            there.text = os.fsencode(os.readlink(where))
            target.put(name, there)
        elif kind == stat.S_IFREG:
            there = _load_file(target, where, host)
            target.put(name, there)
        else:
            continue
        there.utime(host.st_atime_ns, host.st_mtime_ns)


def _load_file(target: Inode, where: str, host: os.stat_result) -> Inode:
    tree = target.tree
    tree.quota.take(host.st_size)
    inode = tree.new(stat.S_IFREG, stat.S_IMODE(host.st_mode) & 0o777)
    inode.content = tree.store.new()
    source = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    destination = tree.store.open(inode.content, os.O_WRONLY)
    try:
        copy_bytes(source, destination, host.st_size)
    finally:
        os.close(source)
        os.close(destination)
    return inode
