"""``vx32py trace``: what a guest does, system call by system call or instruction by instruction."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import click

from vx32py.cli import EXIT_LIMIT, EXIT_SIGNAL, fail, open_program
from vx32py.commands.guests import SANDBOX_OPTIONS, exit_like, make_sandbox, run_guest, standard_streams
from vx32py.commands.options import GUEST_ARGUMENTS, options_of, wrong_usage_to_click

if TYPE_CHECKING:
    from vx32py._process import Process

_EPILOG = """\b
Examples:
  vx32py trace hello.elf
  vx32py trace --calls read,write hello.elf < input
  vx32py trace --calls %file,%network server.elf
  vx32py trace --summary hello.elf
  vx32py trace --instructions --limit 100 hello.elf
  vx32py trace -o calls.txt hello.elf

\b
Classes of --calls: %file (what takes a path), %desc (a descriptor), %process, %network, %signal, %memory, %ipc, %creds.
A line of --instructions is the guest EIP, the instruction, and the registers it changed.
"""

_REGISTERS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@options_of(SANDBOX_OPTIONS)
@click.option(
    "--calls", metavar="NAMES", default="", help="Show these system calls alone: names and classes, with commas."
)
@click.option(
    "-c", "--summary", is_flag=True, help="Show no calls, but at the end how many there were, and their time."
)
@click.option(
    "--string-limit", type=click.IntRange(min=0), metavar="N", default=32, help="How much is shown of a string."
)
@click.option("--time", "relative", is_flag=True, help="Begin each line with the seconds since the last one.")
@click.option("--instructions", is_flag=True, help="Show every instruction, and the system calls between them.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="With --instructions: stop after N of them.")
@click.option("-o", "--output", metavar="FILE", help="Write the trace there instead of to stderr.")
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def trace(
    calls: str,
    summary: bool,
    string_limit: int,
    relative: bool,
    instructions: bool,
    limit: int | None,
    output: str | None,
    **options: Any,
) -> None:
    """Run PROGRAM and show its system calls on stderr, as strace does."""
    from vx32py import strace

    try:
        only = strace.selection(calls)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--calls") from None
    with ExitStack() as stack, wrong_usage_to_click():
        stream: IO[str] = sys.stderr
        if output is not None:
            try:
                stream = stack.enter_context(open(output, "w", encoding="utf-8"))
            except OSError as error:
                fail(output, error.strerror or error)

        def write(line: str) -> None:
            stream.write(line + "\n")

        if summary and not instructions:
            counted = strace.Summary(only=only)
            _, result = run_guest(options, observers=[counted])
            write(counted.table())
            exit_like(options["program"], result)
        printer = strace.Printer(stream.write, only=only, string_limit=string_limit, relative=relative)
        if instructions:
            _trace_instructions(options, printer, write, limit)
        else:
            try:
                _, result = run_guest(options, observers=[printer])
            finally:
                printer.close()
            if result.exit_code is None:
                write(f"+++ {result.describe()} +++")
            exit_like(options["program"], result)


def _trace_instructions(options: dict[str, Any], printer: Any, write: Any, limit: int | None) -> None:
    from reference.traps import Vector
    from vx32py._errors import LimitExceeded, NotModelled, Vx32Error
    from vx32py._result import describe_trap, signal_of

    program = options["program"]
    sandbox = make_sandbox(options)
    module = open_program(program)
    if sys.stdout is not None:
        sys.stdout.flush()
    count = 0
    streams = standard_streams()
    try:
        with sandbox.spawn(module, options["arguments"], **streams, name=program) as process:
            process.observers.append(printer)
            listing = _Listing(process)
            while limit is None or count < limit:
                text, before = listing.instruction(), process.registers.general()
                trap = process.step()
                count += 1
                write(listing.line(text, before))
                if process.exit_code is not None:
                    write(f"+++ exit code {process.exit_code} after {count} instructions +++")
                    sys.exit(process.exit_code)
                if trap.number != Vector.SINGLE_STEP and trap.number not in process.tables:
                    message = describe_trap(trap, process.module.symbol_at(trap.eip))
                    write(f"+++ {message} +++")
                    sys.exit(EXIT_SIGNAL + signal_of(trap))
    except LimitExceeded as error:
        fail(program, error, EXIT_LIMIT)
    except (Vx32Error, NotModelled) as error:
        fail(program, error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)


class _Listing:
    """Lines of an instruction trace."""

    def __init__(self, process: Process) -> None:
        from vx32py._disassembly import Disassembler

        self.process = process
        self.disassembler = Disassembler()
        self._function: str | None = None

    def instruction(self) -> str:
        """The instruction that comes next, under its function's name where that changes."""
        eip = self.process.registers.eip
        code = self.process.engine.space.fetch(eip, 15)
        _, raw, text = self.disassembler.one(code, eip)
        symbol = self.process.module.symbol_at(eip)
        function = symbol.partition("+")[0] if symbol else None
        heading = f"{function}:\n" if function and function != self._function else ""
        self._function = function
        return f"{heading}{eip:08x}  {raw.hex():<22} {text:<36}"

    def line(self, text: str, before: dict[str, int]) -> str:
        """The instruction with what it changed."""
        after = self.process.registers.general()
        changed = [f"{name}={after[name]:08x}" for name in _REGISTERS if after[name] != before[name]]
        if after["eflags"] != before["eflags"]:
            from reference.flags import STATUS, name

            changed.append(f"flags={name(after['eflags'] & STATUS)}")
        return f"{text} {' '.join(changed)}".rstrip()
