"""Coverage-guided malformed images: libFuzzer changes bytes and keeps what reaches new code of the parser and the loader.

    python -m conformance.malformed.atheris_elf CORPUS -max_total_time=300

Options are libFuzzer's. CORPUS is a directory that images are kept in; the hand-made ones are put there if it is empty.
Nothing runs: :mod:`conformance.malformed.images` has judged what guests do. A finding is an exception that
``Module.from_bytes`` and the loader do not document, or a message that is not one line; libFuzzer writes the image to a
file and stops.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

#: Layouts are planned for so much memory; spaces of what fits are loaded on the reference.
MEMORY = 4 << 20


def look_at(data: bytes) -> None:
    """Read an image and load it. Raises what must not be raised."""
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from vx32py import BadImage, LimitExceeded, Module
    from vx32py._loader import build_stack, load, plan

    try:
        module = Module.from_bytes(data)
        _must_be_a_line(repr(module), *module.notes, module.symbol_at(module.entry) or "none")
        layout = plan(module, MEMORY)
        space = AddressSpace(layout.limit)
        load(module, space, layout)
        build_stack(module, space, layout, [b"name", b"argument"], [b"A=B"], Policy.default(), bytes(16))
        space.close()
        _ = module.symbols
    except (BadImage, LimitExceeded) as error:
        _must_be_a_line(str(error))


def _must_be_a_line(*texts: str) -> None:
    for text in texts:
        if not text or not text.isprintable():
            raise AssertionError(f"not one printable line: {text!r}")


def main() -> None:
    """Hand over to libFuzzer. Does not return."""
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install 'atheris>=3.0'")
    # Only what judges bytes is worth the instrumentation, which has to see it imported for the first time.
    with atheris.instrument_imports(include=["vx32py._elf", "vx32py._module", "vx32py._loader", "reference.contents"]):
        import vx32py._loader
        import vx32py._module  # noqa: F401
    from conformance.malformed.sources import by_hand

    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    if folders:
        folders[0].mkdir(parents=True, exist_ok=True)
        if not any(folders[0].iterdir()):
            for name, data in by_hand().items():
                (folders[0] / name).write_bytes(data)
    atheris.Setup(sys.argv, look_at)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
