"""``vx32py cc --plugin``, the walk-through of docs/plugins.md and the example: they build and run as they are printed."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

import vx32py
import vx32py.plugin.signatures
from vx32py._compile import CompileError, CompilerName, compile_guest, compilers

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
EXAMPLE = ROOT / "examples" / "plugin.c"

pytestmark = pytest.mark.compiler


@pytest.fixture(params=["zig", "gcc"])
def compiler(request: pytest.FixtureRequest) -> CompilerName:
    name: CompilerName = request.param
    if name not in compilers():
        pytest.skip(f"{name} cannot build guests here")
    return name


def execute(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=environment
    )


def command_line(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return execute([sys.executable, "-m", "vx32py", *arguments], folder)


def python(text: str, *arguments: str, folder: Path) -> str:
    done = execute([sys.executable, "-c", text, *arguments], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_walk_through_builds_and_runs_as_it_is_printed(tmp_path: Path) -> None:
    if "zig" not in compilers():
        pytest.skip("the page builds with zig, too")
    for name, language in (("checksum.c", "c"), ("twice.s", "gas"), ("total.zig", "zig")):
        (text,) = blocks(language)
        (tmp_path / name).write_text(text)
    for line in "".join(blocks("sh")).splitlines():
        program, *arguments = shlex.split(line)
        command = {"vx32py": [sys.executable, "-m", "vx32py"], "python": [sys.executable]}[program]
        done = execute([*command, *arguments], tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    first, *others = blocks("python")
    said = re.findall(r"# (.*)$", first, re.MULTILINE)
    printed = python(first, folder=tmp_path).splitlines()
    assert printed == [line for line in said if not line.endswith(("...", "is reset"))]
    assert len(printed) == 3
    for text in others:
        python(text, folder=tmp_path)


def test_the_page_tells_of_every_exception_and_type_there_is() -> None:
    errors = importlib.import_module("vx32py.plugin.errors")
    names = [
        n for n, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.PluginError)
    ]
    assert len(names) > 8
    assert [name for name in names if f"`{name}`" not in PAGE] == []
    assert [kind.value for kind in vx32py.plugin.signatures.Type if f"`{kind.value}`" not in PAGE] == []


def test_the_example_runs_as_it_says(tmp_path: Path) -> None:
    done = command_line("cc", "--plugin", str(EXAMPLE), "-o", "plugin.elf", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    printed = python(EXAMPLE.with_suffix(".py").read_text(), "plugin.elf", folder=tmp_path)
    assert "fox: 2 found, at [16, 53]" in printed
    assert "table: ['0x0', '0x77073096', '0xee0e612c'] then 0x990951ba" in printed
    assert "trapped: divide: divide error at eip" in printed


@pytest.mark.parametrize("optimise", ["-O0", "-O2"])
def test_header_and_entry_compile_without_a_warning(compiler: CompilerName, optimise: str, tmp_path: Path) -> None:
    said: list[str] = []
    flags = ["-Wall", "-Wextra", "-Werror"]
    made = compile_guest(
        [EXAMPLE], tmp_path / "plugin", compiler=compiler, optimise=optimise, flags=flags, plugin=True,
        progress=said.append,
    )  # fmt: skip
    assert not [line for line in said if "warning" in line]
    with vx32py.Sandbox().instantiate(made, {"found": lambda x: 1}) as plugin:
        assert plugin.call("search", b"ababab", b"ab") == 3


def test_a_plugin_has_its_section_in_its_read_only_segment_and_no_main(compiler: CompilerName, tmp_path: Path) -> None:
    made = compile_guest([EXAMPLE], tmp_path / "plugin", compiler=compiler, plugin=True)
    again = compile_guest([EXAMPLE], tmp_path / "again", compiler=compiler, plugin=True)
    assert made.read_bytes() == again.read_bytes()
    with made.open("rb") as file:
        elf = ELFFile(file)
        first = elf.get_segment(0)
        section, symbols = elf.get_section_by_name(".vx_plugin"), elf.get_section_by_name(".symtab")
        assert section is not None
        assert isinstance(symbols, SymbolTableSection)
        assert first["p_flags"] == 4
        assert first.section_in_segment(section)
        names = {symbol.name for symbol in symbols.iter_symbols()}
        assert not names & {"main", "vx_start", "_start", "printf"}
        assert b"import found u32 place -> u32\0" in section.data()


def test_programs_say_nothing_of_plugins(tmp_path: Path) -> None:
    made = compile_guest([ROOT / "examples" / "hello.c"], tmp_path / "hello")
    with pytest.raises(vx32py.BadImage, match="not a plug-in"):
        vx32py.Sandbox().instantiate(made)


def test_functions_in_sections_of_their_own_are_kept(compiler: CompilerName, tmp_path: Path) -> None:
    """With -ffunction-sections nothing else refers to an export, and the linker collects garbage."""
    made = compile_guest([EXAMPLE], tmp_path / "plugin", compiler=compiler, flags=["-ffunction-sections"], plugin=True)
    with vx32py.Sandbox().instantiate(made, {"found": lambda x: 1}) as plugin:
        assert plugin.call("divide", 42, 6) == 7


def test_several_files_may_declare_one_import(compiler: CompilerName, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.c").write_text(
            '#include <vxplugin.h>\nVX_IMPORT(u32, host, "u32", uint32_t x);\nVX_IMPORT(u32, other, "u32", uint32_t x);\n'
            f'uint32_t {name}(uint32_t x) {{ return host(x); }}\nVX_EXPORT({name}, "u32 -> u32");\n'
        )
    made = compile_guest([tmp_path / "one.c", tmp_path / "two.c"], tmp_path / "plugin", compiler=compiler, plugin=True)
    with vx32py.Sandbox().instantiate(made, {"host": lambda x: x + 1}) as plugin:
        assert [plugin.call("one", 1), plugin.call("two", 2)] == [2, 3]


def test_a_plugin_is_linked_with_the_guest_library_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a plug-in is linked with libc='vx', not 'musl'"):
        compile_guest([EXAMPLE], tmp_path / "plugin", libc="musl", plugin=True)
    done = command_line("cc", "--plugin", "--libc", "musl", str(EXAMPLE), "-o", "x", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["vx32py: cc: a plug-in is linked with libc='vx', not 'musl'"]


def test_an_export_that_is_not_there_does_not_compile(compiler: CompilerName, tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text('#include <vxplugin.h>\nVX_EXPORT(absent, "-> u32");\n')
    with pytest.raises(CompileError, match="absent"):
        compile_guest([source], tmp_path / "plugin", compiler=compiler, plugin=True)
