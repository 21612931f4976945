"""Every decoder gives what the tools that everybody uses give: every kind of file, small ones on every engine."""

from __future__ import annotations

import pytest
from decoder_guests import decode, made

from conformance.decoders.cases import CASES, MEDIUM, SMALL, Case


def _first(names: str) -> list[Case]:
    return [next(case for case in CASES if case.decoder == name) for name in names.split()]


@pytest.mark.parametrize("case", _first("deflate zstd brotli flac"), ids=lambda case: case.name)
def test_a_small_file_on_every_engine(case: Case, engine_name: str) -> None:
    """Of those that need few instructions; python -m conformance.decoders has all of them on all engines."""
    _decodes(case, engine_name)


@pytest.mark.parametrize("case", _first("gzip bzip2 xz jpeg jp2 png"), ids=lambda case: case.name)
def test_a_small_file_as_the_specification_has_it(case: Case) -> None:
    _decodes(case, "reference")


def _decodes(case: Case, engine_name: str) -> None:
    data, check = made(case, SMALL)
    result = decode(case.decoder, data, engine_name)
    assert (result.exit_code, result.stderr, result.trap) == (0, b"", None)
    assert check(result.stdout) is None


@pytest.mark.ldt
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_is_decoded_as_by_the_tool_of_its_format(case: Case) -> None:
    data, check = made(case, MEDIUM)
    result = decode(case.decoder, data)
    assert (result.exit_code, result.stderr, result.trap) == (0, b"", None)
    assert check(result.stdout) is None
