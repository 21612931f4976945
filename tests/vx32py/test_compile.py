"""vx32py._compile: both compilers make guests of the promised shape, and native programs that are right."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from conformance import guests
from vx32py import _compile
from vx32py._compile import CompileError, CompilerName, compile_guest, compile_native, compilers

pytestmark = pytest.mark.compiler

R, RX, RW = 4, 5, 6
HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); }\n'


@pytest.fixture(params=[name for name in get_args(CompilerName) if name != "auto"])
def compiler(request: pytest.FixtureRequest) -> CompilerName:
    name: CompilerName = request.param
    if name not in compilers():
        pytest.skip(f"{name} cannot build guests here")
    return name


@pytest.fixture
def native_compiler(compiler: CompilerName) -> CompilerName:
    if compiler == "zig" and _compile.can_build_native("gcc"):
        pytest.skip("gcc builds native programs here; zig would first build a C library, for a minute")
    if not _compile.can_build_native(compiler):
        pytest.skip(f"{compiler} has no 32-bit C library here (gcc-multilib, libc6-dev-i386)")
    return compiler


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    source = tmp_path / "hello.c"
    source.write_text(HELLO)
    return source


def test_a_guest_has_one_read_only_one_executable_and_one_writable_segment(
    compiler: CompilerName, tmp_path: Path
) -> None:
    path = compile_guest([guests.EXAMPLES / "sha256.c"], tmp_path / "guest", compiler=compiler)
    with path.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_type"] == "ET_EXEC"
        assert elf["e_machine"] == "EM_386"
        segments = list(elf.iter_segments())
        loads = [segment for segment in segments if segment["p_type"] == "PT_LOAD"]
        assert [segment["p_flags"] for segment in loads] == [R, RX, RW]
        assert {segment["p_type"] for segment in segments} == {"PT_LOAD", "PT_GNU_STACK"}
        (stack,) = (segment for segment in segments if segment["p_type"] == "PT_GNU_STACK")
        assert not stack["p_flags"] & 1
        assert loads[0]["p_vaddr"] == 0x0040_0000
        pages: set[int] = set()
        for segment in loads:
            assert segment["p_vaddr"] % 0x1000 == 0
            assert segment["p_offset"] % 0x1000 == 0
            own = set(range(segment["p_vaddr"] >> 12, (segment["p_vaddr"] + segment["p_memsz"] + 0xFFF) >> 12))
            assert not own & pages
            pages |= own
        code = loads[1]
        assert code["p_vaddr"] <= elf["e_entry"] < code["p_vaddr"] + code["p_memsz"]
        assert b"VX ABI 1\0" in loads[0].data()


def test_functions_of_the_program_stay_and_unused_ones_of_the_library_go(
    compiler: CompilerName, tmp_path: Path
) -> None:
    path = compile_guest([guests.EXAMPLES / "sha256.c"], tmp_path / "guest", compiler=compiler)
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = {symbol.name for symbol in table.iter_symbols()}
    assert "sha256_buffer" in symbols
    assert "fread" in symbols
    assert "strtok_r" not in symbols


def test_the_same_sources_give_the_same_bytes_wherever_they_lie(compiler: CompilerName, tmp_path: Path) -> None:
    made = []
    for folder in (tmp_path / "a", tmp_path / "deeper" / "b"):
        folder.mkdir(parents=True)
        (folder / "prog.c").write_text(
            "#include <assert.h>\nint main(int n, char **v) { (void)v; assert(n > 0); return __TIME__[0] == 0; }\n"
        )
        made.append(compile_guest([folder / "prog.c"], folder / "guest", compiler=compiler).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("optimise", ["-O0", "-O2", "-O3"])
def test_library_and_examples_compile_without_a_warning(compiler: CompilerName, optimise: str, tmp_path: Path) -> None:
    said: list[str] = []
    for name in guests.names():
        source = guests.EXAMPLES / f"{name}.c"
        flags = ["-Wall", "-Wextra", "-Werror"]
        compile_guest(
            [source], tmp_path / name, compiler=compiler, optimise=optimise, flags=flags, progress=said.append
        )
    assert not [line for line in said if "warning" in line]


def test_errors_are_one_line_and_keep_what_the_compiler_said(compiler: CompilerName, tmp_path: Path) -> None:
    bad = tmp_path / "bad.c"
    bad.write_text("int main(void) { return no_such_thing; }\n")
    with pytest.raises(CompileError, match=r"^bad\.c: .*no_such_thing") as caught:
        compile_guest([bad], tmp_path / "guest", compiler=compiler)
    assert "\n" not in str(caught.value)
    assert "no_such_thing" in caught.value.stderr
    assert not (tmp_path / "guest").exists()


def test_a_program_without_main_is_an_error(compiler: CompilerName, tmp_path: Path) -> None:
    source = tmp_path / "part.c"
    source.write_text("int part(void) { return 1; }\n")
    with pytest.raises(CompileError, match="main"):
        compile_guest([source], tmp_path / "guest", compiler=compiler)


def test_arguments_that_make_no_sense_are_refused_at_the_door(hello: Path, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no such source file"):
        compile_guest([tmp_path / "absent.c"], tmp_path / "guest")
    with pytest.raises(ValueError, match="no source files"):
        compile_guest([], tmp_path / "guest")
    with pytest.raises(ValueError, match="optimise"):
        compile_guest([hello], tmp_path / "guest", optimise="2")
    with pytest.raises(ValueError, match="compiler"):
        compile_guest([hello], tmp_path / "guest", compiler="tcc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="libc"):
        compile_guest([hello], tmp_path / "guest", libc="glibc")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list of paths"):
        compile_guest(str(hello), tmp_path / "guest")


def test_without_a_compiler_the_error_says_how_to_get_one(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_compile, "_zig", lambda: None)
    monkeypatch.setattr(_compile, "_gcc", lambda: None)
    assert compilers() == {}
    with pytest.raises(CompileError, match=r"vx32py\[guest\]"):
        compile_guest([hello], tmp_path / "guest")
    with pytest.raises(CompileError, match=r"vx32py\[guest\]"):
        compile_guest([hello], tmp_path / "guest", libc="musl")


def test_progress_is_told_each_step(compiler: CompilerName, hello: Path, tmp_path: Path) -> None:
    said: list[str] = []
    compile_guest([hello], tmp_path / "guest", compiler=compiler, progress=said.append)
    assert f"{compiler}: compiling hello.c" in said
    assert said[-1] == f"{compiler}: linking guest"


def test_the_library_comes_from_the_cache_the_second_time(
    compiler: CompilerName, hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    monkeypatch.setenv("VX32PY_CACHE", str(cache))
    compiled = f"{compiler}: compiling libvx.c"
    first: list[str] = []
    second: list[str] = []
    one = compile_guest([hello], tmp_path / "one", compiler=compiler, progress=first.append).read_bytes()
    two = compile_guest([hello], tmp_path / "two", compiler=compiler, progress=second.append).read_bytes()
    assert compiled in first
    assert compiled not in second
    assert one == two


def test_the_native_program_hashes_what_hashlib_hashes(native_compiler: CompilerName, tmp_path: Path) -> None:
    program = compile_native([guests.EXAMPLES / "sha256.c"], tmp_path / "sha256", compiler=native_compiler)
    for size in (0, 1, 55, 56, 63, 64, 65, 1000, 65536, 200_000):
        data = bytes(i * 7 & 0xFF for i in range(size))
        done = subprocess.run([program], input=data, capture_output=True, check=True)
        assert done.stdout.decode() == hashlib.sha256(data).hexdigest() + "\n"
    done = subprocess.run([program, "-z", "2"], capture_output=True, check=True)
    assert done.stdout.decode() == hashlib.sha256(bytes(2 << 20)).hexdigest() + "\n"


def test_the_compressor_restores_what_it_made_and_refuses_what_it_did_not(
    native_compiler: CompilerName, tmp_path: Path
) -> None:
    program = compile_native([guests.EXAMPLES / "lz.c"], tmp_path / "lz", compiler=native_compiler)
    text = (guests.EXAMPLES / "lz.c").read_bytes()
    for data in (b"", b"a", bytes(1_500_000), text, bytes(range(256)) * 3000, hashlib.sha256(text).digest() * 2):
        packed = subprocess.run([program, "-c"], input=data, capture_output=True, check=True).stdout
        assert subprocess.run([program, "-d"], input=packed, capture_output=True, check=True).stdout == data
    packed = subprocess.run([program, "-c"], input=text, capture_output=True, check=True).stdout
    assert len(packed) < len(text) / 2
    spoilt = [packed[:n] for n in range(0, len(packed), 997)]
    spoilt += [packed[:n] + bytes([packed[n] ^ 0x55]) + packed[n + 1 :] for n in range(0, len(packed), 89)]
    for stream in spoilt:
        done = subprocess.run([program, "-d"], input=stream, capture_output=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(b"lz: ")


@pytest.mark.slow
def test_a_musl_guest_is_a_static_linux_program(tmp_path: Path, hello: Path) -> None:
    if "zig" not in compilers():
        pytest.skip("libc='musl' needs zig")
    path = compile_guest([hello], tmp_path / "hello", libc="musl")
    with path.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_machine"] == "EM_386"
        assert not [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_INTERP"]


def test_threads_that_make_the_same_program_do_not_take_each_others_files(
    compiler: CompilerName, hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, copy, together = tmp_path / "made" / "hello.elf", shutil.copy, threading.Barrier(2)

    def copy_together(source: Path, to: Path) -> None:
        copy(source, to)
        if to.parent == output.parent:
            together.wait()

    monkeypatch.setattr(shutil, "copy", copy_together)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(compile_guest, [hello], output, compiler=compiler) for _ in range(2)]:
            assert future.result() == output
    assert [path.name for path in output.parent.iterdir()] == ["hello.elf"]
