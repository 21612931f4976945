"""Policies of verifiers: whom they believe on what, which schemes they take, how they want to know about revocation. TOML:

    clock-skew = 60                                      # seconds that clocks may differ by; 0
    [names]                                              # for this file, and for explanations
    registrar = "key:ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    [[trust]]                                            # the verifier is spoken for by
    principal = "registrar"
    topic = "domains/example.org"                        # on this and what is below; "*" is anything but pki/…
    depth = 2                                            # and may pass it on through so many hands; 0
    [[trust]]
    principal = "hash:sha-256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    topic = "pki/scheme/hash"                            # may vouch for hash schemes
    [[state]]                                            # the verifier itself says
    topic = "domains/localhost"
    about = "registrar"
    text = "ours"
    [schemes]                                            # taken without anybody else's word; all native ones, unless given
    hash = ["sha-256"]
    signature = ["ed25519", "elf:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"]
    [revocation]
    lists = "named"                                      # credentials that name a revoker need its list; "always": all do
    [limits]
    steps = 20000                                        # of the search for a proof
    plugin-calls = 256

A key that nobody knows, or a value that makes no sense, is an error of one line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from reference.records import dataclass, field
from vx32py.pki.errors import BadPolicy, BadTerm
from vx32py.pki.logic import KINDS, VERIFIER, Claim, Delegation, Principal, Statement, Vouch
from vx32py.pki.notation import parse_principal
from vx32py.pki.scheme import NATIVE

Lists: TypeAlias = Literal["named", "always"]
MAX_FILE: Final = 1 << 20
MAX_SKEW: Final = 7 * 24 * 3600
#: What a policy takes where it does not say which schemes.
NATIVE_SCHEMES: Final = tuple(Vouch(scheme, kind) for kind in KINDS for scheme in NATIVE[kind])


@dataclass(frozen=True, slots=True)
class Policy:
    """``states`` is what the verifier says, :func:`trust` makes most of it. ``names`` are for people. Times are in seconds."""

    states: frozenset[Statement] = frozenset(NATIVE_SCHEMES)
    skew: int = 0
    lists: Lists = "named"
    names: Mapping[str, Principal] = field(default_factory=dict)
    steps: int = 20_000
    plugin_calls: int = 256

    @classmethod
    def trusting(cls, *trusted: tuple[Principal, str, int], **others: Any) -> Policy:
        """A policy that believes principals on topics, through so many hands, and takes all native schemes."""
        return cls(frozenset((*NATIVE_SCHEMES, *(trust(*each) for each in trusted))), **others)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """The policy in a file. Raises BadPolicy with its name, and OSError."""
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        try:
            if len(data) <= MAX_FILE:
                return cls.parse(data.decode())
            reason = f"more than {MAX_FILE} bytes"
        except UnicodeDecodeError:
            reason = "not TOML: not UTF-8"
        except BadPolicy as error:
            reason = str(error)
        raise BadPolicy(f"{os.fspath(path)}: {reason}")

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy that a text is. Raises BadPolicy."""
        import tomllib

        try:
            words = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise BadPolicy(f"not TOML: {error}") from None
        return _policy(words)


def trust(principal: Principal, topic: str, depth: int = 0) -> Delegation:
    """What a policy states where it believes a principal on a topic, through so many hands."""
    return Delegation(principal, VERIFIER, topic, depth)


def _policy(words: Mapping[str, Any]) -> Policy:
    table = _Table(words, "")
    skew = table.take("clock-skew", int, 0)
    names: dict[str, Principal] = {}
    for name, text in table.take("names", dict, {}).items():
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name == "verifier":
            raise BadPolicy(f"names: {name!r:.40} is no name: letters, digits, - _ .")
        names[name] = _principal(text, names, f"names.{name}")
    states: list[Statement] = []
    for number, each in enumerate(table.take("trust", list, [])):
        row = _Table(each, f"trust {number + 1}: ")
        principal = _principal(row.take("principal", str), names, f"trust {number + 1}: principal")
        states.append(row.made(trust, principal, row.take("topic", str), row.take("depth", int, 0)))
    for number, each in enumerate(table.take("state", list, [])):
        row = _Table(each, f"state {number + 1}: ")
        topic, about = row.take("topic", str), row.take("about", str, None)
        whom = None if about is None else _principal(about, names, f"state {number + 1}: about")
        states.append(row.made(Claim, topic, whom, row.take("text", str, "")))
    schemes = _Table(table.take("schemes", dict, {}), "schemes: ")
    for kind in KINDS:
        states += [schemes.made(Vouch, scheme, kind) for scheme in schemes.take(kind, list, [*NATIVE[kind]])]
    schemes.end()
    revocation = _Table(table.take("revocation", dict, {}), "revocation: ")
    lists: Lists = revocation.take("lists", str, "named")
    revocation.end()
    limits = _Table(table.take("limits", dict, {}), "limits: ")
    steps, calls = limits.take("steps", int, 20_000), limits.take("plugin-calls", int, 256)
    limits.end()
    table.end()
    if not 0 <= skew <= MAX_SKEW:
        raise BadPolicy(f"clock-skew: from 0 to {MAX_SKEW} seconds")
    if lists not in {"named", "always"}:
        raise BadPolicy('revocation: lists: "named" or "always"')
    if not (1 <= steps <= 1_000_000 and 0 <= calls <= 1_000_000):
        raise BadPolicy("limits: from 1 to 1000000")
    return Policy(frozenset(states), skew, lists, names, steps, calls)


class _Table:
    """A table of a policy: every word is taken out, and what is left at the end is not known."""

    def __init__(self, words: Any, where: str) -> None:
        if not isinstance(words, dict):
            raise BadPolicy(f"{where}not a table")
        self._words = dict(words)
        self._where = where

    _NEEDED: Final = object()

    def take(self, name: str, kind: type, default: Any = _NEEDED) -> Any:
        value = self._words.pop(name, default)
        if value is self._NEEDED:
            raise BadPolicy(f"{self._where}{name} is missing")
        if value is not default and type(value) is not kind:
            raise BadPolicy(f"{self._where}{name}: {value!r:.60} where a {_TYPES[kind]} should be")
        return value

    def made(self, make: Any, *values: Any) -> Any:
        """A row is whole: make a term of it."""
        if make is not Vouch:
            self.end()
        try:
            return make(*values)
        except BadTerm as error:
            raise BadPolicy(f"{self._where}{error}") from None

    def end(self) -> None:
        for name in self._words:
            raise BadPolicy(f"{self._where}unknown key {name!r:.60}")


_TYPES: Final = {int: "number", str: "text", dict: "table", list: "list"}


def _principal(text: Any, names: Mapping[str, Principal], where: str) -> Principal:
    try:
        if isinstance(text, str):
            return parse_principal(text, names)
        reason = f"{text!r:.60} is no text"
    except BadTerm as error:
        reason = str(error)
    raise BadPolicy(f"{where}: {reason}")
