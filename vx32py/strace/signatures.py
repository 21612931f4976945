"""What the arguments of a call are that is not the kernel's: of the VX ABI, or a host's own. Their names tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.personality.linux.calls import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name in the handler → type, what it depends on, whether the call writes it.
_BY_NAME: Final = {
    "path": ("path", "", False),
    "new_path": ("path", "", False),
    "content": ("path", "", False),
    "buffer": ("bytes", "=", True),
    "directory_fd": ("dirfd", "", False),
    "mode": ("mode", "", False),
    "fd": ("fd", "", False),
    "count": ("size", "", False),
    "size": ("size", "", False),
}
_HEXADECIMAL: Final = frozenset(
    {"flags", "address", "end", "protection", "options", "request", "operation", "new_address"}
)


def parameters_of(names: Sequence[str]) -> tuple[Parameter, ...]:
    """Parameters by the names that a handler has for them."""
    found: list[Parameter] = []
    for index, name in enumerate(names):
        if name == "data":
            following = names[index + 1] if index + 1 < len(names) else ""
            found.append(Parameter(name, "bytes", following) if following else Parameter(name, "ptr"))
        elif name in _BY_NAME:
            kind, detail, written = _BY_NAME[name]
            found.append(Parameter(name, kind, detail, written, not written))
        elif name in _HEXADECIMAL or name.endswith("_out"):
            found.append(Parameter(name, "ptr"))
        else:
            found.append(Parameter(name, "number"))
    return tuple(found)
