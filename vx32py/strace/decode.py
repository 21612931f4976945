"""Arguments as text, by their type: numbers, descriptors, strings, buffers, flags. Structures are in :mod:`.structs`.

``SHOWS`` has a function for each type that ``calls.txt`` uses; a type that is none of them is a set of flags or values of
:mod:`.flags`. ``AFTER`` has one more for the types that a call reads and changes: their text is made when it has returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.strace import flags
from vx32py.strace.flags import names, signal_name, symbolic
from vx32py.strace.frame import Frame, pointer, quoted, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.personality.linux.calls import Parameter
    from vx32py.strace.frame import Decoder

SHOWS: Final[dict[str, Decoder]] = {}
AFTER: Final[dict[str, Decoder]] = {}
#: Types that put several arguments in place of one, or none.
MANY: Final[dict[str, Callable[[Frame, Parameter, int], list[str]]]] = {}

_ALL_ONES: Final = 0xFFFF_FFFF
_AT_FDCWD: Final = 0xFFFF_FF9C


def shows(*types: str) -> Callable[[Decoder], Decoder]:
    """A decorator: the function makes the text of arguments of these types."""

    def register(function: Decoder) -> Decoder:
        for name in types:
            SHOWS[name] = function
        return function

    return register


def show(frame: Frame, parameter: Parameter, value: int) -> str:
    """The text of an argument."""
    decoder = SHOWS.get(parameter.type)
    if decoder is not None:
        return decoder(frame, parameter, value)
    return symbolic(parameter.type, value)


def detail(frame: Frame, parameter: Parameter) -> int:
    """The number that a type depends on: an argument, or the result."""
    if parameter.detail == "=":
        return max(frame.result or 0, 0)
    return frame.values.get(parameter.detail, 0)


# -- numbers -----------------------------------------------------------------------------------------------------


@shows("int", "pid", "fd")
def _int(frame: Frame, parameter: Parameter, value: int) -> str:
    return str(signed(value))


@shows("uint", "size", "off64", "off64be")
def _unsigned(frame: Frame, parameter: Parameter, value: int) -> str:
    if parameter.type.startswith("off64") and value >> 63:
        return str(value - (1 << 64))
    return str(value)


@shows("number")
def _number(frame: Frame, parameter: Parameter, value: int) -> str:
    """Something of which nothing is known."""
    return str(signed(value)) if -4096 < signed(value) < 0x10000 else f"{value:#x}"


@shows("hex", "page_offset")
def _hex(frame: Frame, parameter: Parameter, value: int) -> str:
    value = value << 12 if parameter.type == "page_offset" else value
    return f"{value:#x}" if value else "0"


@shows("ptr")
def _pointer(frame: Frame, parameter: Parameter, value: int) -> str:
    return pointer(value)


@shows("dirfd")
def _directory(frame: Frame, parameter: Parameter, value: int) -> str:
    return "AT_FDCWD" if value == _AT_FDCWD else str(signed(value))


@shows("id")
def _id(frame: Frame, parameter: Parameter, value: int) -> str:
    return "-1" if value == _ALL_ONES else str(value)


@shows("id16")
def _short_id(frame: Frame, parameter: Parameter, value: int) -> str:
    return "-1" if value & 0xFFFF == 0xFFFF else str(value & 0xFFFF)


@shows("signal")
def _signal(frame: Frame, parameter: Parameter, value: int) -> str:
    return signal_name(signed(value))


# -- numbers in memory -------------------------------------------------------------------------------------------


def _at(layout: str, form: Callable[[int], str]) -> Decoder:
    def shown(frame: Frame, parameter: Parameter, value: int) -> str:
        found = frame.unpack(layout, value) if value and not frame.failed else None
        return f"[{form(found[0])}]" if found is not None else pointer(value)

    return shown


SHOWS["id_at"] = _at("I", lambda value: str(signed(value)))
SHOWS["id16_at"] = _at("H", str)
SHOWS["ptr_at"] = _at("I", pointer)
SHOWS["loff"] = _at("q", str)
SHOWS["off32_at"] = _at("i", str)
SHOWS["length_at"] = _at("I", lambda value: str(signed(value)))
SHOWS["old_sigset_raw"] = _at("I", hex)


def _changed(frame: Frame, parameter: Parameter, value: int) -> str:
    """What was at an address, and what is there now, where that is something else."""
    before, now = frame.notes.get(parameter.name, pointer(value)), SHOWS[parameter.type](frame, parameter, value)
    return before if frame.failed or before == now else f"{before[:-1]} => {now[1:]}"


AFTER["off32_at"] = AFTER["length_at"] = _changed


def _moved(frame: Frame, parameter: Parameter, value: int) -> str:
    """The offset of sendfile: before and behind."""
    before = frame.notes.get(parameter.name, pointer(value))
    now = SHOWS[parameter.type](frame, parameter, value)
    return f"{before} => {now}" if value and not frame.failed and before != now else before


AFTER["loff"] = AFTER["off32_at"] = _moved


@shows("ids", "ids16")
def _ids(frame: Frame, parameter: Parameter, value: int) -> str:
    if frame.failed:
        return pointer(value)
    layout = "H" if parameter.type == "ids16" else "I"
    return frame.array(value, min(detail(frame, parameter), 1 << 16), layout, lambda number: str(signed(number)))


@shows("fd_pair")
def _pair(frame: Frame, parameter: Parameter, value: int) -> str:
    found = frame.unpack("ii", value) if value and not frame.failed else None
    return f"[{found[0]}, {found[1]}]" if found is not None else pointer(value)


# -- strings and buffers -----------------------------------------------------------------------------------------


@shows("path")
def _path(frame: Frame, parameter: Parameter, value: int) -> str:
    return frame.path(value) if value else "NULL"


@shows("str", "c_string")
def _string(frame: Frame, parameter: Parameter, value: int) -> str:
    if parameter.type == "c_string" and not frame.failed and value:
        if not frame.result:
            return frame.path(value)
        found = frame.read(value, min(frame.result, 4096))
        if found is None:
            return pointer(value)
        return quoted(found.partition(b"\0")[0]) if b"\0" in found else quoted(found[:-1]) + "..."
    return frame.string(value) if value and not frame.failed else pointer(value)


@shows("bytes", "binary")
def _bytes(frame: Frame, parameter: Parameter, value: int) -> str:
    if parameter.detail == "=" and frame.failed:
        return pointer(value)
    count = detail(frame, parameter)
    if parameter.type == "binary" and value:
        shown = frame.read(value, min(count, frame.limit))
        if shown is not None:
            text = "".join(f"\\x{byte:02x}" for byte in shown)
            return f'"{text}"' + ("..." if count > frame.limit else "")
    return frame.bytes(value, count)


@shows("strings", "environment")
def _strings(frame: Frame, parameter: Parameter, value: int) -> str:
    if not value:
        return "NULL"
    counted = parameter.type == "environment"
    most, index = (0x10000 if counted else frame.limit), 0
    found: list[str] = []
    while True:
        word = frame.unpack("I", value + 4 * index)
        if word is None:
            return f"{pointer(value)} /* {index} vars, unterminated */" if counted else _cut(found, value + 4 * index)
        if not word[0]:
            break
        if index >= most:
            found.append("...")
            break
        if not counted:
            found.append(frame.string(word[0]))
        index += 1
    if counted:
        return f"{pointer(value)} /* {index} var{'' if index == 1 else 's'} */"
    return f"[{', '.join(found)}]"


def _cut(found: list[str], address: int) -> str:
    if not found:
        return pointer(address)
    return f"[{', '.join(found)}, ... /* {pointer(address)} */]"


@shows("iovec", "iovec_addresses")
def _iovec(frame: Frame, parameter: Parameter, value: int) -> str:
    left = detail(frame, parameter) if parameter.detail == "=" else None
    count = frame.values.get("count", 0)
    addresses = parameter.type == "iovec_addresses" or (left is not None and frame.failed)

    def one(base: int, length: int) -> str:
        nonlocal left
        if addresses:
            return f"{{iov_base={pointer(base)}, iov_len={length}}}"
        shown = length if left is None else min(length, left)
        if left is not None:
            left -= shown
        return f"{{iov_base={frame.bytes(base, shown)}, iov_len={length}}}"

    return frame.array(value, min(count, 1024), "II", one)


# -- flags with a part that is a value ---------------------------------------------------------------------------


@shows("open")
def _open(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("open_bits").flags(value & ~3, first=names("open_mode").value(value & 3))


@shows("open_only")
def _open_only(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("open_bits").flags(value)


@shows("protection")
def _protection(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("protection").flags(value) if value else "PROT_NONE"


@shows("mmap")
def _mmap(frame: Frame, parameter: Parameter, value: int) -> str:
    size = value >> 26 & 0x3F
    bits = names("mmap_bits").flags(value & 0x3FF_FFF0, first=names("mmap_type").value(value & 15))
    return bits + (f"|{size}<<MAP_HUGE_SHIFT" if size else "")


@shows("clone_only")
def _clone_only(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("unshare_bits").flags(value)


def clone_flags(value: int) -> str:
    """Flags of clone, the signal last."""
    text = names("clone_bits").flags(value & ~0xFF) if value & ~0xFF else ""
    signal = value & 0xFF
    return "|".join(part for part in (text, signal_name(signal) if signal else "") if part) or "0"


@shows("at_statx")
def _at_statx(frame: Frame, parameter: Parameter, value: int) -> str:
    sync = names("statx_sync").value(value & 0x6000)
    rest = value & ~0x6000
    return f"{sync}|{names('statx_bits').flags(rest)}" if rest else sync


@shows("access")
def _access(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("access_bits").flags(value) if value else "F_OK"


@shows("flock")
def _flock(frame: Frame, parameter: Parameter, value: int) -> str:
    return names("flock_bits").flags(value)


@shows("persona")
def _persona(frame: Frame, parameter: Parameter, value: int) -> str:
    return persona(value)


def persona(value: int) -> str:
    """What a process pretends to be."""
    if value == _ALL_ONES:
        return "0xffffffff"
    text = names("persona_type").value(value & 0xFF)
    return text + (f"|{value & ~0xFF:#x}" if value & ~0xFF else "")


@shows("mode")
def _mode(frame: Frame, parameter: Parameter, value: int) -> str:
    return octal(value & 0xFFFF)


def octal(mode: int) -> str:
    """A mode as strace writes it: a zero and at least two digits.

    >>> octal(0o644), octal(0), octal(0o4755)
    ('0644', '000', '04755')
    """
    return f"0{mode:02o}"


_KINDS: Final = {
    0o14: "S_IFSOCK",
    0o12: "S_IFLNK",
    0o10: "S_IFREG",
    6: "S_IFBLK",
    4: "S_IFDIR",
    2: "S_IFCHR",
    1: "S_IFIFO",
}


def file_mode(mode: int) -> str:
    """A mode with the kind of file.

    >>> file_mode(0o100644), file_mode(0o41777)
    ('S_IFREG|0644', 'S_IFDIR|S_ISVTX|0777')
    """
    parts = [_KINDS[mode >> 12 & 15]] if mode >> 12 & 15 in _KINDS else []
    special = {0o4000: "S_ISUID", 0o2000: "S_ISGID", 0o1000: "S_ISVTX"}
    parts += [name for bit, name in special.items() if mode & bit]
    return "|".join([*parts, octal(mode & 0o777)])


@shows("file_mode")
def _file_mode(frame: Frame, parameter: Parameter, value: int) -> str:
    return file_mode(value & 0xFFFF)


def device(number: int) -> str:
    """A device number."""
    major, minor = number >> 8 & 0xFFF | number >> 32 & ~0xFFF, number & 0xFF | number >> 12 & ~0xFF & 0xFFFF_FFFF
    return f"makedev({short_hex(major)}, {short_hex(minor)})"


def short_hex(value: int) -> str:
    """A number in hexadecimal, zero as it is."""
    return f"{value:#x}" if value else "0"


# -- arguments that are there only under a condition -------------------------------------------------------------


def _created(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    # O_CREAT, __O_TMPFILE
    return [octal(value & 0xFFFF)] if detail(frame, parameter) & 0x400040 else []


def _device(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    return [device(value)] if detail(frame, parameter) >> 12 & 15 in {2, 6} else []


def _hidden(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    return []


def _if_fixed(frame: Frame, parameter: Parameter, value: int) -> list[str]:
    return [pointer(value)] if detail(frame, parameter) & 3 == 3 else []


MANY.update({"mode_if": _created, "device": _device, "hidden": _hidden, "ptr_if_fixed": _if_fixed})


def is_known(kind: str) -> bool:
    """Whether there is a way to show arguments of this type."""
    return kind in SHOWS or kind in MANY or flags.is_known(kind)
