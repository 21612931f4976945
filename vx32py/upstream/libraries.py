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
        "thread bio cio dwt event ht_dec image invert j2k jp2 mct mqc openjpeg pi t1 t2 tcd tgt"
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
XZ: Final = Library(
    (
        *listed("xz-utils/src/liblzma/check", "check crc32_fast crc32_table crc64_fast crc64_table sha256"),
        *listed(
            "xz-utils/src/liblzma/common",
            "block_decoder block_header_decoder block_util common filter_common filter_decoder filter_flags_decoder"
            " index_hash stream_decoder stream_flags_common stream_flags_decoder vli_decoder vli_size",
        ),
        *listed("xz-utils/src/liblzma/delta", "delta_common delta_decoder"),
        *listed("xz-utils/src/liblzma/lz", "lz_decoder"),
        *listed("xz-utils/src/liblzma/lzma", "lzma2_decoder lzma_decoder"),
        *listed("xz-utils/src/liblzma/simple", "arm arm64 armthumb ia64 powerpc simple_coder simple_decoder sparc x86"),
    ),
    (
        *(
            f"xz-utils/src/liblzma/{part}"
            for part in ("api", "common", "check", "delta", "lz", "lzma", "rangecoder", "simple")
        ),
        "xz-utils/src/common",
    ),
    (
        "-DHAVE_STDINT_H",
        "-DHAVE_INTTYPES_H",
        "-DHAVE_STDBOOL_H",
        "-DHAVE_STRING_H",
        "-DSIZEOF_SIZE_T=4",
        "-DTUKLIB_SYMBOL_PREFIX=lzma_",
        "-DTUKLIB_FAST_UNALIGNED_ACCESS=1",
        "-DHAVE_CHECK_CRC32",
        "-DHAVE_CHECK_CRC64",
        "-DHAVE_CHECK_SHA256",
        "-DHAVE_DECODERS",
        "-DLZMA_API_STATIC",
        *(
            f"-DHAVE_DECODER_{name}"
            for name in ["LZMA1", "LZMA2", "DELTA", "X86", "ARM", "ARMTHUMB", "ARM64", "POWERPC", "IA64", "SPARC"]
        ),
    ),
)
ZSTD: Final = Library(
    (
        *listed("libzstd/lib/common", "entropy_common error_private fse_decompress xxhash zstd_common"),
        *listed("libzstd/lib/decompress", "huf_decompress zstd_ddict zstd_decompress zstd_decompress_block"),
    ),
    ("libzstd/lib", "libzstd/lib/common"),
    (
        "-DZSTD_DISABLE_ASM=1",
        "-DZSTD_LEGACY_SUPPORT=0",
        "-DDYNAMIC_BMI2=0",
        "-DXXH_NAMESPACE=ZSTD_",
        "-DZSTD_NO_TRACE=1",
    ),
)
BROTLI: Final = Library(
    (
        *listed("brotli/c/common", "constants context dictionary platform transform"),
        *listed("brotli/c/dec", "bit_reader decode huffman state"),
    ),
    ("brotli/c/include",),
)
PNG: Final = Library(
    listed("libpng1.6", "png pngerror pngget pngmem pngread pngrio pngrtran pngrutil pngset pngtrans"),
    ("libpng1.6/.",),
    ("-DPNG_INTEL_SSE_OPT=0",),
)
#: What C expects of a hosted system, and a guest has not: headers, and musl's mathematics in plain C.
MATHEMATICS: Final = Library(
    listed(
        "musl/src/math",
        "__cos __math_divzero __math_invalid __math_oflow __math_uflow __math_xflow __rem_pio2 __rem_pio2_large __sin"
        " acos atan ceil ceilf cos exp exp_data floor floorf frexp hypot ldexp log log10 log_data pow pow_data rint"
        " scalbn sin",
    ),
    ("musl/src/internal", "musl/arch/generic"),
    ("-Dhidden=",),
)
#: The headers alone.
FREESTANDING: Final = CONFIG / "freestanding"
