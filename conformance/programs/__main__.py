"""``python -m conformance.programs``: run programs natively and in the jail, and write what came of it."""

from __future__ import annotations

import sys

from conformance.programs.command import main

sys.exit(main())
