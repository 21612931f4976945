"""Malformed programs and random system calls: errors or results, and nothing else.

    python -m conformance.malformed images --count 100000 --seed 1
    python -m conformance.malformed calls --count 100000 --seed 1

Each case is a function of the seed and its number, runs in a process that may die of it, and is judged by what the host
can see: exceptions that are not documented, deaths by signal, hangs, memory, descriptors, threads, files outside of what
was granted. ``--only NUMBER`` runs one of them again.
"""
