"""Decoders for tests of archives."""

from __future__ import annotations

import decoder_guests
import pytest

from vx32py import decoders


@pytest.fixture(scope="session")
def built_decoders() -> None:
    """The decoders of all codecs. Where one cannot be built the test is skipped, but not where CI sees to it that it can."""
    for name in decoders.NAMES:
        decoder_guests.module(name)
