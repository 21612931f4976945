"""The native translator: the four passes of :mod:`reference.translator`, in the same order and under the same names, in
the part of Python that numba compiles to machine code. Only :mod:`jit.compiled`, when it builds, imports them.

    decode   bytes to fields          (reference.isa.decode, without operands)
    scan     fields to items          (reference.translator.scan)
    simplify, meter, place, emit      (the files of these names)
    translate                         the entry point

Their tables are compiled from the specification's: rows by :mod:`jit.tables`, stencils by :mod:`jit.stencils`.
"""
