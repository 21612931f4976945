"""Options of the commands that run a guest, for click: made of the table in :mod:`.guests`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from vx32py.commands.guests import Option, WrongUsage

Function = TypeVar("Function", bound=Callable[..., Any])

#: For commands whose last arguments belong to the guest: options of the guest are not ours.
GUEST_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def options_of(table: Sequence[Option]) -> Callable[[Function], Function]:
    """A decorator that adds these options to a command."""

    def decorate(function: Function) -> Function:
        for option in reversed(table):
            function = click.option(
                option.flag, option.name, help=option.help, default=option.default, metavar=option.metavar,
                is_flag=option.is_flag, multiple=option.multiple, type=_type_of(option),
                show_default=isinstance(option.default, str),
            )(function)  # fmt: skip
        return function

    return decorate


def _type_of(option: Option) -> click.ParamType[Any] | None:
    if option.choices:
        return click.Choice(option.choices)
    if option.number is int:
        return click.IntRange(min=0, min_open=True)
    if option.number is float:
        return click.FloatRange(min=0, min_open=True)
    return None


@contextmanager
def wrong_usage_to_click() -> Iterator[None]:
    """Let click tell about options that make no sense."""
    try:
        yield
    except WrongUsage as error:
        if error.option is not None:
            raise click.BadParameter(str(error), param_hint=error.option) from None
        raise click.UsageError(str(error)) from None
