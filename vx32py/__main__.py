"""``python -m vx32py``: the command line."""

from vx32py.cli import main

if __name__ == "__main__":
    main()
