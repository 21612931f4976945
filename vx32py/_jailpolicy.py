"""JailPolicy: what a jail grants, as keywords of :class:`vx32py.Jail`, options of ``vx32py jail`` and keys of a policy file.

A policy file is TOML. Its keys are the options without their dashes in front, ``env`` is a table, and everything is checked:
a key that nobody knows, or a value that makes no sense, is an error of one line. Host paths in it start from its directory.

    root = "debian-i386"
    dir = ["data:/data", "out:/out:rw"]
    tmpfs = ["/tmp:64M"]
    allow-exec = true
    net = ["127.0.0.1:6379"]
    timeout = 60
    [env]
    LANG = "C.UTF-8"
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from reference.policy import Policy
from reference.records import dataclass, replace
from vx32py.vfs.mounts import Grant, Granted, parse_size

#: What a guest's environment is unless somebody says otherwise: nothing of the host's.
DEFAULT_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C",
}  # fmt: skip
ENGINES: Final = ("auto", "jit", "translated", "reference")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a policy. ``kind``: path, size, seconds, number, count (0 too), flag, text, choice, or a list of grants
    (dirs), tmpfs, rules (net), env. ``field`` is its name in Python, where that is another one."""

    name: str
    kind: str
    help: str
    metavar: str | None = None
    field: str = ""

    @property
    def key(self) -> str:
        """The keyword of :class:`JailPolicy`."""
        return self.field or self.name.replace("-", "_")


WORDS: Final = (
    Word("root", "path", "A host directory that is the guest's /, read-only.", "DIR"),
    Word("dir", "dirs", "Show a host directory or file to the guest; read-only without :rw. Without GUEST under its own path.",
         "HOST[:GUEST][:ro|rw]", "dirs"),
    Word("tmpfs", "tmpfs", "An empty directory that the guest may write to, gone when it ends.", "PATH[:SIZE]"),
    Word("overlay", "flag", "Let the guest change what it sees of --root; the host's files stay as they are."),
    Word("overlay-list", "flag", "With --overlay: at the end, say on stderr what the guest has changed."),
    Word("overlay-save", "path", "With --overlay: keep the changes in this directory; the next jail goes on from there.",
         "DIR"),
    Word("env", "env", "Set a variable of its environment, or take one from the host's. It has PATH, HOME and LANG.",
         "NAME[=VALUE]"),
    Word("cwd", "text", "The directory that it starts in; / by default.", "PATH"),
    Word("uid", "count", "The user that it takes itself for; 0 for root, 1000 by default. It gets no rights by that.", "N"),
    Word("hostname", "text", "What it takes the machine's name for.", "NAME"),
    Word("net", "rules", "none, host, or what it may reach: ADDRESS:PORT[/udp|/any], listen:ADDRESS:PORT. Several, or with "
         "commas. None by default.", "none|host|ALLOW"),
    Word("allow-exec", "flag", "Whether it may run other programs than PROGRAM. It may not by default."),
    Word("terminal", "flag", "Let it read and change the settings of the terminal that it is on."),
    Word("engine", "choice", "What runs the guest.", None),
    Word("instructions", "text", "Which instructions it has: default, deterministic, integer, host, everything, or groups such as"
         " cmov,sse2.", "NAME|GROUP,..."),
    Word("verify", "flag", "Have the verifier accept every fragment of code before it can be reached."),
    Word("memory", "size", "How much memory each process may have; 256M by default.", "SIZE"),
    Word("disk", "size", "How much each tmpfs and the overlay may hold, where it does not say so itself; 256M by default.",
         "SIZE"),
    Word("timeout", "seconds", "How long it may run; then the exit code is 124.", "SECONDS"),
    Word("cpu-time", "seconds", "How much processor time it may use; then the exit code is 124.", "SECONDS"),
    Word("fuel", "number", "How many instructions it may execute; then the exit code is 124.", "N"),
    Word("output-limit", "size", "How much it may write to stdout, and as much to stderr; then the exit code is 124.",
         "SIZE"),
    Word("write-limit", "size", "How much it may write to files of the host, all together; then the exit code is 124.",
         "SIZE"),
    Word("processes", "number", "How many processes it may have at a time; 64 by default.", "N"),
    Word("threads", "count", "How many threads it may have at a time beside one in each process; 64 by default.", "N"),
    Word("open-files", "number", "How many descriptors each process may have; 256 by default.", "N"),
)  # fmt: skip
BY_NAME: Final = {word.name: word for word in WORDS}


class PolicyError(ValueError):
    """A policy that makes no sense; one line. ``word`` is the one to blame, if it is one."""

    def __init__(self, message: str, word: str | None = None) -> None:
        super().__init__(message)
        self.word = word


@dataclass(frozen=True, slots=True)
class JailPolicy:
    """What a jail grants. The words are those of ``vx32py jail --help``.

    ``dirs`` are pairs of guest path and :class:`Grant` (or, from Python, any other mount), ``tmpfs`` of guest path and size (None: ``disk``), ``net`` the words
    of :class:`Network`. ``env`` is the whole environment.
    """

    root: str | None = None
    dirs: tuple[tuple[str, Granted], ...] = ()
    tmpfs: tuple[tuple[str, int | str | None], ...] = ()
    overlay: bool = False
    overlay_list: bool = False
    overlay_save: str | None = None
    env: tuple[tuple[str, str], ...] = tuple(DEFAULT_ENVIRONMENT.items())
    cwd: str = "/"
    uid: int = 1000
    hostname: str = "guest"
    net: tuple[str, ...] = ("none",)
    allow_exec: bool = False
    terminal: bool = False
    engine: str = "auto"
    instructions: str = "default"
    verify: bool = False
    memory: int | str = "256M"
    disk: int | str = "256M"
    timeout: float | None = None
    cpu_time: float | None = None
    fuel: int | None = None
    output_limit: int | str | None = None
    write_limit: int | str | None = None
    processes: int = 64
    threads: int = 64
    open_files: int = 256

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> JailPolicy:
        """The policy in a TOML file. Raises PolicyError, and OSError where the file cannot be read."""
        import tomllib

        with open(path, "rb") as file:
            try:
                words = tomllib.load(file)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise PolicyError(f"{os.fspath(path)}: not TOML: {error}") from None
        try:
            return cls().altered(words, start=os.path.dirname(os.path.abspath(path)))
        except PolicyError as error:
            raise PolicyError(f"{os.fspath(path)}: {error}", error.word) from None

    def altered(self, words: Mapping[str, Any], *, start: str | None = None) -> JailPolicy:
        """This policy with other words: lists and the environment are added to, everything else is replaced. Host paths start
        from ``start``, or are taken as they are. Raises PolicyError."""
        changes: dict[str, Any] = {}
        for name, value in words.items():
            word = BY_NAME.get(name)
            if word is None:
                raise PolicyError(f"unknown key {name!r}{_nearest(name)}")
            try:
                changes[word.key] = _CHECKS[word.kind](word, value, getattr(self, word.key), start)
            except (ValueError, TypeError) as error:
                raise PolicyError(f"{name}: {error}", name) from None
        made = replace(self, **changes)
        made.check()
        return made

    def check(self) -> None:
        """Whether the words make sense together. Raises PolicyError."""
        if self.overlay and self.root is None:
            raise PolicyError("overlay: needs a root", "overlay")
        for name in ("overlay_list", "overlay_save"):
            if getattr(self, name) and not self.overlay:
                word = name.replace("_", "-")
                raise PolicyError(f"{word}: needs overlay", word)
        if not self.cwd.startswith("/"):
            raise PolicyError(f"cwd: {self.cwd!r} is not an absolute path", "cwd")

    def as_toml(self) -> str:
        """The policy as a file that :meth:`from_file` makes the same policy of; every word is in it that has a value."""
        lines = []
        for word in WORDS:
            value = getattr(self, word.key)
            if word.kind == "env" or value is None:
                continue
            if word.kind == "dirs":
                lines += [f"# {guest}: {type(what).__name__}, of the application's" for guest, what in value
                          if not isinstance(what, Grant)]  # fmt: skip
                value = [
                    f"{os.fspath(grant.path)}:{guest}:{'rw' if grant.writable else 'ro'}"
                    for guest, grant in value if isinstance(grant, Grant)
                ]  # fmt: skip
            elif word.kind == "tmpfs":
                value = [guest if size is None else f"{guest}:{size}" for guest, size in value]
            lines.append(f"{word.name} = {_toml(value)}")
        lines += ["", "[env]", *(f"{_toml_key(name)} = {_toml(value)}" for name, value in self.env)]
        return "\n".join(lines) + "\n"


def parse_directory(text: str) -> tuple[str, Grant]:
    """A grant from HOST[:GUEST][:ro|rw]; without GUEST the guest's path is the host's. Raises ValueError."""
    rest, colon, mode = text.rpartition(":")
    if not colon or mode not in {"ro", "rw"}:
        rest, mode = text, "ro"
    host, colon, guest = rest.rpartition(":")
    if not colon:
        host, guest = rest, os.path.abspath(os.path.expanduser(rest))
    if not host or not guest.startswith("/"):
        raise ValueError(f"{text!r} is not HOST[:GUEST][:ro|rw] with an absolute GUEST")
    return guest, Grant(host, writable=mode == "rw")


def parse_tmpfs(text: str) -> tuple[str, str | None]:
    """A path and a size from PATH[:SIZE]. Raises ValueError."""
    path, colon, size = text.rpartition(":")
    if not colon:
        path, size = text, ""
    if not path.startswith("/") or path.strip("/") == "":
        raise ValueError(f"{text!r} is not PATH[:SIZE] with an absolute PATH")
    if colon:
        _positive(parse_size(size), size)
    return path, size if colon else None


def _positive(number: float, text: object) -> None:
    if not number > 0:
        raise ValueError(f"must be more than 0, not {text!r}")


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, BY_NAME, 1) or difflib.get_close_matches(name.replace("_", "-"), BY_NAME, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(BY_NAME)}"


# -- one function for each kind of word: (word, value, what it was, where host paths start) → value; ValueError, TypeError ----


def _path(word: Word, value: Any, before: Any, start: str | None) -> str:
    path = os.path.expanduser(_text(word, os.fspath(value) if isinstance(value, os.PathLike) else value, before, start))
    return path if start is None else os.path.join(start, path)


def _text(word: Word, value: Any, before: Any, start: str | None) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError(f"must be a text, not {value!r}")
    if word.name == "instructions":
        Policy.parse(value)
    return value


def _choice(word: Word, value: Any, before: Any, start: str | None) -> str:
    if value not in ENGINES:
        raise ValueError(f"must be one of {', '.join(ENGINES)}, not {value!r}")
    return str(value)


def _flag(word: Word, value: Any, before: Any, start: str | None) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be true or false, not {value!r}")
    return value


def _size(word: Word, value: Any, before: Any, start: str | None) -> int | str:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise TypeError(f"must be a number of bytes, or such as 64M, not {value!r}")
    _positive(parse_size(value), value)
    return value


def _seconds(word: Word, value: Any, before: Any, start: str | None) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"must be a number of seconds, not {value!r}")
    if not 0 < value < float("inf"):
        raise ValueError(f"must be a number of seconds that is more than 0, not {value!r}")
    return value


def _number(word: Word, value: Any, before: Any, start: str | None) -> int:
    number = _count(word, value, before, start)
    _positive(number, number)
    return number


def _count(word: Word, value: Any, before: Any, start: str | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"must be a whole number, not {value!r}")
    if not 0 <= value < 1 << 63:
        raise ValueError(f"must not be negative, not {value!r}")
    return value


def _strings(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise TypeError(f"must be a list of texts, not {value!r}")
    return list(texts)


def _dirs(word: Word, value: Any, before: Any, start: str | None) -> tuple[tuple[str, Grant], ...]:
    found = list(before)
    for text in _strings(value):
        guest, grant = parse_directory(text)
        found.append((guest, Grant(_path(word, grant.path, None, start), grant.writable)))
    return tuple(found)


def _tmpfs(word: Word, value: Any, before: Any, start: str | None) -> tuple[tuple[str, int | str | None], ...]:
    return (*before, *(parse_tmpfs(text) for text in _strings(value)))


def _rules(word: Word, value: Any, before: Any, start: str | None) -> tuple[str, ...]:
    kept = () if before in {("none",), ("host",)} else before
    texts = _strings(value)
    if texts == ["none"]:
        return ("none",)
    from vx32py._network import Network

    if texts and set(texts) <= {"none", "host"}:
        kept = ()
    return tuple(Network.parse((*kept, *texts)).words())


def _env(word: Word, value: Any, before: Any, start: str | None) -> tuple[tuple[str, str], ...]:
    found = dict(before)
    if isinstance(value, Mapping):
        items = list(value.items())
    else:
        items = [(name, text if equals else True) for name, equals, text in (t.partition("=") for t in _strings(value))]
    for name, text in items:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} is not the name of a variable")
        if text is True:  # what it is on the host, if it is anything
            if name in os.environ:
                found[name] = os.environ[name]
        elif isinstance(text, str) and "\0" not in text:
            found[name] = text
        else:
            raise TypeError(f"{name} must be a text, or true to take the host's, not {text!r}")
    return tuple(found.items())


_CHECKS: Final = {
    "path": _path, "text": _text, "choice": _choice, "flag": _flag, "size": _size, "seconds": _seconds, "number": _number,
    "count": _count, "dirs": _dirs, "tmpfs": _tmpfs, "rules": _rules, "env": _env,
}  # fmt: skip


def _toml(value: Any) -> str:
    """A value as TOML: JSON is the same for texts (without lone surrogates), numbers and lists of them."""
    import json

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)


def _toml_key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _toml(name)
