"""The decoders of :mod:`vx32py.decoders` against the tools that everybody decodes with, on what those tools' partners made.

:mod:`making` makes files, :mod:`cases` says with which options and what must come out, ``python -m conformance.decoders``
runs all of them on tens of megabytes and prints a table. The tests run the same cases on less.
"""
