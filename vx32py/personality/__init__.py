"""Personalities: the system calls that guests of one convention make."""
