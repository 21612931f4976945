"""The soak: hundreds of processes that fork, execute, talk, wait for one another, mount, and die, for a long time.

``crew.c`` is the program: a boss keeps so many workers at work. It counts what it is told; the host counts what they leave.
"""
