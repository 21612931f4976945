"""``#e``: the environment (env(3)): a file for each variable."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from vx32py.plan9.chan import DMDIR, OTRUNC, Caller, Chan, Qid
from vx32py.plan9.devices.nodes import Node, SingleDevice
from vx32py.plan9.errors import Eexist, Eisdir, Enomem, Enonexist, Eperm, Error, Etoobig

if TYPE_CHECKING:
    from vx32py.plan9.groups import EnvGroup, Variable
    from vx32py.plan9.stat import Dir

#: Maxenvsize and Maxvalsize: of one variable; and of all of a group, together with their names.
MOST_BYTES: Final = 1 << 20
MOST_ALL: Final = 16 << 20
MOST_VARIABLES: Final = 10_000


class _Variable(Node):
    def __init__(self, name: str, variable: Variable, root: Node) -> None:
        super().__init__(name, 0o666, path=variable.path)
        self._variable = variable
        self._root = root
        self.qid = Qid(variable.path, variable.version)

    @property
    def length(self) -> int:
        return len(self._variable.value)

    def parent(self, caller: Caller) -> Node:
        return self._root

    def _there(self, group: EnvGroup) -> Variable:
        """It, if it has not been removed. Raises Error."""
        found = group.variables.get(self.name)
        if found is None or found.path != self._variable.path:
            raise Error(Enonexist)
        return found

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        variable = self._there(caller.env)
        if mode & OTRUNC and variable.value:
            caller.env.charge(-len(variable.value))
            variable.value.clear()
            variable.version += 1
        chan.state = caller.env
        self._variable = variable
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return bytes(self._there(chan.state).value[offset : offset + count])

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        group: EnvGroup = chan.state
        variable = self._there(group)
        if offset > MOST_BYTES or len(data) > MOST_BYTES - offset:
            raise Error(Etoobig)
        value = variable.value
        more = max(offset + len(data) - len(value), 0)
        if more and group.size + more > MOST_ALL:
            raise Error(Enomem)
        group.charge(more)
        value.extend(bytes(max(offset - len(value), 0)))
        value[offset : offset + len(data)] = data
        variable.version += 1
        return len(data)

    def remove(self, caller: Caller) -> None:
        self._there(caller.env)
        caller.env.remove(self.name)

    def wstat(self, caller: Caller, changes: Dir) -> None:
        if changes.name:
            raise Error(Eperm)


class _Root(Node):
    def child(self, caller: Caller, name: str) -> Node:
        variable = caller.env.variables.get(name)
        if variable is None:
            raise Error(Enonexist)
        return _Variable(name, variable, self)

    def children(self, caller: Caller) -> Iterable[Node]:
        for name, variable in tuple(caller.env.variables.items()):
            yield _Variable(name, variable, self)

    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        if perm & DMDIR:
            raise Error(Eisdir)
        if name in caller.env.variables:
            raise Error(Eexist)
        if len(caller.env.variables) >= MOST_VARIABLES:
            raise Error(Enomem)
        self.mtime = int(time.time())
        return _Variable(name, caller.env.set(name, b""), self)


def env_device() -> SingleDevice:
    """The device."""
    return SingleDevice("e", _Root("#e", 0o775 | DMDIR, path=0))
