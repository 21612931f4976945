"""The plug-ins that come with this package: hash functions of LibTomCrypt, and Ed25519 of libsodium.

They are built by ``python -m vx32py.decoders`` from the authors' own sources. Nothing here makes one of them trusted: a
plug-in is its SHA-256, and a relying party accepts those that its policy accepts.

>>> "whirlpool" in NAMES
True
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from vx32py._errors import Vx32Error
from vx32py.upstream.libraries import Library, listed
from vx32py.upstream.recipes import Recipe

_HERE: Final = Path(__file__).resolve().parent
SRC: Final = _HERE / "src"
#: Where they are.
BUILT: Final = _HERE / "built"

_SODIUM: Final = "libsodium/src/libsodium"


def _hash(name: str, title: str, descriptor: str, files: str) -> Recipe:
    # ARGTYPE=4: a bad argument is a result, and nothing is printed; the library has no use for signals then.
    library = Library(
        listed("libtomcrypt/src", f"{files} misc/zeromem"),
        ("libtomcrypt/src/headers",),
        ("-DLTC_SOURCE", "-DLTC_NO_TEST", "-DLTC_NO_ASM", "-DARGTYPE=4"),
    )
    flags = (f"-DHASH={descriptor}_desc", f'-DNAME="{title}"')
    return Recipe(name, SRC / "hash.c", (library,), flags=flags, compiler="gcc", plugin=True)


_ED25519: Final = Library(
    listed(
        _SODIUM,
        "crypto_sign/ed25519/ref10/open crypto_core/ed25519/ref10/ed25519_ref10 crypto_hash/sha512/cp/hash_sha512_cp"
        " crypto_verify/sodium/verify",
    ),
    (f"{_SODIUM}/include/sodium", f"{_SODIUM}/include/sodium/private", f"{_SODIUM}/include", f"{_SODIUM}/crypto_sign/ed25519/ref10"),
    ("-DCONFIGURED=1", "-DSODIUM_STATIC", "-DNATIVE_LITTLE_ENDIAN=1"),
)  # fmt: skip

#: By name; those of hash functions are hashlib's.
RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        _hash("md5", "MD5", "md5", "hashes/md5"),
        _hash("sha1", "SHA-1", "sha1", "hashes/sha1"),
        _hash("sha256", "SHA-256", "sha256", "hashes/sha2/sha256"),
        _hash("sha512", "SHA-512", "sha512", "hashes/sha2/sha512"),
        _hash("ripemd160", "RIPEMD-160", "rmd160", "hashes/rmd160"),
        _hash("whirlpool", "Whirlpool", "whirlpool", "hashes/whirl/whirl"),
        _hash("blake2b", "BLAKE2b-512", "blake2b_512", "hashes/blake2b"),
        _hash("blake2s", "BLAKE2s-256", "blake2s_256", "hashes/blake2s"),
        _hash("sha3_256", "SHA3-256", "sha3_256", "hashes/sha3 hashes/sha3_test"),
        _hash("sha3_512", "SHA3-512", "sha3_512", "hashes/sha3 hashes/sha3_test"),
        Recipe("ed25519", SRC / "ed25519.c", (_ED25519,), plugin=True),
    )
}
NAMES: Final = tuple(RECIPES)
SIGNATURES: Final = ("ed25519",)
HASHES: Final = tuple(name for name in NAMES if name not in SIGNATURES)


class PluginMissing(Vx32Error):
    """A plug-in has not been built here; the message says what to do."""


def path(name: str) -> Path:
    """Where the plug-in is. Raises PluginMissing, and ValueError for a name that none has."""
    if name not in RECIPES:
        raise ValueError(f"no plug-in is called {name!r}; there are {', '.join(NAMES)}")
    found = BUILT / f"{name}.elf"
    if not found.is_file():
        raise PluginMissing(f"the plug-in {name!r} has not been built: run make decoders (python -m vx32py.decoders)")
    return found


def load(name: str) -> bytes:
    """The plug-in's ELF file, as it is attached to credentials. Raises as :func:`path` does."""
    return path(name).read_bytes()


def identity(plugin: bytes) -> bytes:
    """What a plug-in is called in the logic: the SHA-256 of its ELF file."""
    return hashlib.sha256(plugin).digest()
