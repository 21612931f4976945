"""GuestScheme: a plug-in at work as a hash or signature scheme, in a sandbox that is the same on every host.

The plug-in is the enemy. It gets the bytes that it is asked about and answers; it has memory and instructions up to a limit, no
files, no clock, no chance; before every question it is put back to what it was when it had been loaded, so that an answer
depends on the question alone. Whatever it does otherwise is a SchemeError of one line that names it.

Whether a plug-in is *good* nobody can find out by running it: that is what the vouching in the logic is for. What can be
noticed is noticed: a hash whose two ways of being computed differ, whose digests change their size or are all the same, a
signature scheme that takes one signature for two messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from reference.errors import MemoryFault, NotModelled
from reference.policy import Policy
from reference.records import dataclass
from vx32py._calls import SystemCalls
from vx32py._errors import BadImage, LimitExceeded, Vx32Error
from vx32py._module import Module
from vx32py._sandbox import Sandbox
from vx32py.pki.credentials import MAX_PLUGIN
from vx32py.pki.errors import SchemeError
from vx32py.pki.logic import Kind
from vx32py.pki.scheme import plugin_name
from vx32py.plugin import declarations
from vx32py.plugin.signatures import Signature

if TYPE_CHECKING:
    from vx32py.plugin.plugin import Plugin

#: What a plug-in exports to be a scheme of a kind (and ``scheme``, which both have).
EXPORTS: Final[dict[Kind, dict[str, Signature]]] = {
    "hash": {
        "digest": Signature.parse("bytes data -> bytes"),
        "init": Signature.parse("-> none"),
        "update": Signature.parse("bytes data -> none"),
        "final": Signature.parse("-> bytes"),
    },
    "signature": {"verify": Signature.parse("bytes key, bytes message, bytes signature -> u32")},
}
_NAMED: Final = Signature.parse("-> bytes")
#: So many bytes a digest has (:class:`vx32py.pki.logic.Hashed`), and a name at most.
DIGEST: Final = range(16, 65)
_MOST_NAME: Final = 64
#: What a hash is tried with.
_TEXTS: Final = (b"", b"1", b"vx32py", bytes(64))
#: What is longer goes in pieces of this size, and only once; in larger ones where instructions are not counted.
_PIECE: Final = 256 << 10
_LARGE_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plug-in may use for one question. ``fuel`` are instructions: the same verdict on every host, at the price of a
    plug-in that is several times slower; None to do without. ``seconds`` are for engines so slow that nobody would wait for
    the fuel to end. ``size`` is that of its ELF file; ``memory`` and size are in bytes. After ``patience`` questions that
    passed a limit there are no more answers: somebody who has brought a plug-in that loops shall not have all day."""

    memory: int = 16 << 20
    fuel: int | None = 200_000_000
    seconds: float = 30.0
    size: int = MAX_PLUGIN
    patience: int = 3


def kinds_of(functions: Mapping[str, Signature]) -> tuple[Kind, ...]:
    """Which kinds of scheme a plug-in with these functions is. Raises SchemeError where it is none."""

    def check(name: str, signature: Signature) -> None:
        there = functions.get(name)
        if there is None:
            raise SchemeError(f"it exports no function {name}")
        if not there.agrees_with(signature):
            raise SchemeError(f"{name} is {there}, and should be {signature}")

    found = []
    for kind, exports in EXPORTS.items():
        if exports.keys() & functions.keys():
            for name, signature in exports.items():
                check(name, signature)
            found.append(kind)
    if not found:
        raise SchemeError("it is no scheme: it exports neither digest, init, update and final nor verify")
    check("scheme", _NAMED)
    return tuple(found)


def kinds_of_elf(elf: bytes) -> tuple[Kind, ...]:
    """Which kinds of scheme a plug-in says that it is; nothing of it runs. Raises SchemeError where it is none."""
    try:
        return kinds_of(declarations.read(Module.from_bytes(elf)).exports)
    except (BadImage, SchemeError) as error:
        raise SchemeError(f"plug-in {plugin_name(elf)[:20]}: {error}") from None


class GuestScheme:
    """The scheme that a plug-in is. Raises SchemeError where it is none, here and in every method.

    ``name`` is what it calls itself, made printable: for people, and not to be believed. Good for one thread at a time.
    """

    def __init__(self, elf: bytes, *, limits: Limits | None = None, engine: str = "auto") -> None:
        self.identity = plugin_name(elf)
        self.name = ""
        limits = limits if limits is not None else Limits()
        if len(elf) > limits.size:
            raise self._error(f"{len(elf)} bytes long; {limits.size} are the most")
        self._size = 0
        self._tried = False
        self._patience = limits.patience
        self._piece = _PIECE if limits.fuel is not None else _LARGE_PIECE
        self._plugin = self._load(bytes(elf), limits, engine)
        try:
            self.kinds = self._find_kinds()
            self.name = self._ask_name()
        except BaseException:
            self.close()
            raise

    def digest(self, data: bytes) -> bytes:
        """The digest of some bytes: at once and in pieces, which must agree; of very many bytes in pieces only."""
        self._demand("hash")
        if not self._tried:
            self._try_out()
        if len(data) > self._piece:
            hasher = self.hasher()
            hasher.update(data)
            return hasher.digest()
        return self._digest(data)

    def hasher(self) -> GuestHasher:
        """A digest to be computed piece by piece. One at a time: any other use of this scheme ends it."""
        self._demand("hash")
        return GuestHasher(self)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a signature is good."""
        self._demand("signature")
        if not self._verify(key, message, signature):
            return False
        other = bytes([message[0] ^ 1]) + message[1:] if message else b"\0"
        if self._verify(key, other, signature):
            raise self._error("verify: it takes the same signature for another message")
        return True

    def close(self) -> None:
        """End the plug-in."""
        plugin = getattr(self, "_plugin", None)
        if plugin is not None:
            plugin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"GuestScheme({self.identity!r}, name={self.name!r})"

    # ---- how

    def _load(self, elf: bytes, limits: Limits, engine: str) -> Plugin:
        box = Sandbox(
            engine=engine, memory=limits.memory, timeout=limits.seconds, fuel=limits.fuel, policy=Policy.deterministic(),
            calls=SystemCalls.vx(), output_limit="64K", processes=1, threads=0, allow_exec=False,
        )  # fmt: skip
        try:
            return box.instantiate(Module.from_bytes(elf))
        except (Vx32Error, MemoryFault, NotModelled) as error:
            raise self._error(error) from None

    def _find_kinds(self) -> tuple[Kind, ...]:
        try:
            return kinds_of(self._plugin.functions)
        except SchemeError as error:
            raise self._error(error) from None

    def _ask_name(self) -> str:
        said: bytes = self._call("scheme")
        if not 1 <= len(said) <= _MOST_NAME:
            raise self._error(f"scheme: a name of {len(said)} bytes; it has 1 to {_MOST_NAME}")
        name = said.decode("ascii", "replace")
        if not name.isascii() or not name.isprintable():
            raise self._error("scheme: a name with characters that are not printable ASCII")
        return name

    def _demand(self, kind: Kind) -> None:
        if kind not in self.kinds:
            raise self._error(f"it is no {kind} scheme")

    def _try_out(self) -> None:
        """What every hash function passes: different digests, of one size, of different texts."""
        self._size = 0
        if len({self._digest(text) for text in _TEXTS}) < len(_TEXTS):
            raise self._error("digest: different texts have the same digest")
        self._tried = True

    def _digest(self, data: bytes) -> bytes:
        self._reset()
        whole = self._checked("digest", self._call("digest", data))
        hasher = GuestHasher(self)
        hasher.update(data[: len(data) // 3])
        hasher.update(data[len(data) // 3 :])
        if hasher.digest() != whole:
            raise self._error("digest: at once and in pieces are two different digests")
        return whole

    def _checked(self, function: str, digest: bytes) -> bytes:
        if len(digest) not in DIGEST:
            raise self._error(f"{function}: a digest of {len(digest)} bytes; it has {DIGEST[0]} to {DIGEST[-1]}")
        if self._size and len(digest) != self._size:
            raise self._error(f"{function}: a digest of {len(digest)} bytes, and before it had {self._size}")
        self._size = len(digest)
        return digest

    def _verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self._reset()
        answer: int = self._call("verify", key, message, signature)
        if answer not in (0, 1):
            raise self._error(f"verify: it answers {answer:#x}, neither 0 nor 1")
        return answer == 1

    def _reset(self) -> None:
        try:
            self._plugin.reset()
        except (Vx32Error, MemoryFault) as error:
            raise self._error(error) from None

    def _call(self, function: str, *arguments: bytes | memoryview) -> Any:
        if not self._patience:
            raise self._error("it has passed its limits too often", function)
        try:
            return self._plugin.call(function, *arguments)
        except (Vx32Error, MemoryFault, NotModelled) as error:
            self._patience -= isinstance(error, LimitExceeded)
            raise self._error(error, function) from None

    def _error(self, reason: object, function: str = "") -> SchemeError:
        called = f" ({self.name})" if self.name else ""
        text = str(reason)
        if function and not text.startswith(f"{function}: "):
            text = f"{function}: {text}"
        return SchemeError(f"plug-in {self.identity[:20]}{called}: {text}")


class GuestHasher:
    """A digest that is being computed, as of hashlib. Every call has the limits of one question."""

    def __init__(self, scheme: GuestScheme) -> None:
        self._scheme = scheme
        scheme._reset()  # noqa: SLF001 - the two are one thing
        scheme._call("init")  # noqa: SLF001

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """More bytes."""
        view = memoryview(data).cast("B")
        piece = self._scheme._piece  # noqa: SLF001
        for start in range(0, max(len(view), 1), piece):
            self._scheme._call("update", view[start : start + piece])  # noqa: SLF001

    def digest(self) -> bytes:
        """The digest; there is no going on after it."""
        return self._scheme._checked("final", self._scheme._call("final"))  # noqa: SLF001
