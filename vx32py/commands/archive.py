"""``vx32py archive``: archives that carry their decoders."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from vx32py.cli import fail, say
from vx32py.commands import stopping

if TYPE_CHECKING:
    from vx32py.archive.extracting import Progress
    from vx32py.archive.limits import Limits
    from vx32py.archive.members import Member
    from vx32py.archive.reader import Archive

#: Something is not as it should be, and the rest is done.
EXIT_PARTLY: Final = 1

_EXIT_CODES = """\b
Exit codes:
  0 all is well; 1 a file or member failed, or the archive is damaged (each is a line on stderr, the others
  are done); 2 wrong usage; 125 no archive, nothing could be written, more would come of it than may, or this
  host cannot run decoders; 128 + n ended by signal n.
"""

Function = TypeVar("Function", bound=Callable[..., Any])


def _give_up() -> None:
    """What is left to do where work cannot be stopped."""
    from vx32py.archive import temporary

    temporary.give_up()


class _Stoppable(click.Group):
    """Its commands end soon when a signal ends them, and leave nothing that is not whole."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stopping.stoppable(_give_up):
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            stopping.leave(stop)


@click.group(
    cls=_Stoppable,
    epilog="""\b
Examples:
  vx32py archive create photos.zip ~/photos     pack, each file by the codec that makes the least of it
  vx32py archive test photos.zip                decode all by the archive's own decoders, and compare
  vx32py archive extract photos.zip --to there  the files, as they were
  vx32py archive extract --decoded photos.zip   the same, with JPEGs as BMP, FLAC as WAV, *.gz unpacked
  vx32py archive COMMAND --help                 more about one command

"""
    + _EXIT_CODES,
)
def archive() -> None:
    """Make and read ZIP archives that carry their decoders.

    A decoder is a program for the sandbox; an archive has each that its members need once. Whoever finds the archive needs
    no codec to read it. Files that are compressed already (gzip, bzip2, xz, zstd, brotli, PNG, JPEG, JPEG 2000, Ogg Vorbis,
    FLAC) are stored as they are, with a decoder. Other unzip programs read what they know.
    """


def _decoding_options(function: Function) -> Function:
    """Options of everything that runs decoders."""
    for option in reversed(
        (
            click.option("--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="How many files to work on at the same time; as many as there are processors by default."),
            click.option("--engine", type=click.Choice(["auto", "jit", "translated", "reference"]), default="auto", show_default=True, help="What runs decoders."),
            click.option("--memory", metavar="SIZE", help="How much memory a decoder may have; what those of vx32py need by default, and 256M for others."),
            click.option("--max-time", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Processor time for one file; 30 s and one for each megabyte by default."),
            click.option("--max-size", metavar="SIZE", help="How large a decoded file may be; no limit by default."),
            click.option("--max-ratio", type=click.FloatRange(min=0), metavar="N", default=1100.0, show_default=True, help="How many times larger than in the archive a file of more than 1G may be, and all files together of more than 16G; 0 for no limit."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


_MAX_TOTAL = click.option("--max-total", metavar="SIZE", help="How large all decoded files together may be; no limit but --max-ratio by default.")  # fmt: skip


def _limits(options: dict[str, Any]) -> Limits:
    """Takes the options that are limits out of ``options``."""
    from vx32py.archive import Limits
    from vx32py.vfs.mounts import parse_size

    sizes = {}
    for name in ("memory", "max_size", "max_total"):
        try:
            text = options.pop(name, None)
            sizes[name] = None if text is None else parse_size(text)
        except (ValueError, TypeError) as error:
            raise click.BadParameter(str(error), param_hint="--" + name.replace("_", "-")) from None
    return Limits(
        memory=sizes["memory"], most=sizes["max_size"], seconds=options.pop("max_time"),
        ratio=options.pop("max_ratio") or None, files=options.pop("max_files", 0) or None, total=sizes["max_total"],
    )  # fmt: skip


@contextmanager
def _one_line(path: str) -> Iterator[None]:
    """Errors that end the command, as one line."""
    from vx32py._errors import Vx32Error

    try:
        yield
    except BrokenPipeError:
        raise
    except Vx32Error as error:
        fail(path, error)
    except OSError as error:
        about = error.filename or path
        fail(str(about), error.strerror or error)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _open(path: str) -> Iterator[Archive]:
    """An archive to read; "-" is standard input. What is wrong with the archive as a whole goes to stderr."""
    from vx32py.archive import Archive

    with _one_line(path), Archive(sys.stdin.buffer if path == "-" else path) as opened:
        for problem in opened.problems:
            say(f"vx32py: {path}: {problem}")
        yield opened


@contextmanager
def _progress(what: str, total: int, *, quiet: bool) -> Iterator[Progress | None]:
    """A bar on stderr, where that is a terminal and the work takes a moment."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=max(total, 1))
        yield lambda count: bar.advance(task, count)


def _end(path: str, failures: list[Any], *, damaged: bool = False) -> None:
    for failure in failures:
        say(f"vx32py: {path}: {failure}")
    if failures or damaged:
        sys.exit(EXIT_PARTLY)


_QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress bar, and no summary.")


@archive.command(
    epilog="""\b
Examples:
  vx32py archive create backup.zip project notes.txt
  vx32py archive create --codec deflate old.zip project      every unzip reads it
  vx32py archive create --effort best --jobs 4 small.zip big
  tar c / | vx32py archive create --stdin-name root.tar root.zip -
  vx32py archive create - project | ssh host 'cat > project.zip'
  vx32py archive create --decoder flac=mine.elf music.zip music

"""
    + _EXIT_CODES
)
@click.option("--codec", "codecs", multiple=True, metavar="NAME", help='A codec to choose from, once for each: deflate, zstd, bzip2, xz, brotli; all of them by default. "none" to compress nothing.')  # fmt: skip
@click.option("--effort", type=click.Choice(["fast", "normal", "best"]), default="normal", show_default=True, help="How long to try.")  # fmt: skip
@click.option("--no-recognise", is_flag=True, help="Treat compressed files as any others.")
@click.option("--decoder", "decoders", multiple=True, metavar="CODEC=FILE", help="Put this decoder into the archive for a codec, in place of the one of vx32py.")  # fmt: skip
@click.option("--stdin-name", default="stdin", show_default=True, metavar="NAME", help='What the file is called that "-" stands for.')  # fmt: skip
@click.option("--comment", default="", metavar="TEXT", help="A comment for the archive.")
@_decoding_options
@_QUIET
@click.argument("archive_path", metavar="ARCHIVE")
@click.argument("paths", metavar="PATHS...", nargs=-1, required=True)
def create(
    archive_path: str, paths: tuple[str, ...], codecs: tuple[str, ...], decoders: tuple[str, ...], no_recognise: bool,
    quiet: bool, comment: str, jobs: int | None, **options: Any,
) -> None:  # fmt: skip
    """Pack files, and directories with all that is in them, into ARCHIVE, which is replaced when all is written.

    ARCHIVE "-" is standard output, the path "-" standard input. Links are not followed. A file that is compressed already
    goes in as it is, if its decoder reads all of it; any other one compressed by the codec that makes the least of it.
    """
    from vx32py import archive as archives
    from vx32py.archive.sources import walk

    limits = _limits(options)
    given = {}
    for text in decoders:
        codec, equals, file = text.partition("=")
        if not equals:
            raise click.BadParameter(f"CODEC=FILE, not {text!r}", param_hint="--decoder")
        given[codec] = file
    chosen = None if not codecs else [codec for codec in codecs if codec != "none"]
    with _one_line(archive_path):
        sources = walk(paths, stdin_name="stdin", leave_out=set(), skipped=lambda _: None)
        total = sum(source.size for source in sources if source.is_file) if sys.stderr.isatty() and not quiet else 0
        with _progress("packing", total, quiet=quiet) as progress:
            report = archives.create(
                sys.stdout.buffer if archive_path == "-" else archive_path, paths, codecs=chosen,
                precompressed=not no_recognise, decoders=given, limits=limits, workers=jobs, comment=comment.encode(),
                progress=progress, **options,
            )  # fmt: skip
    if not quiet and archive_path != "-":
        used = ", ".join(f"{codec} {count}" for codec, count in report.codecs.most_common())
        click.echo(
            f"{report.files} files, {report.folders} folders, {report.links} links: {report.bytes:,} bytes became "
            f"{report.size:,}" + (f" ({used})" if used else "")
        )
    for warning in report.warnings:
        say(f"vx32py: {archive_path}: {warning}")
    _end(archive_path, report.failures)


@archive.command(
    epilog="""\b
Examples:
  vx32py archive extract backup.zip
  vx32py archive extract --to /tmp/there backup.zip 'project/*.c'
  vx32py archive extract --decoded photos.zip          photo.jpg becomes photo.bmp, paper.tgz paper.tar
  vx32py archive extract --engine reference small.zip  needs nothing but Python, and patience

"""
    + _EXIT_CODES
)
@click.option("--to", "target", default=".", show_default=True, metavar="DIR", help="Where; made if it is not there.")
@click.option("--decoded", is_flag=True, help="Decode files that were compressed before they came into the archive.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--keep-broken", is_flag=True, help="Keep what there is of a file that fails, as NAME.broken.")
@click.option("--max-files", type=click.IntRange(min=0), metavar="N", default=1_000_000, show_default=True, help="How many files, folders and links may come of it; 0 for no limit.")  # fmt: skip
@_MAX_TOTAL
@_decoding_options
@_QUIET
@click.argument("archive_path", metavar="ARCHIVE")
@click.argument("patterns", metavar="[MEMBERS]...", nargs=-1)
def extract(
    archive_path: str, patterns: tuple[str, ...], target: str, decoded: bool, jobs: int | None, quiet: bool, **options: Any
) -> None:  # fmt: skip
    """Extract all MEMBERS of ARCHIVE, or those that match the patterns, below a directory and nowhere else.

    Every file is compared with its checksum. Members are decoded by the archive's own decoders, in sandboxes.
    """
    from vx32py.archive.api import selected
    from vx32py.archive.extracting import extract as extract_members

    limits = _limits(options)
    with _open(archive_path) as opened:
        members = selected(opened, patterns)
        total = sum(member.decoded_size if decoded else member.size for member in members)
        with _progress("extracting", total, quiet=quiet) as progress:
            report = extract_members(
                opened, target, members, decoded=decoded, limits=limits, workers=jobs, progress=progress, **options
            )
    if not quiet:
        click.echo(f"{report.files} files, {report.folders} folders, {report.links} links: {report.bytes:,} bytes")
    _end(archive_path, report.failures, damaged=bool(opened.problems))


@archive.command(
    name="list",
    epilog="""\b
Examples:
  vx32py archive list backup.zip
  vx32py archive list --names backup.zip | grep '[.]c$'

"""
    + _EXIT_CODES,
)
@click.option("--names", is_flag=True, help="Nothing but names.")
@click.argument("archive_path", metavar="ARCHIVE")
@click.argument("patterns", metavar="[MEMBERS]...", nargs=-1)
def list_(archive_path: str, patterns: tuple[str, ...], names: bool) -> None:
    """List the MEMBERS of ARCHIVE: mode, size, size in the archive, method, decoder, time, name.

    The decoder is in brackets where the file was compressed before it came into the archive.
    """
    from vx32py.archive.api import selected
    from vx32py.archive.errors import printable

    damaged = False
    with _open(archive_path) as opened:
        for member in selected(opened, patterns):
            name = printable(member.name, 4096)
            click.echo(name if names else _row(member, name))
            for problem in member.problems[:1]:
                damaged = True
                say(f"vx32py: {archive_path}: {name}: {problem}")
    _end(archive_path, [], damaged=damaged or bool(opened.problems))


def _row(member: Member, name: str) -> str:
    mode = stat.filemode(member.mode) if member.mode else "d---------" if member.is_directory else "?---------"
    decoder = "" if member.decoder is None else member.decoder.codec
    try:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(member.mtime))
    except (ValueError, OverflowError, OSError):
        when = "?"
    target = (
        f" -> {member.link_target.decode('utf-8', 'backslashreplace')}" if member.is_link and member.link_target else ""
    )
    from vx32py.archive.errors import printable

    return (
        f"{mode} {member.size:>13,} {member.compressed_size:>13,} {member.method_name:<8} "
        f"{f'({decoder})' if member.is_precompressed else decoder:<9} {when:<16} {name}{printable(target, 4096)}"
    )


@archive.command(
    epilog="""\b
Examples:
  vx32py archive test backup.zip
  vx32py archive test --jobs 8 --fresh backup.zip

"""
    + _EXIT_CODES
)
@click.option("--fresh", is_flag=True, help="Let no decoder go on from one file to the next, not even of the same owner and mode.")  # fmt: skip
@_MAX_TOTAL
@_decoding_options
@_QUIET
@click.argument("archive_path", metavar="ARCHIVE")
def test(archive_path: str, jobs: int | None, quiet: bool, **options: Any) -> None:
    """Decode every member of ARCHIVE by its archived decoder, and compare sizes and checksums. Nothing is written."""
    from vx32py.archive.testing import judge

    limits = _limits(options)
    with _open(archive_path) as opened:
        total = sum(member.decoded_size for member in opened.members())
        with _progress("testing", total, quiet=quiet) as progress:
            report = judge(opened, limits=limits, workers=jobs, progress=progress, **options)
    if not quiet:
        click.echo(
            f"{report.good} members are good, {report.decoded} of them by archived decoders; {len(report.failures)} are not"
        )
    _end(archive_path, report.failures, damaged=bool(opened.problems))


@archive.command(
    epilog="""\b
Examples:
  vx32py archive info backup.zip

"""
    + _EXIT_CODES
)
@click.argument("archive_path", metavar="ARCHIVE")
def info(archive_path: str) -> None:
    """Show what there is in ARCHIVE: sums, methods, and the decoders with where they are and their SHA-256."""
    from vx32py.archive.errors import printable
    from vx32py.archive.listing import info as info_of

    with _open(archive_path) as opened:
        found = info_of(opened)
    click.echo(f"archive      {found.size:,} bytes")
    click.echo(f"members      {found.files} files, {found.folders} folders, {found.links} links")
    click.echo(f"content      {found.content:,} bytes, {found.stored:,} in the archive")
    if found.methods:
        click.echo("methods      " + ", ".join(f"{name} {count}" for name, count in found.methods.most_common()))
    click.echo(f"compressed   {found.precompressed} files before they came into the archive")
    if found.comment:
        click.echo(f"comment      {printable(found.comment.decode('utf-8', 'replace'))}")
    for decoder in found.decoders:
        state = f"{decoder.size:,} bytes" if decoder.problem is None else printable(decoder.problem)
        click.echo(
            f"decoder      {' '.join(decoder.codecs)}: {decoder.members} members, at {decoder.offset:#x}, {state}, "
            f"SHA-256 {decoder.sha256.hex()}"
        )
    if found.unusable:
        click.echo(f"unusable     {found.unusable} members: vx32py archive list says why")
    _end(archive_path, [], damaged=bool(found.problems or found.unusable or any(d.problem for d in found.decoders)))


@archive.command(
    name="add-decoder",
    epilog="""\b
Examples:
  vx32py cc qoi.c -o qoi.elf                                         a program from stdin to stdout
  vx32py archive add-decoder --suffix .bmp pictures.zip qoi qoi.elf '*.qoi'
  vx32py archive add-decoder backup.zip xz newer-xz.elf              for all members that are of this codec

"""
    + _EXIT_CODES,
)
@click.option(
    "--suffix", metavar=".EXT", help="What decoded files are called: this in place of the end of their names."
)
@click.option("--engine", type=click.Choice(["auto", "jit", "translated", "reference"]), default="auto", show_default=True, help="What runs the decoder.")  # fmt: skip
@click.argument("archive_path", metavar="ARCHIVE")
@click.argument("codec", metavar="CODEC")
@click.argument("decoder", metavar="DECODER")
@click.argument("patterns", metavar="[MEMBERS]...", nargs=-1)
def add_decoder(
    archive_path: str, codec: str, decoder: str, patterns: tuple[str, ...], suffix: str | None, engine: str
) -> None:
    """Put DECODER, a guest program, into ARCHIVE, and let it read the MEMBERS that match, or all that are of CODEC already.

    It must read them: it is run over each. Members that were compressed for the archive must become what they were; of
    stored files, what it writes is their decoded form.
    """
    from vx32py import archive as archives

    with _one_line(archive_path):
        report = archives.add_decoder(
            archive_path, codec, decoder, members=patterns or None, suffix=suffix, engine=engine
        )
    click.echo(f"{len(report.members)} members are read by {decoder} now")
    _end(archive_path, report.failures)
