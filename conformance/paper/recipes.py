"""The upstream programs that are measured: drivers of ours around the libraries of :mod:`vx32py.upstream`.

Where a library has assembly or intrinsics beside C, all targets get the C, so that all of them run the same program. Some
encode as well as decode, and so make their own input. Each is compiled as one would who wants it fast: by whichever of
gcc and clang (which is what zig has) makes the faster 32-bit program. For WebAssembly there is clang alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vx32py.upstream.libraries import BZIP2, FLAC, HASHES, JPEG, OGG, OPENJPEG, VORBIS, ZLIB, listed
from vx32py.upstream.recipes import Recipe

DRIVERS: Final = Path(__file__).resolve().parent / "upstream"

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("hashes", DRIVERS / "hashes.c", (HASHES,), compiler="gcc"),
        Recipe("inflate", DRIVERS / "inflate.c", (ZLIB,)),
        Recipe("bunzip2", DRIVERS / "bunzip2.c", (BZIP2,)),
        Recipe(
            "jpeg",
            DRIVERS / "jpeg.c",
            (JPEG,),
            listed(
                "libjpeg-turbo",
                "jcapimin jcapistd jccoefct jccolor jcdctmgr jchuff jcicc jcinit jcmainct jcmarker jcmaster jcparam"
                " jcphuff jcprepct jcsample jctrans jfdctflt jfdctfst jfdctint",
            ),
        ),
        Recipe("jpeg2000", DRIVERS / "jpeg2000.c", (OPENJPEG,)),
        Recipe("vorbis", DRIVERS / "vorbis.c", (OGG, VORBIS), listed("libvorbis/lib", "vorbisenc")),
        Recipe(
            "flac",
            DRIVERS / "flac.c",
            (FLAC,),
            listed("flac/src/libFLAC", "bitwriter stream_encoder stream_encoder_framing window"),
            compiler="gcc",
        ),
        Recipe(
            "lua",
            DRIVERS / "lua.c",
            files=listed(
                "lua5.4/src",
                "lapi lauxlib lbaselib lcode lctype ldebug ldo ldump lfunc lgc llex lmathlib lmem lobject lopcodes lparser"
                " lstate lstring lstrlib ltable ltablib ltm lundump lvm lzio",
            ),
            include=(DRIVERS / "config" / "lua", "lua5.4/src"),
            # An error in a script ends the program: WebAssembly has no longjmp to count on.
            flags=("-DLUAI_THROW(L,c)=abort()", "-DLUAI_TRY(L,c,a)={a}", "-Dluai_jmpbuf=int"),
        ),
        Recipe(
            "sqlite",
            DRIVERS / "sqlite.c",
            files=listed("libdbd-sqlite3-perl", "sqlite3"),
            include=("libdbd-sqlite3-perl/.",),
            flags=(
                "-DSQLITE_OS_OTHER=1", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_TEMP_STORE=3",
                "-DSQLITE_DEFAULT_MEMSTATUS=0", "-DSQLITE_OMIT_WAL",
            ),
            compiler="gcc",
        ),
    )
}  # fmt: skip
