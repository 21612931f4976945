"""Quoting as Plan 9's %q does it (quote(2))."""

from __future__ import annotations


def quote(text: str) -> str:
    """A text as one word: in quotes where it is empty, or has blanks, quotes or an end of line in it.

    >>> quote("it's")
    "'it''s'"
    """
    if text and not any(letter <= " " or letter in "'=" for letter in text):
        return text
    return "'" + text.replace("'", "''") + "'"
