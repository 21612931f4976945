"""Which files of an archive make up a library that decodes, and what its own build would tell them.

Only what is needed is compiled, as plain C: where a library has assembly or intrinsics beside C, all programs get the C.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reference.records import dataclass
from vx32py.upstream import sources

#: Headers that the libraries' own build systems would make.
CONFIG: Final = Path(__file__).resolve().parent / "config"


@dataclass(frozen=True)
class Library:
    """C files and folders of headers, as ``package/path`` of :mod:`~vx32py.upstream.sources`, and the compiler's flags."""

    files: tuple[str, ...]
    include: tuple[str, ...]
    flags: tuple[str, ...] = ()


def located(path: str) -> Path:
    """Where ``package/path`` is; the archive is fetched if it is not here yet. Raises SourceUnavailable."""
    package, rest = path.split("/", 1)
    return sources.fetch(package) / rest


def listed(folder: str, names: str) -> tuple[str, ...]:
    """The C files with these names."""
    return tuple(f"{folder}/{name}.c" for name in names.split())


HASHES: Final = Library(
    listed(
        "libtomcrypt/src", "hashes/md5 hashes/sha1 hashes/sha2/sha512 hashes/rmd160 hashes/whirl/whirl misc/zeromem"
    ),
    ("libtomcrypt/src/headers",),
    ("-DLTC_SOURCE", "-DLTC_NO_TEST", "-DLTC_NO_ASM"),
)
ZLIB: Final = Library(listed("zlib", "adler32 crc32 inffast inflate inftrees zutil"), ("zlib/.",))
BZIP2: Final = Library(
    listed("bzip2", "blocksort bzlib compress crctable decompress huffman randtable"), ("bzip2/.",), ("-DBZ_NO_STDIO",)
)
JPEG: Final = Library(
    listed(
        "libjpeg-turbo",
        "jcomapi jdapimin jdapistd jdatasrc jdcoefct jdcolor jddctmgr jdhuff jdicc jdinput jdmainct jdmarker jdmaster"
        " jdmerge jdphuff jdpostct jdsample jdtrans jerror jidctflt jidctfst jidctint jidctred jquant1 jquant2 jutils"
        " jmemmgr jmemnobs jsimd_none",
    ),
    ("libjpeg-turbo/.",),
)
OPENJPEG: Final = Library(
    listed(
        "openjpeg2/src/lib/openjp2",
        "thread bio cio dwt event ht_dec image invert j2k jp2 mct mqc openjpeg opj_clock pi t1 t2 tcd tgt"
        " function_list opj_malloc sparse_array",
    ),
    ("openjpeg2/src/lib/openjp2",),
    ("-DOPJ_STATIC",),
)
OGG: Final = Library(listed("libogg/src", "bitwise framing"), ("libogg/include",))
VORBIS: Final = Library(
    listed(
        "libvorbis/lib",
        "block codebook floor0 floor1 info lookup lpc lsp mapping0 mdct psy registry res0 sharedbook smallft synthesis"
        " vorbisfile window envelope bitrate analysis",
    ),
    ("libvorbis/include", "libvorbis/lib"),
)
FLAC: Final = Library(
    listed("flac/src/libFLAC", "bitmath bitreader cpu crc fixed float format lpc md5 memory stream_decoder"),
    ("flac/include", "flac/src/libFLAC/include"),
    (
        "-DFLAC__NO_DLL", "-DFLAC__NO_ASM", "-DFLAC__HAS_OGG=0", '-DPACKAGE_VERSION="1.4.2"', "-DHAVE_LROUND=1",
        "-DHAVE_STDINT_H=1", "-DHAVE_INTTYPES_H=1", "-DHAVE_FSEEKO=1", "-DCPU_IS_BIG_ENDIAN=0",
        "-DWORDS_BIGENDIAN=0", "-Dflac_unused=1", "-DNDEBUG",
    ),
)  # fmt: skip
