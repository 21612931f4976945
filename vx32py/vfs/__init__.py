"""The guest's file system: mounts, nodes, the walk along a path, and what system calls do with it.

Read :mod:`vx32py.vfs.mounts` first, what a guest can be given; then :mod:`vx32py.vfs.files`, what calls do.
"""
