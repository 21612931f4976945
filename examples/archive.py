"""A directory kept in an archive with its decoders, and one file of it read back by nothing but the archive.

    python examples/archive.py DIRECTORY ARCHIVE NAME

Makes ARCHIVE of DIRECTORY, has every member decoded by its archived decoder, and writes the content of the member NAME to
standard output, decoded if it was compressed. Shows the API of `vx32py.archive`.
"""

from __future__ import annotations

import argparse
import sys

from vx32py import archive


def main() -> int:
    """Keep it, test it, read from it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIRECTORY")
    parser.add_argument("archive", metavar="ARCHIVE")
    parser.add_argument("name", metavar="NAME")
    options = parser.parse_args()

    made = archive.create(options.archive, [options.directory])
    for line in made.failures:
        print(line, file=sys.stderr)
    print(f"{made.files} files, {made.bytes:,} bytes became {made.size:,}: {dict(made.codecs)}", file=sys.stderr)

    report = archive.test(options.archive)
    for failure in report.failures:
        print(failure, file=sys.stderr)

    with archive.Archive(options.archive) as opened, archive.Decoders(opened) as decoders:
        for decoder in archive.info(opened).decoders:
            print(f"{'/'.join(decoder.codecs)}: {decoder.size:,} bytes, {decoder.members} members", file=sys.stderr)
        for member in opened.members():
            if options.name in {member.name, member.decoded_name}:
                try:
                    decoders.decode(member, sys.stdout.buffer, decoded=True)
                except archive.MemberError as error:
                    print(error, file=sys.stderr)
                    return 1
                return 0
    print(f"no member is called {options.name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
