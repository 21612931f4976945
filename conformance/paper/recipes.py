"""How upstream programs are put together: a driver of ours, files of theirs, and what their own builds would find out.

Only what the measured program needs is compiled, as plain C: where a library has assembly or intrinsics beside C, all
targets get the C, so that all of them run the same program. ``upstream/config`` has the headers that the libraries' own
build systems would make.

Each is compiled as one would who wants it fast: by whichever of gcc and clang (which is what zig has) makes the faster
32-bit program. They differ by up to a half, in both directions. For WebAssembly there is clang alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from conformance.paper import sources

DRIVERS: Final = Path(__file__).resolve().parent / "upstream"


@dataclass(frozen=True)
class Recipe:
    """A program: its driver, archives, files and folders of headers (``package/path``), and flags.

    The package "config" is the folder here. ``compiler`` is the one that makes the faster program for 32-bit processors."""

    driver: str
    files: tuple[str, ...]
    include: tuple[str, ...]
    flags: tuple[str, ...] = ()
    compiler: Literal["gcc", "zig"] = "zig"

    @property
    def packages(self) -> tuple[str, ...]:
        """The archives it needs."""
        return tuple(dict.fromkeys(path.split("/", 1)[0] for path in self.files))

    def sources(self) -> list[Path]:
        """All of its C files, fetched if they are not here yet. Raises SourceUnavailable."""
        return [DRIVERS / f"{self.driver}.c", *(_found(path) for path in self.files)]

    def options(self) -> list[str]:
        """Where its headers are, and its flags. Raises SourceUnavailable."""
        folders = [DRIVERS / "config", DRIVERS, *(_found(path) for path in self.include)]
        return [*(part for folder in folders for part in ("-I", str(folder))), "-w", *self.flags]


def _found(path: str) -> Path:
    package, rest = path.split("/", 1)
    return (DRIVERS / "config" if package == "config" else sources.fetch(package)) / rest


def _files(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.c" for name in names.split())


RECIPES: Final = {
    recipe.driver: recipe
    for recipe in (
        Recipe(
            "hashes",
            _files("libtomcrypt/src", "hashes/md5 hashes/sha1 hashes/sha2/sha512 hashes/rmd160 hashes/whirl/whirl misc/zeromem"),
            ("libtomcrypt/src/headers",),
            ("-DLTC_SOURCE", "-DLTC_NO_TEST", "-DLTC_NO_ASM"),
            compiler="gcc",
        ),
        Recipe("inflate", _files("zlib", "adler32 crc32 inffast inflate inftrees zutil"), ("zlib/.",)),
        Recipe(
            "bunzip2",
            _files("bzip2", "blocksort bzlib compress crctable decompress huffman randtable"),
            ("bzip2/.",),
            ("-DBZ_NO_STDIO",),
        ),
        Recipe(
            "jpeg",
            _files(
                "libjpeg-turbo",
                "jcapimin jcapistd jccoefct jccolor jcdctmgr jchuff jcicc jcinit jcmainct jcmarker jcmaster jcomapi jcparam"
                " jcphuff jcprepct jcsample jctrans jdapimin jdapistd jdatadst jdatasrc jdcoefct jdcolor jddctmgr jdhuff"
                " jdicc jdinput jdmainct jdmarker jdmaster jdmerge jdphuff jdpostct jdsample jdtrans jerror jfdctflt"
                " jfdctfst jfdctint jidctflt jidctfst jidctint jidctred jquant1 jquant2 jutils jmemmgr jmemnobs jsimd_none",
            ),
            ("libjpeg-turbo/.",),
        ),
        Recipe(
            "jpeg2000",
            _files(
                "openjpeg2/src/lib/openjp2",
                "thread bio cio dwt event ht_dec image invert j2k jp2 mct mqc openjpeg opj_clock pi t1 t2 tcd tgt"
                " function_list opj_malloc sparse_array",
            ),
            ("openjpeg2/src/lib/openjp2",),
            ("-DOPJ_STATIC",),
        ),
        Recipe(
            "vorbis",
            (
                *_files("libogg/src", "bitwise framing"),
                *_files(
                    "libvorbis/lib",
                    "analysis bitrate block codebook envelope floor0 floor1 info lookup lpc lsp mapping0 mdct psy registry"
                    " res0 sharedbook smallft synthesis vorbisenc vorbisfile window",
                ),
            ),
            ("libogg/include", "libvorbis/include", "libvorbis/lib"),
        ),
        Recipe(
            "flac",
            _files(
                "flac/src/libFLAC",
                "bitmath bitreader bitwriter cpu crc fixed float format lpc md5 memory stream_decoder stream_encoder"
                " stream_encoder_framing window",
            ),
            ("flac/include", "flac/src/libFLAC/include"),
            (
                "-DFLAC__NO_DLL", "-DFLAC__NO_ASM", "-DFLAC__HAS_OGG=0", '-DPACKAGE_VERSION="1.4.2"', "-DHAVE_LROUND=1",
                "-DHAVE_STDINT_H=1", "-DHAVE_INTTYPES_H=1", "-DHAVE_FSEEKO=1", "-DCPU_IS_BIG_ENDIAN=0",
                "-DWORDS_BIGENDIAN=0", "-Dflac_unused=1", "-DNDEBUG",
            ),
            compiler="gcc",
        ),
        Recipe(
            "lua",
            _files(
                "lua5.4/src",
                "lapi lauxlib lbaselib lcode lctype ldebug ldo ldump lfunc lgc llex lmathlib lmem lobject lopcodes lparser"
                " lstate lstring lstrlib ltable ltablib ltm lundump lvm lzio",
            ),
            ("config/lua", "lua5.4/src"),
            # An error in a script ends the program: WebAssembly has no longjmp to count on.
            ("-DLUAI_THROW(L,c)=abort()", "-DLUAI_TRY(L,c,a)={a}", "-Dluai_jmpbuf=int"),
        ),
        Recipe(
            "sqlite",
            _files("libdbd-sqlite3-perl", "sqlite3"),
            ("libdbd-sqlite3-perl/.",),
            (
                "-DSQLITE_OS_OTHER=1", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_TEMP_STORE=3",
                "-DSQLITE_DEFAULT_MEMSTATUS=0", "-DSQLITE_OMIT_WAL",
            ),
            compiler="gcc",
        ),
    )
}  # fmt: skip
