"""The commands of ``vx32py``, one module each."""
