"""A tree of Plan 9's for the kernel to boot: real programs (rc, sed, awk, mk, sam, ...) as a.outs for the 386.

Their sources are those of Debian's package ``9base``, which has them from plan9port and so from Plan 9. :mod:`recipes` says what each
is made of, :mod:`building` compiles them, :mod:`layout` puts the tree together. ``c/`` has what is ours: the library's part
that talks to the kernel, which in plan9port is made of Unix, what rc, mk and sam ask of the system, and small commands that 9base
leaves to Unix. ``files/`` goes into the tree as it is. :mod:`oracle` has the same programs as Debian built them for Linux.
"""
