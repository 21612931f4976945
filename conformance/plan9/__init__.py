"""Real programs for Plan 9 on the kernel: what Go's compiler makes of Go (``python -m conformance.plan9``)."""
