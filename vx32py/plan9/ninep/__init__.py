"""9P2000, the protocol of file servers (intro(5)), in both directions."""
