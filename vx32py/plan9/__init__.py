"""Plan 9: unmodified 386 programs on a kernel in Python. :class:`vx32py.plan9.kernel.Kernel` is what people use."""
