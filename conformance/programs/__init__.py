"""Programs that other people made, out of Debian's i386 packages: run natively and in the jail, and compared.

:mod:`.roots` gets packages and unpacks them into trees, :mod:`.cases` says what is run, :mod:`.run` runs it both ways, and
:mod:`.report` makes ``docs/programs.md`` of what came of it. ``python -m conformance.programs --help`` does it all.
"""
