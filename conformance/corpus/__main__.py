"""The command: add a case to the corpus, or judge all of it."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import click

from conformance import case_file, corpus
from conformance.campaign.replay import Replayer


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.argument("name", required=False)
def main(file: Path | None, name: str | None) -> None:
    """Add the case in FILE to the corpus as NAME, which says what was wrong: words with hyphens. Without both, run the
    whole corpus on all oracles.

    What to expect of the case comes from the processor; of a trick, which is called escape/CLASS/NAME, from FILE if that
    says it. The exit code is 1 if an oracle makes something else of it.
    """
    if file is None:
        paths = list(corpus.files())
    elif name is None or not re.fullmatch(r"(escape/[a-z0-9-]+/)?[a-z0-9]+(-[a-z0-9]+)*", name):
        raise click.UsageError("NAME is words of small letters and digits, with hyphens between them")
    else:
        try:
            case, said = case_file.loads(file.read_text(encoding="utf-8"), str(file))
            ruled = said if name.startswith("escape/") else None
            paths = [corpus.add(case, name) if ruled is None else corpus.add_ruled(case, ruled, name)]
        except (case_file.CaseFileError, corpus.CannotJudge) as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{paths[0]}")
    wrong = 0
    with closing(Replayer()) as replayer:
        for path in paths:
            case, expected = corpus.load(path)
            name = corpus.name_of(path)
            for verdict in replayer.run(case, expected):
                excused = (name, verdict.oracle) in corpus.EXCEPTIONS or not corpus.asked(case, verdict.oracle)
                if verdict.disagrees and not excused:
                    wrong += 1
                    click.echo(f"{name}: {verdict.oracle} {verdict}")
    sys.exit(1 if wrong else 0)


main()
