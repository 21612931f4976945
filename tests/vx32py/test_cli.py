"""The command line, as a user sees it: output, errors of one line, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from images import DATA, ENTRY, Elf, image

from vx32py import _engines

CAT = f"""
again:  mov eax, 3; mov edx, 0; mov ecx, {DATA}; mov ebx, 4096; syscall
        test eax, eax; jle done
        mov ebx, eax; mov eax, 4; mov edx, 1; mov ecx, {DATA}; syscall
        test eax, eax; jns again
done:   mov edx, eax; mov eax, 1; syscall
"""


def vx32py(*arguments: str | Path, stdin: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vx32py", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Where a test puts its guest."""
    return tmp_path / "guest.elf"


def run(program: Path, code: str, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program.write_bytes(image(code))
    return vx32py("run", "--engine", "reference", *options, program, stdin=stdin)


def test_streams_and_exit_code_pass_through(program: Path, engine_name: str) -> None:
    program.write_bytes(image(CAT))
    data = os.urandom(20_000)
    done = vx32py("run", "--engine", engine_name, program, stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")
    assert run(program, "mov eax, 1; mov edx, 77; syscall").returncode == 77


def test_options_behind_the_program_are_the_guests(program: Path) -> None:
    code = "mov ecx, [esp + 8]; mov eax, 4; mov edx, 1; mov ebx, 9; syscall; mov edx, [esp]; mov eax, 1; syscall"
    program.write_bytes(image(code))
    done = vx32py("run", "--engine=reference", program, "--timeout", "--help")
    assert (done.returncode, done.stdout) == (3, b"--timeout")


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("mov eax, [0x10]", 139, "page fault .*, read of 0x00000010"),
        ("xor ecx, ecx; div ecx", 136, "divide error"),
        ("ud2", 132, "invalid opcode"),
        ("int3", 133, "breakpoint"),
        ("cli", 132, "invalid opcode"),
        ("int 0x40", 139, "software interrupt 0x40"),
    ],
)
def test_a_trap_is_one_line_and_a_signal(program: Path, code: str, exit_code: int, message: str) -> None:
    done = run(program, code)
    text = done.stderr.decode()
    assert done.returncode == exit_code
    assert re.fullmatch(rf"vx32py: {re.escape(str(program))}: {message}.*\n", text), text
    assert f"{ENTRY:#010x}"[:8] in text


def test_limits_are_124(program: Path) -> None:
    for option in (["--timeout", "0.3"], ["--cpu-time", "0.3"], ["--fuel", "1000"]):
        done = run(program, "again: jmp again", *option)
        assert done.returncode == 124
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"#!/bin/sh\n", "not an ELF file"), (Elf().pack()[:100], "truncated"), (None, "No such file")],
)
def test_a_bad_image_is_125_in_one_line(program: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        program.write_bytes(content)
    for command in ("run", "trace", "explain", "verify"):
        done = vx32py(command, program)
        assert done.returncode == 125
        assert re.fullmatch(rf"vx32py: {re.escape(str(program))}: .*{message}.*\n", done.stderr.decode())


def test_an_image_that_does_not_fit_is_125(program: Path) -> None:
    assert run(program, "ud2", "--memory", "4K").returncode == 125


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"], ["nothing"], ["run", "--engine", "warp", "x"], ["run", "--memory", "much", "x"], ["run", "--timeout", "0", "x"],
        ["run", "--dir", "here", "x"], ["run", "--dir", "/nowhere/at/all:/x", "x"], ["run", "--dir", ".:relative", "x"],
        ["run", "--env", "novalue", "x"], ["explain", "--eip", "here", "x"], ["cc", "x.c"], ["run", "--fuel", "0", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2(arguments: list[str], program: Path) -> None:
    program.write_bytes(image("ud2"))
    done = vx32py(*[str(program) if a == "x" else a for a in arguments])
    assert done.returncode == 2
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr


def test_directories_and_environment(program: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"granted")
    data = b"/g/f\0"
    code = f"""
    mov eax, 5; mov edx, {DATA}; mov ecx, 0; mov ebx, 0; syscall
    mov edx, eax; mov eax, 3; mov ecx, {DATA}; mov ebx, 100; syscall
    mov ebx, eax; mov eax, 4; mov edx, 1; mov ecx, {DATA}; syscall
    mov ecx, [esp + 12]; mov eax, 4; mov edx, 2; mov ebx, 3; syscall
    mov eax, 1; mov edx, 0; syscall
    """
    program.write_bytes(image(code, data))
    done = vx32py("run", "--engine=reference", "--dir", f"{tmp_path / 'd'}:/g", "--env", "A=b", program)
    assert (done.stdout, done.stderr) == (b"granted", b"A=b")


def test_stats(program: Path) -> None:
    done = run(program, "mov eax, 29; syscall; mov eax, 77; syscall; mov eax, 1; syscall", "--stats")
    text = done.stderr.decode()
    assert re.search(r"engine: +reference", text)
    assert re.search(r"system calls: +getpid 1, exit 1", text)
    assert re.search(r"unknown calls: +vx 77 \(1\)", text)


def test_trace_of_system_calls(program: Path, tmp_path: Path) -> None:
    program.write_bytes(image(CAT))
    done = vx32py("trace", "--engine=reference", program, stdin=b"one\n")
    lines = done.stderr.decode().splitlines()
    assert lines == [
        'read(0, "one\\n", 4096)                  = 4',
        'write(1, "one\\n", 4)                    = 4',
        'read(0, "", 4096)                       = 0',
        "exit(0)                                 = ?",
        "+++ exited with 0 +++",
    ]
    assert done.stdout == b"one\n"
    output = tmp_path / "trace"
    vx32py("trace", "--engine=reference", "--calls=write", "-o", output, program, stdin=b"one\n")
    assert output.read_text().splitlines() == [lines[1], "+++ exited with 0 +++"]


def test_trace_of_instructions(program: Path) -> None:
    program.write_bytes(image("mov ecx, 5; xor eax, eax; mov eax, 1; syscall"))
    done = vx32py("trace", "--engine=reference", "--instructions", program)
    lines = done.stderr.decode().splitlines()
    assert re.fullmatch(rf"{ENTRY:08x}  b905000000 +mov ecx, 5 +ecx=00000005", lines[0])
    assert lines[-1] == "+++ exit code 0 after 4 instructions +++"
    done = vx32py("trace", "--engine=reference", "--instructions", "--limit", "1", program)
    assert len(done.stderr.splitlines()) == 1
    program.write_bytes(image("ud2"))
    assert vx32py("trace", "--engine=reference", "--instructions", program).returncode == 132


def test_explain(program: Path) -> None:
    program.write_bytes(image("mov eax, 1; call next; next: pop ebx; ret"))
    done = vx32py("explain", program)
    text = done.stdout.decode()
    assert done.returncode == 0
    assert f"fragment at {ENTRY:#010x}" in text
    assert re.search(r"b801000000 +mov eax, 1 .*b801000000 +mov eax, 1 +copied", text)
    assert "direct call" in text
    assert "return" in text
    assert vx32py("explain", "--symbol", "nothing", program).returncode == 125
    assert "no fragment at 0x00000010" in vx32py("explain", "--eip", "0x10", program).stdout.decode()


def test_verify(program: Path) -> None:
    program.write_bytes(image("mov eax, 1; call next; next: pop ebx; ret"))
    done = vx32py("verify", "--translator", "reference", program)
    assert done.returncode == 0
    row = done.stdout.decode().splitlines()[-1].split()
    assert row[0] == "reference"
    assert row[2:4] == ["1", "4"]  # fragments, instructions
    assert row[-1] == "0"
    assert vx32py("verify", "--policy", "nothing", program).returncode == 2
    done = vx32py("run", "--verify", "--engine=translated", program)
    assert done.returncode == run(program, "mov eax, 1; call next; next: pop ebx; ret").returncode


def test_verify_says_what_is_refused_and_ends_with_1(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from reference.translator import emit
    from vx32py.commands.verify import verify

    program.write_bytes(image("mov eax, 1; call next; next: pop ebx; ret"))
    monkeypatch.setattr(emit._Templates, "_spill", lambda _: bytes.fromhex("65890d08000000"))
    done = CliRunner().invoke(verify, ["--translator", "reference", str(program)])
    assert done.exit_code == 1
    assert re.search(r"fragment of 0x\w+, code offset 0x\w+: .*65 89 0d 08", done.output)
    assert "2 reasons to refuse" in done.output


def test_doctor() -> None:
    done = vx32py("doctor", "--json")
    facts = json.loads(done.stdout)
    assert facts["chosen"] in facts["engines"]
    assert facts["engines"]["reference"] is None
    assert {"openat2", "/proc"} <= {fact["name"] for fact in facts["facts"]}
    assert b'"auto" is ' in vx32py("doctor").stdout


def test_the_cache_is_described_and_emptied(tmp_path: Path) -> None:
    place = tmp_path / "cache"

    def doctor(*options: str, cache: Path | str = place) -> str:
        done = vx32py("doctor", *options, env={**os.environ, "VX32PY_CACHE": str(cache)})
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    def fact(cache: Path | str = place) -> dict[str, object]:
        facts: list[dict[str, object]] = json.loads(doctor("--json", cache=cache))["facts"]
        return next(fact for fact in facts if fact["name"] == "cache")

    place.mkdir(mode=0o700)
    (place / ("0" * 64)).write_bytes(bytes(2_500_000))
    (place / "mine").write_text("")
    assert str(fact()["value"]).startswith(f"{place}: ")
    assert "translated code" in str(fact()["why"])
    assert doctor("--clear-cache").endswith(f"entries removed from {place}\n")
    assert [path.name for path in place.iterdir()] == ["mine"]
    place.chmod(0o777)
    assert fact()["good"] is False
    assert fact("")["value"] == "none"


@pytest.mark.parametrize(("terminal", "seconds", "words"), [(True, 0.0, 1), (False, 0.1, 0), (False, 1.5, 1)])
def test_what_makes_a_guest_wait_is_told_of_once(
    terminal: bool, seconds: float, words: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = pytest.importorskip("jit.progress")
    from vx32py.commands.guests import tell_of_progress

    monkeypatch.setattr(progress, "listener", None)
    tell_of_progress()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    for _ in range(3):
        progress.tell("making coffee", seconds)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", words * "vx32py: making coffee\n")


def test_help_teaches_and_version_tells() -> None:
    done = vx32py("--help")
    assert done.returncode == 0
    for word in (b"Examples:", b"run ", b"cc ", b"trace ", b"explain ", b"verify ", b"doctor "):
        assert word in done.stdout
    for command in ("run", "cc", "trace", "explain", "verify", "doctor"):
        assert b"Examples:" in vx32py(command, "--help").stdout
    assert re.fullmatch(rb"vx32py, version \d+\.\d+\.\d+\S*\n", vx32py("--version").stdout)


#: What neither help nor a run of a guest needs, and takes long to import; and what a run does not need on top of that.
HEAVY = {
    "numba", "llvmlite", "numpy", "rich", "elftools", "capstone", "unicorn", "ziglang", "hypothesis", "conformance",
    "reference.isa.opcodes", "reference.isa.decode", "reference.isa.semantics",
}  # fmt: skip
NOT_TO_RUN = HEAVY | {
    "click", "dataclasses", "inspect", "ast", "hashlib", "pathlib", "json", "subprocess", "logging", "tempfile", "random",
    "urllib.parse", "importlib.metadata", "vx32py._compile", "vx32py._doctor", "vx32py.personality.linux",
    "reference.translator.scan", "reference.interpreter", "reference.model",
}  # fmt: skip
NOT_TO_RUN_NATIVELY = NOT_TO_RUN | {"jit.compiled", "jit.translate", "jit.passes", "jit.stencils", "jit.objectfile"}


def imported(arguments: list[str], unwanted: set[str]) -> list[str]:
    """Which of these modules are there when ``vx32py`` ends with these arguments."""
    code = f"""
import atexit, sys
atexit.register(lambda: print(*sorted({unwanted!r} & set(sys.modules)), file=sys.stderr))
sys.argv = ["vx32py", *{arguments!r}]
from vx32py.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.split()


def test_help_imports_no_more_than_it_uses() -> None:
    assert imported(["--help"], HEAVY) == []


def test_a_warm_run_imports_no_more_than_it_uses(program: Path) -> None:
    program.write_bytes(image("call 1f; mov eax, 1; syscall; 1: ret"))
    engine = "jit" if _engines.unavailable("jit") is None else "auto"
    arguments = ["run", f"--engine={engine}", str(program)]
    imported(arguments, set())
    if engine == "jit":
        assert imported(arguments, NOT_TO_RUN_NATIVELY) == []
        program.write_bytes(image("mov eax, 20; int 0x80; mov eax, 1; int 0x80"))
        imported(arguments, set())
        assert imported(arguments, NOT_TO_RUN_NATIVELY) == ["vx32py.personality.linux"]
    needed = {"reference.isa.opcodes", "reference.isa.decode", "reference.isa.semantics", "reference.interpreter"}
    arguments[1] = "--engine=reference"
    assert set(imported(arguments, NOT_TO_RUN)) <= needed | {"vx32py.personality.linux"}


def test_ctrl_c_ends_a_run(program: Path, engine_name: str) -> None:
    program.write_bytes(image("mov eax, 4; mov edx, 1; mov ecx, esp; mov ebx, 1; syscall; again: jmp again"))
    command = [sys.executable, "-m", "vx32py", "run", "--engine", engine_name, "--timeout", "100", str(program)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert len(child.stdout.read(1)) == 1
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (130, b"")


def test_a_closed_pipe_ends_the_guest_not_the_host(program: Path) -> None:
    program.write_bytes(image(CAT))
    command = f"yes | {sys.executable} -m vx32py run --engine reference {program} | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.stdout == b"y\n" * 5
    assert b"Traceback" not in done.stderr


@pytest.mark.compiler
def test_cc(tmp_path: Path) -> None:
    from vx32py._compile import compilers

    if not compilers():
        pytest.skip("needs zig or gcc -m32")
    source, output = tmp_path / "a.c", tmp_path / "a.elf"
    source.write_text("#include <stdio.h>\nint main(void) { puts(MESSAGE); return 4; }\n")
    done = vx32py("cc", source, "-o", output, "--", '-DMESSAGE="hi"')
    assert done.returncode == 0, done.stderr
    done = vx32py("run", output)
    assert (done.returncode, done.stdout) == (4, b"hi\n")
    source.write_text("this is not C\n")
    done = vx32py("cc", source, "-o", output)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"vx32py: cc: ")


def test_commands_of_other_packages_get_their_arguments(tmp_path: Path) -> None:
    """``vx32py NAME`` runs the entry point NAME of the group vx32py.commands, with everything behind the name."""
    (tmp_path / "extra.py").write_text("def main(argv):\n    print(argv)\n    return 7\n")
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vx32py.commands]\nextra = extra:main\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "vx32py", "extra", "--deep", "x", "--help"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "['--deep', 'x', '--help']\n")
