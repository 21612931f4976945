"""``#I``: TCP and UDP through the host, as files (ip(3)); only what a :class:`vx32py.Network` allows."""
