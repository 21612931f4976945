"""docs/pki-logic.md says what the checker does: its rules, words and limits are those of the code, and its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from vx32py.pki import checker, credentials, logic, wire
from vx32py.pki.scheme import NATIVE

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pki-logic.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_prints_what_it_says() -> None:
    done = subprocess.run([sys.executable, "-c", block("python")], capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.sub(r"credential [0-9a-f]{16}", "credential …", done.stdout) == block("text")


def test_the_rules_are_those_of_the_checker_in_their_order() -> None:
    rules = PAGE.partition("## Rules")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)$", rules, re.MULTILINE) == list(checker.RULES)
    assert checker.__doc__ is not None
    assert re.findall(r"^    (\w+)  ", checker.__doc__, re.MULTILINE) == list(checker.RULES)


def test_the_words_and_fields_are_those_of_the_encoding() -> None:
    written = dict(re.findall(r'`\["(\w+)"((?:, [^`]*?)?)\]`', PAGE))
    assert set(written) == set(wire._CLASSES)
    for word, fields in written.items():
        kind: Any = wire._CLASSES[word]
        assert len(fields.split(", ")) - 1 == len(wire._FIELDS[kind]) == len(kind.__match_args__), word


def test_the_native_schemes_are_named() -> None:
    for kind in logic.KINDS:
        for scheme in NATIVE[kind]:
            assert f"`{scheme}`" in PAGE


def test_the_limits_are_those_of_the_code() -> None:
    megabyte = 1 << 20
    assert (
        f"| {credentials.MAX_FILE // megabyte} MiB, {credentials.MAX_PLUGIN // megabyte} MiB, {credentials.MAX_SIGNATURE >> 10} KiB |" in PAGE
    )  # fmt: skip
    assert f"| {credentials.MAX_CREDENTIALS}, {credentials.MAX_PLUGINS}; {credentials.MAX_SIGNATURES} |" in PAGE
    assert f"| {logic.MAX_KEY} bytes; 16 to 64 bytes |" in PAGE
    assert f"| {logic.MAX_TOPIC}; {logic.MAX_TEXT}; 64 characters" in PAGE
    assert f"| {logic.MAX_DEPTH}; {logic.MAX_NESTING} |" in PAGE
    assert f"| {logic.MAX_MEMBERS}; {logic.MAX_REVOKED} |" in PAGE
    assert f"{checker.MAX_DEPTH} deep and {checker.MAX_NODES:,} nodes" in PAGE
    assert f"`{wire.DOMAIN[:-1].decode()}`" in PAGE
    assert f"`{credentials.MAGIC[:-1].decode()}`" in PAGE
