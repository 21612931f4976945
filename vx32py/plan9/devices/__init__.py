"""The devices of the kernel: what is found below ``#`` and a letter."""
