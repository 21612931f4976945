"""Well-kept programs and libraries of others, built here from their own sources.

:mod:`sources` fetches the archives (pinned, hashed, from Debian), :mod:`libraries` says which files of each make up a
library, :mod:`recipes` puts a program together from a driver and libraries, :mod:`building` makes guests of recipes. The
headers in ``config`` are those that the libraries' own build systems would make.
"""
