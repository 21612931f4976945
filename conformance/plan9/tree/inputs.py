"""Files that the programs of the cases read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_WORDS: Final = [
    "able",
    "about",
    "banana",
    "band",
    "bench",
    "candle",
    "canon",
    "cinnamon",
    "dandelion",
    "dozen",
    "eleven",
    "engine",
    "fandango",
    "festival",
    "garden",
    "giant",
    "hammer",
    "hollow",
    "island",
    "jasmine",
    "kangaroo",
    "kettle",
    "lantern",
    "lemon",
    "mango",
    "melon",
    "nutmeg",
    "orange",
    "pandora",
    "parrot",
    "quantum",
    "quiet",
    "random",
    "ribbon",
    "salmon",
    "sandal",
    "tangent",
    "tunnel",
    "umbrella",
    "under",
    "vanilla",
    "velvet",
    "walnut",
    "window",
    "xylophone",
    "yonder",
    "yogurt",
    "zebra",
    "zone",
]
_TABLE: Final = """\
alpha 10 x
beta 25 y
gamma 7 x
delta 100 z
alpha 3 y
epsilon 42 x
"""
_PARAGRAPHS: Final = """\
It is a truth that a kernel which runs in a process of another
system can do what it likes, as long
as nobody looks.

    Lines that are indented stay so, and words like
    internationalisation are longer than most others are.

Short.
Lines.
Äpfel und Öl für süße Möwen: these count as one character each, whatever they take in the file.
"""
#: So many lines the long file has.
LINES: Final = 20_000


def contents() -> dict[str, bytes]:
    """The files, by name; the same every time."""
    dice = random.Random(9)  # noqa: S311
    mixed = [word.title() if number % 3 == 0 else word for number, word in enumerate(_WORDS)]
    dice.shuffle(mixed)
    numbers = [dice.randrange(-500, 5000) for _ in range(40)]
    texts = {
        "words": _lines(_WORDS),
        "mixed": _lines(mixed),
        "repeated": _lines(f"{word} {number % 3}" for number in range(30) for word in ("a", "b", "c") if number % 2),
        "numbers": _lines(map(str, numbers)),
        "floats": _lines(f"{dice.uniform(-10, 10):.3f}" if number % 4 else f"{number}e{number % 7 - 3}" for number in range(24)),
        "big": _lines(f"{dice.randrange(1 << 20)} {dice.choice(_WORDS)}" for _ in range(LINES)),
        "short": "one\ntwo\nthree\n",
        "other": "one\nTwo\nthree\nfour\n",
        "spaces": "a  b\n  c d\ne\tf \ng h\n",
        "tight": "a b\nc d\ne f\ng  h\n",
        "months": "Mar 3\nJan 1\nDec 12\nfeb 2\nOct 10\n",
        "table": _TABLE,
        "colours": "alpha red\nbeta green\nzeta blue\ndelta yellow\n",
        "colons": "a:1:x\nc:3:z\nb:2:y\n",
        "strange": "tab\there\nbell\x07 back\\slash\nlong " + "x" * 200 + "\nend.\n",
        "utf": "äöü\nkön\nñandú\n\u03b1\u03b2\u03b3\n日本語\nplain\n€uro\n",
        "paragraphs": _PARAGRAPHS,
    }  # fmt: skip
    binary = bytes(dice.randrange(256) for _ in range(3000)) + b"\0a readable text\0" + bytes(range(256)) + b"short\0"
    return {**{name: text.encode() for name, text in texts.items()}, "binary": binary}


def write(folder: Path) -> None:
    """Put all files into a directory."""
    for name, data in contents().items():
        (folder / name).write_bytes(data)


def write_large(folder: Path) -> None:
    """Put what the cases of ``stress`` read into a directory: 5 MB of noise, 50 MB of lines, 10,000 files."""
    dice = random.Random(1)  # noqa: S311
    (folder / "random").write_bytes(dice.randbytes(5 << 20))
    with (folder / "lines").open("w") as file:
        left = 50 << 20
        while left > 0:
            left -= file.write(f"{dice.getrandbits(64):x} {dice.getrandbits(20)}\n")
    for number in range(100):
        below = folder / "many" / str(number)
        below.mkdir(parents=True)
        for other in range(100):
            (below / f"file{other}").write_bytes(b"x" * (other * 37))


def _lines(lines: object) -> str:
    return "".join(f"{line}\n" for line in lines)  # type: ignore[attr-defined]
