"""``python -m conformance.paper``."""

from __future__ import annotations

import sys

from conformance.paper import main

if __name__ == "__main__":
    sys.exit(main())
