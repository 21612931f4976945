"""Programs of the tests of the tracer, and how they are built: natively, 32 bits, static."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_programs import compiled

#: Makes every call once, with the registers told apart. Under strace, which answers them all itself: nowhere else.
ALL_CALLS = r"""
void _start(void) {
  for (int n = 0; n <= 450; n++) {
    int r;
    __asm__ volatile("push %%ebp; mov $0x66666666, %%ebp; int $0x80; pop %%ebp" : "=a"(r)
      : "0"(n == 1 ? 223 : n), "b"(0x11111111), "c"(0x22222222), "d"(0x33333333), "S"(0x44444444), "D"(0x55555555)
      : "memory");
  }
  __asm__ volatile("int $0x80" :: "a"(1), "b"(0));
}
"""


def build(source: str, path: Path, *, libc: bool = False) -> Path:
    """A native program; with ``libc`` a static one that begins in main. Skips where gcc -m32 does not work."""
    flags = ["-fno-pic", "-no-pie", "-fno-stack-protector", "-w"]
    if not libc:
        flags += ["-nostdlib", "-ffreestanding"]
    shutil.copy(compiled(source, *flags), path)
    return path
