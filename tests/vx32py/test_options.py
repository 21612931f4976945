"""The quick reader of ``vx32py run``'s command line says what click says, or leaves it to click."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vx32py.commands import jailing
from vx32py.commands.guests import RUN_OPTIONS, parse
from vx32py.commands.jail import jail
from vx32py.commands.run import run

WORDS = st.sampled_from(
    [option.flag for option in RUN_OPTIONS]
    + [
        "--",
        "-",
        "-x",
        "-h",
        "--help",
        "--engine=jit",
        "--fuel=7",
        "--timeout=.5",
        "--stats=1",
        "--memory=",
        "--nothing",
    ]
    + ["jit", "auto", "64M", "", "0", "-1", "3", "2.5", "nan", "1e3", "1_0", " 4 ", "a.elf", "a=b", "/x:/y:rw", "x=y"]
)


def by_click(arguments: list[str]) -> dict[str, Any] | None:
    """What click makes of them; None where it complains, or has something else to do than to run."""
    try:
        context = run.make_context("run", list(arguments))
    except (click.ClickException, click.exceptions.Exit):
        return None
    return dict(context.params)


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # so that nan is nan, and 1 is not 1.0


@given(st.lists(WORDS, max_size=7))
def test_what_is_read_quickly_is_what_click_reads(arguments: list[str]) -> None:
    quickly = parse(RUN_OPTIONS, arguments)
    if quickly is not None:
        slowly = by_click(arguments)
        assert slowly is not None
        assert same(dict(sorted(quickly.items())), dict(sorted(slowly.items())))


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.elf"],
        ["a.elf", "--help", "-x", "--", "word"],
        ["--engine", "jit", "--memory=1G", "--timeout", "2", "--fuel=10", "--stats", "a.elf", "--stats"],
        ["--env", "A=1", "--env=B=2", "--dir", "/x:/y", "--policy", "host", "a.elf"],
    ],
)
def test_plain_command_lines_need_no_click(arguments: list[str]) -> None:
    quickly = parse(RUN_OPTIONS, arguments)
    assert quickly is not None
    assert quickly == by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help", "a.elf"], ["--fuel", "0", "a.elf"], ["--engine", "x", "a.elf"], ["--memory"], ["-q", "a"]],
)
def test_the_rest_is_clicks(arguments: list[str]) -> None:
    assert parse(RUN_OPTIONS, arguments) is None


JAIL_WORDS = st.sampled_from(
    ["--root", "--dir", "--no-exec", "--allow-exec", "--overlay", "--no-overlay", "--policy", "--env=A=b", "--net", "--uid=3",
     "--uid", "--timeout=1", "--timeout", "--trace", "--stats", "--show-policy", "--", "-", "-h", "--help", "--stats=1",
     "--engine", "jit", "x", "1", "1.5", "-1", "nan", "/a:/b", "prog", "--fuel", "--memory", "64M", " 4", "1_0"]
)  # fmt: skip


@given(st.lists(JAIL_WORDS, max_size=7))
def test_what_is_read_quickly_of_a_jail_is_what_click_reads(arguments: list[str]) -> None:
    quickly = jailing.parse(arguments)
    if quickly is None:
        return
    try:
        slowly = dict(jail.make_context("jail", list(arguments)).params)
    except click.ClickException:
        assert quickly["engine"] not in {None, "auto", "jit", "translated", "reference"}  # the policy complains
        return
    assert same(dict(sorted(quickly.items())), dict(sorted(slowly.items())))


def test_a_plain_command_line_of_a_jail_is_read_quickly() -> None:
    read = jailing.parse(
        ["--root", "r", "--env", "A=1", "--env=B", "--allow-exec", "--timeout=2", "prog", "--help", "x"]
    )
    assert read is not None
    assert (read["program"], read["arguments"], read["env"], read["timeout"]) == (
        "prog",
        ("--help", "x"),
        ("A=1", "B"),
        2.0,
    )
    assert read["allow_exec"] is True
    assert read["overlay"] is None
