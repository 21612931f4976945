"""Instructions that take for ever, under a time limit: one string instruction is as interruptible as a loop."""

from __future__ import annotations

import pytest
from images import DATA, ENTRY, image

from vx32py import Sandbox, Timeout

SIZE = 32 << 20
TEXTS = {
    "rep stosb": f"mov edi, {DATA}; mov ecx, {SIZE}; rep stosb",
    "rep movsb": f"mov esi, {DATA}; mov edi, {DATA + 1}; mov ecx, {SIZE - 1}; rep movsb",
    "rep movsd backwards": f"std; mov esi, {DATA + SIZE - 4}; mov edi, {DATA + SIZE - 8}; mov ecx, {SIZE // 4 - 2}; rep movsd; cld",
    "repne scasb": f"mov edi, {DATA}; mov al, 1; mov ecx, {SIZE}; repne scasb",
    "repe cmpsb": f"mov esi, {DATA}; mov edi, {DATA}; mov ecx, {SIZE}; repe cmpsb",
    "rep lodsb": f"mov esi, {DATA}; mov ecx, {SIZE}; rep lodsb",
    "one byte four billion times": f"xor eax, eax; mov ecx, -1; 2: mov edi, {DATA}; stosb; dec ecx; jnz 2b",
    "calls to itself": "mov edi, esp; 2: mov esp, edi; call 2b",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_time_limit_ends_it(engine_name: str, name: str) -> None:
    box = Sandbox(engine=engine_name, timeout=0.05, memory="64M")
    with box.spawn(image(f"1: {TEXTS[name]}; jmp 1b", memory=SIZE)) as process:
        with pytest.raises(Timeout):
            process.run()
        assert ENTRY <= process.registers.eip < ENTRY + 0x40
