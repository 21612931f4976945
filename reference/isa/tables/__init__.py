"""The text of the instruction table, a file for each family. :mod:`reference.isa.opcodes` reads it."""
