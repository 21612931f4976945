"""``python -m conformance.plan9``: Go's programs, the tests of Go's own library, and a tree of C programs, on the kernel."""

from __future__ import annotations

import sys

from conformance.plan9.command import main

sys.exit(main())
