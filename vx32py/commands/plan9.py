"""``vx32py plan9``: run Plan 9 programs for the 386 on a kernel in Python."""

from __future__ import annotations

from typing import Any, Final

import click

from vx32py.commands import booting
from vx32py.commands.options import GUEST_ARGUMENTS, options_of, wrong_usage_to_click

_EPILOG: Final = """\b
Examples:
  vx32py plan9 --root 9legacy                       a shell on this terminal, rc
  vx32py plan9 --root 9legacy -c 'ls -l /386/bin | wc -l'
  vx32py plan9 --root 9legacy ls -l /usr            a program of the tree, without a shell
  vx32py plan9 --root 9legacy --tree src=.:rw -c 'cd /mnt/src; mk'
  vx32py plan9 --root 9legacy --net host -c 'srv tcp!9p.io sources /n/sources && ls /n/sources'
  vx32py cc --libc plan9 hello.c -o 8.out           a program of one's own
  vx32py plan9 8.out one two                        needs no tree
  vx32py plan9 --root 9legacy --aout 8.out          and sees one where there is one
  vx32py plan9 --trace 8.out                        what it asks of the kernel

\b
Programs see the tree as it is on a 386: /bin is /386/bin and /rc/bin, and there are /dev, /env, /fd, /proc, /srv and /tmp.
They reach nothing of the host's but what --root, --tree and --net grant, and this command's standard streams.

\b
On a terminal Ctrl-D is the end of the input, and Ctrl-C the note "interrupt"; three of them within a second end the
kernel, as SIGTERM and SIGHUP do.

\b
Exit codes:
  0 for an empty status; 1 for any other, which is shown on stderr; 128 + n when signal n ended the kernel; 124 when a
  limit did; 125 when there is nothing that can run here; 2 for options that make no sense.
"""


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@options_of(booting.OPTIONS)
@click.argument("program", metavar="[PROGRAM]", required=False)
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def plan9(**options: Any) -> None:
    """Boot a Plan 9 kernel in this process, and run PROGRAM, a command, or a shell.

    Programs are unmodified Plan 9 programs for the 386. PROGRAM is one of the tree, in /bin if there is no slash in it.
    """
    with wrong_usage_to_click():
        booting.run(options)
