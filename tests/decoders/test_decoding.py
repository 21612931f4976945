"""Every decoder gives what the tools that everybody uses give: every kind of file, small ones on every engine."""

from __future__ import annotations

import pytest
from decoder_guests import decode, made

from conformance.decoders.cases import CASES, MEDIUM, SMALL, Case


def _first(names: str) -> list[Case]:
    return [next(case for case in CASES if case.decoder == name) for name in names.split()]


@pytest.mark.parametrize("case", _first("deflate gzip bzip2 zstd brotli jpeg png flac"), ids=lambda case: case.name)
def test_a_small_file_on_every_engine(case: Case, engine_name: str) -> None:
    """Of all but Vorbis, which needs ten seconds on those that are not native for its tables alone, and JPEG 2000 and xz,
    which the slowest engine does not run here; python -m conformance.decoders has every kind of file on all engines."""
    _decodes(case, engine_name)


@pytest.mark.parametrize("case", _first("xz jp2"), ids=lambda case: case.name)
def test_a_small_file_of_the_larger_decoders_on_the_interpreter(case: Case) -> None:
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


@pytest.mark.ldt
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_end_of_the_input_is_read_once(case: Case) -> None:
    """Some asked again and again: each time is a call, and of a small file calls are most of the time."""
    data, _ = made(case, SMALL)
    pieces = -(-len(data) // 0x10000)
    assert decode(case.decoder, data).stats.calls["read"] <= pieces + 1
