"""Texts as Plan 9's print does them: in quotes (%q, quote(2)), and no longer than there is room."""

from __future__ import annotations


def quote(text: str) -> str:
    """A text as one word: in quotes where it is empty, or has blanks, quotes or an end of line in it.

    >>> quote("it's")
    "'it''s'"
    """
    if text and not any(letter <= " " or letter in "'=" for letter in text):
        return text
    return "'" + text.replace("'", "''") + "'"


def cut(text: bytes, most: int) -> bytes:
    """The first bytes of a text, without a part of a character at the end.

    >>> cut("für".encode(), 2)
    b'f'
    """
    if len(text) <= most:
        return text
    while most and text[most] & 0xC0 == 0x80:
        most -= 1
    return text[:most]
