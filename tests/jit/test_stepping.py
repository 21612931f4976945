"""Single steps: exactly one instruction, whatever it is, and the trap flag is not seen by anybody."""

from __future__ import annotations

from bare import CODE, DATA, STACK, Bare
from child import in_child

from reference import layout, runtime
from reference.stop import StopKind

#: One instruction each, and how far EIP is behind it (None: its length).
_INSTRUCTIONS: dict[str | bytes, int | None] = {
    "nop": None,
    "add eax, 1": None,
    "push eax": None,
    "pop eax": None,
    "pushad": None,
    "popad": None,
    "leave": None,
    "cpuid": None,
    "rdtsc": None,
    "cld": None,
    "std": None,
    "lahf": None,
    "xchg eax, ebx": None,
    "fldpi": None,
    "fwait": None,
    "emms": None,
    "paddd xmm1, xmm2": None,
    f"mov eax, [{DATA}]": None,
    f"lock xadd [{DATA}], eax": None,
    f"movups [{DATA}], xmm0": None,
    f"fnsave [{DATA}]": None,
    f"fxsave [{DATA}]": None,
    f"call dword ptr gs:[{0x3000}]": 0x100,
    b"\xeb\x1e": 32,  # jmp
    b"\xeb\xfe": 0,  # jmp to itself
    b"\x74\x3e": 64,  # je, taken
    b"\x75\x3e": None,  # jne, not taken
    b"\xe2\xfe": 0,  # loop to itself
    b"\xe3\x02": None,  # jecxz, not taken
    "ret 8": 0x200,
    "movsb": None,
    "rep stosb": 0,  # one repetition; EIP stays
    "rep lodsb": 0,
}


@in_child
def test_each_kind_of_instruction_is_executed_once() -> None:
    for text, distance in _INSTRUCTIONS.items():
        bare = Bare(prefer_zero=False)
        bare.cpu.eax, bare.cpu.ecx, bare.cpu.ebp = 0x1234, 7, STACK - 64
        bare.cpu.esi = bare.cpu.edi = DATA + 64
        bare.cpu.eflags = 0x246
        bare.cpu.esp = STACK - 128
        bare.space.write_u32(STACK - 128, bare.processor.origin + CODE + 0x200)
        word = layout.CONTROL_BLOCK + 0x3000
        bare.processor.control[word : word + 4] = (bare.processor.origin + CODE + 0x100).to_bytes(4, "little")
        length = bare.load(text) - CODE
        stop = bare.processor.enter(CODE, True)
        expected = CODE + (length if distance is None else distance)
        assert (stop.kind, stop.offset) == (StopKind.STEPPED, expected), f"{text!r}: {stop}"
        assert not bare.cpu.eflags & 0x100, text
        bare.close()


@in_child
def test_a_step_changes_what_the_instruction_changes() -> None:
    bare = Bare()
    bare.cpu.eax, bare.cpu.ecx = 5, 0x40
    bare.load("add eax, ecx; imul eax, eax, 3; push eax; pop edx; pushfd; pop ebx")
    offset = CODE
    for _ in range(6):
        stop = bare.processor.enter(offset, True)
        assert stop.kind == StopKind.STEPPED
        offset = stop.offset
    assert (bare.cpu.eax, bare.cpu.edx) == (0xCF, 0xCF)
    # PUSHF shows the trap flag, as on any processor; what the translator makes of PUSHF is its affair.
    assert bare.cpu.ebx & 0x202 == 0x202


@in_child
def test_faults_and_exits_under_a_step_are_what_they_are_without() -> None:
    bare = Bare()
    stop = bare.run("ud2", single=True)
    assert (stop.kind, stop.vector, stop.offset) == (StopKind.FAULT, 6, CODE)
    assert not bare.cpu.eflags & 0x100
    stop = bare.run(f"mov eax, [{DATA + 4096}]", single=True)
    assert (stop.kind, stop.vector, stop.address) == (StopKind.FAULT, 14, DATA + 4096)
    # The far jump of the exit stub: the step ends on the host's side.
    leave = runtime.STUBS.index(b"\x65\xff\x2d")
    for _ in range(100):
        stop = bare.processor.enter(leave, True)
        assert stop.kind == StopKind.LEFT
        assert bare.cpu.eflags == 0x202
    assert bare.run("nop").kind == StopKind.LEFT


@in_child
def test_nested_task_flag_does_not_spoil_a_step() -> None:
    bare = Bare()
    bare.cpu.eflags = 0x4202
    for _ in range(3):
        assert bare.run("nop", single=True).kind == StopKind.STEPPED
        assert bare.cpu.eflags == 0x4202
