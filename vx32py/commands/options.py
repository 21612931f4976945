"""What the commands that run a guest have in common: their options, and how the guest's end becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vx32py.cli import EXIT_CANNOT_RUN, EXIT_LIMIT, EXIT_SIGNAL, fail, open_program

if TYPE_CHECKING:
    from vx32py._calls import Observer
    from vx32py._files import Grant
    from vx32py._module import Module
    from vx32py._result import Result
    from vx32py._sandbox import Sandbox

Function = TypeVar("Function", bound=Callable[..., Any])

#: For commands whose last arguments belong to the guest: options of the guest are not ours.
GUEST_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def sandbox_options(function: Function) -> Function:
    """Add the options that :func:`make_sandbox` understands."""
    options = [
        click.option("--engine", default="auto", show_default=True,
                     type=click.Choice(["auto", "jit", "translated", "reference"]), help="What runs the guest."),
        click.option("--memory", default="64M", show_default=True, metavar="SIZE",
                     help="How much memory it may have: image, stack and heap."),
        click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                     help="How long it may run; then the exit code is 124."),
        click.option("--fuel", type=click.IntRange(min=1), metavar="N",
                     help="How many instructions it may execute; then the exit code is 124."),
        click.option("--dir", "directories", multiple=True, metavar="HOST:GUEST[:rw]",
                     help="Show a host directory or file to the guest; read-only without :rw."),
        click.option("--env", "environment", multiple=True, metavar="NAME=VALUE",
                     help="Set a variable of its environment, which is empty otherwise."),
        click.option("--policy", default="default", show_default=True, metavar="NAME|GROUP,...",
                     help="Which instructions it has: default, deterministic, integer, host (what this processor has),"
                     " everything, or groups such as cmov,sse2. Without the group time, as under deterministic and integer,"
                     " clocks and random numbers are made up."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def make_sandbox(options: dict[str, Any]) -> Sandbox:
    """The sandbox that the options describe. Ends the command where they make no sense."""
    from reference.policy import Policy
    from vx32py._errors import UnsupportedHost
    from vx32py._sandbox import Sandbox

    try:
        policy = Policy.parse(options["policy"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--policy") from None
    environment = {}
    for text in options["environment"]:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
        environment[name] = value
    files = dict(_mount(text) for text in options["directories"])
    try:
        return Sandbox(
            engine=options["engine"],
            memory=options["memory"],
            timeout=options["timeout"],
            fuel=options["fuel"],
            policy=policy,
            files=files,
            env=environment,
        )
    except OSError as error:
        raise click.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--dir") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except UnsupportedHost as error:
        fail(options["program"], error)


def _mount(text: str) -> tuple[str, Grant]:
    from vx32py._files import Grant

    writable = text.endswith(":rw")
    host, colon, guest = text.removesuffix(":rw").removesuffix(":ro").rpartition(":")
    if not colon or not host or not guest.startswith("/"):
        raise click.BadParameter(f"{text!r} is not HOST:GUEST[:rw] with an absolute GUEST", param_hint="--dir")
    return guest, Grant(host, writable)


def run_guest(options: dict[str, Any], *, observers: Iterable[Observer] = ()) -> tuple[Module, Result]:
    """Run the program that the options name on this process's standard streams. Ends the command where it cannot."""
    from vx32py._errors import NotModelled, Vx32Error

    sandbox = make_sandbox(options)
    module = open_program(options["program"])
    if sys.stdout is not None:
        sys.stdout.flush()
    streams = standard_streams()
    try:
        return module, sandbox.run(
            module, options["arguments"], **streams, name=options["program"], observers=observers
        )
    except (Vx32Error, NotModelled) as error:
        fail(options["program"], error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)


def standard_streams() -> dict[str, Any]:
    """This process's standard streams for the guest; nothing in place of those that are closed."""
    from vx32py._streams import DEVNULL

    streams = {}
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
            streams[name] = fd
        except OSError:
            streams[name] = DEVNULL
    return streams


def exit_like(program: str, result: Result) -> None:
    """End this process as the guest ended, with a line on stderr where that was not its own doing."""
    from vx32py._result import signal_of

    if result.exit_code is not None:
        sys.exit(result.exit_code)
    click.echo(f"vx32py: {program}: {result.describe()}", err=True)
    if result.trap is not None:
        sys.exit(EXIT_SIGNAL + signal_of(result.trap))
    sys.exit(EXIT_LIMIT if result.limit in ("time", "fuel") else EXIT_CANNOT_RUN)
