"""The decoder against the processor: every row's examples have the length that the hardware finds, and are no #UD.

``length_oracle.c`` lays an instruction at the end of an executable page. One byte less than its length, and the
processor must fetch from the next page; the whole of it, and it must not.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from reference.isa.enumerate import all_examples
from reference.isa.instruction import Kind
from reference.policy import Group

FLAGS = "-m32 -O1 -nostdlib -static -ffreestanding -fno-pic -no-pie -fno-stack-protector -fcf-protection=none"
#: The name in /proc/cpuinfo of what a processor may lack.
FEATURES = {
    Group.LZCNT: "abm", Group.AES: "aes", Group.PCLMUL: "pclmulqdq", Group.SHA: "sha_ni", Group.MOVBE: "movbe",
    Group.BMI1: "bmi1", Group.BMI2: "bmi2", Group.ADX: "adx", Group.F16C: "f16c", Group.FMA: "fma", Group.AVX: "avx",
    Group.AVX2: "avx2",
}  # fmt: skip


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled oracle, on hosts that compile and run 32-bit programs."""
    if platform.machine() not in ("x86_64", "i686") or not Path("/proc/cpuinfo").exists():
        pytest.skip("needs Linux on x86")
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc -m32")
    program = tmp_path_factory.mktemp("oracle") / "oracle"
    source = Path(__file__).with_name("length_oracle.c")
    built = subprocess.run(
        [compiler, *FLAGS.split(), str(source), "-o", str(program)], capture_output=True, check=False
    )
    if built.returncode:
        pytest.skip("gcc cannot compile for 32 bits")
    try:
        subprocess.run([program], input=b"", check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this kernel runs no 32-bit programs")
    return program


@pytest.fixture(scope="module")
def lacking() -> set[Group]:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii").partition("flags")[2].partition("\n")[0].split())
    return {group for group, name in FEATURES.items() if name not in flags}


@pytest.mark.compiler
def test_every_example_has_the_length_that_the_processor_finds(oracle: Path, lacking: set[Group]) -> None:
    questions = []
    for row, code in all_examples():
        if row.kind in (Kind.COPY, Kind.APPROXIMATE, Kind.REWRITE):
            questions += [(row, code, size) for size in (len(code) - 1, len(code)) if size]
    records = b"".join(bytes([size]) + code.ljust(15, b"\0") for _, code, size in questions)
    answers = subprocess.run([oracle], input=records, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    assert len(answers) == len(questions)
    wrong = []
    for (row, code, size), answer in zip(questions, answers.decode(), strict=True):
        if row.group in lacking or (row.opcode.startswith("VEX") and Group.AVX in lacking):
            continue
        if answer != ("r" if size == len(code) else "f"):
            wrong.append(f"{row.opcode} {row.mnemonic}: {code.hex(' ')} with {size} bytes: {answer}")
    assert not wrong, "\n".join(wrong[:20])
