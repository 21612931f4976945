"""What system calls do with a guest's files."""

from __future__ import annotations

from vx32py._files import Files

__all__ = ["Files"]
