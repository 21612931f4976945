"""Hostile archives: references that lie, decoders in the wrong place, decoders that misbehave, and programs that are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from asm import assemble
from hostile import BUFFER, GOOD, XOR, Case, decoded_entry, good, good_decoder, made, program, xor
from images import DATA, ENTRY, Elf, Header, Load, R, W, X

from conformance.archives import forge
from conformance.archives.forge import STORED, VX, Decoder, Entry, deflate, extra

CONTENT = b"to be decoded " * 10
WHOLE = {"m": CONTENT, **GOOD}
EXIT = "mov eax, 1; mov edx, {}; syscall\n"
#: Writes EBX bytes at ECX to standard output.
WRITE = "mov eax, 4; mov edx, 1; syscall\n"


def references() -> list[Case]:
    """One forged field of the extra field that names a member's decoder. Another member has the same decoder, and an honest
    reference."""
    mismatch = r"another SHA-256|another size|writes more|two sizes|says another"
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "version 0": ({"version": 0}, "version"), "version 255": ({"version": 255}, "version"), "unknown flags": ({"flags": 0xFE}, "flags"),
        "says stored": ({"flags": 1}, "stored"), "offset 0 of a member": ({"offset": "m"}, "not there"), "offset one off": ({"offset": 1}, "not there"),
        "offset of the directory": ({"offset": "directory"}, "not there"), "offset beyond": ({"offset": 1 << 40}, "not there"), "offset most": ({"offset": (1 << 64) - 1}, "not there"),
        "sha256 zero": ({"sha256": bytes(32)}, "SHA-256"), "sha256 of something else": ({"sha256": b"x" * 32}, "SHA-256"),
        "size 0": ({"size": 0}, mismatch), "size less": ({"size": 5}, mismatch), "size more": ({"size": 10**6}, mismatch), "size 2^62": ({"size": 1 << 62}, "bombs|another size"),
        "size most": ({"size": (1 << 64) - 1}, "bombs|another size"), "content zero": ({"content": bytes(32)}, "SHA-256"),
        "codec empty": ({"codec": b""}, "proper name"), "codec escape": ({"codec": b"\x1b[2J"}, "proper name"), "codec path": ({"codec": b"../x"}, "proper name"),
        "codec upper case": ({"codec": b"XOR"}, "proper name"), "codec long": ({"codec": b"x" * 33}, "proper name"), "codec not UTF-8": ({"codec": b"\xff"}, "proper name"),
        "suffix slash": ({"suffix": b"/../x"}, "suffix"), "suffix dots": ({"suffix": b".."}, "suffix"), "suffix NUL": ({"suffix": b".a\0"}, "suffix"),
        "suffix long": ({"suffix": b"." + b"x" * 17}, "suffix"), "suffix not ASCII": ({"suffix": b".\xc3\xa9"}, "suffix"), "suffix newline": ({"suffix": b".a\n"}, "suffix"),
        "names cut": ({"names": b"\5xo"}, "too short"), "names missing": ({"names": b""}, "too short"), "names longest": ({"names": b"\xff" + b"x" * 20}, "too short"),
    }  # fmt: skip

    def build(forged: dict[str, Any], *, stored: bool) -> bytes:
        decoder = good_decoder()
        forged = dict(forged)
        honest = decoded_entry("d", CONTENT, decoder)
        entry = Entry("m", CONTENT, STORED if stored else VX, CONTENT if stored else xor(CONTENT), decoder=decoder,
                      decoded=xor(CONTENT) if stored else CONTENT)  # fmt: skip
        parts = (good(), decoder, honest, entry)
        whole = forge.archive(*parts)
        places = {"m": entry.offset, "directory": whole.find(b"PK\1\2"), 1: decoder.offset + 1}
        if "offset" in forged:
            forged["offset"] = places.get(forged["offset"], forged["offset"])
        entry.reference = forged
        return forge.archive(*parts)

    files = {"d": CONTENT, **GOOD}
    found = [
        Case(f"reference {what}", partial(build, forged, stored=False), files, {"m": reason})
        for what, (forged, reason) in wrong.items()
    ]
    later = {"offset", "sha256", "size", "content"}
    found += [
        Case(f"reference {what}, decoding what was compressed", partial(build, forged, stored=True), files, {"m": reason}, decoded=True)
        for what, (forged, reason) in wrong.items()
        if forged.keys() <= later
    ]  # fmt: skip
    # What is extracted as it is needs no decoder, so nothing that is wrong with one matters.
    found += [
        Case(f"reference {what}, extracting as it is", partial(build, forged, stored=True), {"m": CONTENT, **files})
        for what, (forged, _) in wrong.items()
        if forged.keys() <= later
    ]  # fmt: skip
    decoder = good_decoder()
    honest = forge.reference(decoded_entry("m", CONTENT, decoder))
    fields = {
        "empty": (extra(0x7856, b""), "too short"), "one byte": (extra(0x7856, b"\1"), "too short"),
        "cut": (honest[:-3], "longer"), "twice": (honest * 2, "two extra fields"), "none": (b"", "does not say which"),
        "longest": (extra(0x7856, b"\xff" * 60000), "version"), "a decoder's own": (extra(0x7856, b"\1\x80" + bytes(33)), "too short|flags"),
    }  # fmt: skip
    for what, (field, reason) in fields.items():
        entry = Entry("m", CONTENT, VX, xor(CONTENT), reference_field=field)
        found.append(Case(f"reference {what}", made(good(), good_decoder(), entry), bad={"m": reason}))
    return found


def places() -> list[Case]:
    """Decoders that are not where or not what a decoder is."""

    def with_decoder(decoder: Decoder, **other: Any) -> Callable[[], bytes]:
        return made(good(), decoder, decoded_entry("m", CONTENT, decoder), **other)

    honest = program(XOR)
    bomb = deflate(bytes(60 << 20))
    not_there = "not there|not stored|cut off|larger|SHA-256|inflated|size"
    wrong: dict[str, Decoder] = {
        "with a name": Decoder(honest, local={"name_length": 1}), "without a signature": Decoder(honest, local={"signature": b"PK\3\5"}),
        "by another method": Decoder(honest, local={"method": 12}), "by its own codec": Decoder(honest, local={"method": VX}), "encrypted": Decoder(honest, local={"flags": 1}),
        "with a descriptor": Decoder(honest, local={"flags": 8}), "of size 0": Decoder(honest, local={"size": 0}), "of less": Decoder(honest, local={"size": 100}),
        "of more": Decoder(honest, local={"size": 1 << 20}), "of most": Decoder(honest, local={"size": 0xFFFF_FFFF}), "without data": Decoder(honest, local={"csize": 0}),
        "with little data": Decoder(honest, local={"csize": 20}), "with more data": Decoder(honest, local={"csize": 1 << 30}), "with most data": Decoder(honest, local={"csize": 0xFFFF_FFFF}),
        "with a longer extra field": Decoder(honest, local={"extra_length": 2000}), "with the longest extra field": Decoder(honest, local={"extra_length": 0xFFFF}),
        "corrupt": Decoder(honest, payload=b"\xff" * 100), "empty": Decoder(honest, payload=b""), "cut": Decoder(honest, payload=deflate(honest)[:-9]),
        "that is a bomb": Decoder(honest, payload=bomb), "that says it is a bomb": Decoder(honest, payload=bomb, local={"size": 60 << 20}),
        "that is another one": Decoder(honest, payload=deflate(program(EXIT.format(0)))), "with bytes behind": Decoder(honest, payload=deflate(honest + b"x")),
    }  # fmt: skip
    found = [Case(f"decoder {what}", with_decoder(decoder), bad={"m": not_there}) for what, decoder in wrong.items()]
    stored = Decoder(honest, method=STORED)
    found.append(Case("decoder that is not compressed", with_decoder(stored), WHOLE))
    found.append(Case("decoder with another CRC-32", with_decoder(Decoder(honest, local={"crc": 1})), WHOLE))

    def inside() -> bytes:
        # A decoder in the middle of another member's data: everything about it is right but its place.
        hidden = forge.archive(Decoder(honest))[:-22]
        carrier = Entry("carrier", hidden)
        decoder = Decoder(honest, offset=30 + len("carrier"))
        return forge.archive(carrier, decoded_entry("m", CONTENT, decoder), good())

    hidden = forge.archive(Decoder(honest))[:-22]
    found.append(Case("decoder inside another member", inside, {"carrier": hidden, **WHOLE}))
    found.append(
        Case(
            "decoder that is missing",
            made(good(), decoded_entry("m", CONTENT, Decoder(honest, offset=0))),
            bad={"m": not_there},
        )
    )
    return found


LIMIT = r"0\.1 s|more than|limit"
TRAP = r"at eip 0x08"
#: Reads everything, and says nothing.
READ_ALL = f"9: mov eax, 3; xor edx, edx; mov ecx, {BUFFER}; mov ebx, 4096; syscall; test eax, eax; jg 9b\n"
#: A text behind the code: its address in ECX.
TEXT = 'call 7f; .asciz "{}"; 7: pop ecx\n'

BEHAVIOURS: dict[str, tuple[str, str]] = {
    # It does not end.
    "loops": ("1: jmp 1b", LIMIT),
    "loops through calls": ("1: mov eax, 29; syscall; jmp 1b", LIMIT),
    "reads for ever": (f"1: mov eax, 3; xor edx, edx; mov ecx, {BUFFER}; mov ebx, 1; syscall; jmp 1b", LIMIT),
    "recurses": ("1: call 1b", TRAP),
    "sleeps": ("1: mov eax, 28; mov edx, 0x7fffffff; syscall; jmp 1b", LIMIT),
    "waits for ever": ("1: mov eax, 18; xor edx, edx; xor ecx, ecx; xor ebx, ebx; xor edi, edi; xor esi, esi; syscall; jmp 1b", LIMIT),
    "waits for children": ("1: mov eax, 25; mov edx, -1; xor ecx, ecx; xor ebx, ebx; syscall; jmp 1b", LIMIT),
    # It ends badly.
    "exits with 1": (EXIT.format(1), "exit code 1"),
    "exits with 255": (EXIT.format(255), "exit code 255"),
    "exits with 256": (EXIT.format(256), "SHA-256|size"),
    "ud2": ("ud2", TRAP), "int3": ("int3", TRAP), "hlt": ("hlt", TRAP), "int 0x80": ("int 0x80", TRAP), "int 0x03": ("int 3", TRAP),
    "divides by zero": ("xor ecx, ecx; div ecx", TRAP), "reads nothing's memory": ("mov eax, [0]", TRAP), "writes into its code": ("mov dword ptr [0x08049000], 0", TRAP),
    "writes into its headers": ("mov dword ptr [0x08048000], 0", TRAP), "reads beyond its segment": ("mov eax, [0xfffffff0]", TRAP), "jumps to nowhere": ("mov eax, 0x41414141; jmp eax", r"at eip 0x41414141"),
    "runs its data": (f"mov eax, {BUFFER}; jmp eax", r"at eip 0x0804a000"), "runs off its code": ("nop", TRAP), "loads a segment": ("mov ax, 0x2b; mov ds, ax", TRAP),
    "far jump": ("ljmp 0x33, 0x08049000", TRAP), "in and out": ("in al, dx", TRAP), "cli": ("cli", TRAP), "sidt": ("sidt [esp]", "SHA-256|at eip"), "rdtsc": ("rdtsc", TRAP),
    "sysenter": ("sysenter", TRAP), "rdpmc": ("rdpmc", TRAP), "wrmsr": ("wrmsr", TRAP), "lgdt": (f"lgdt [{BUFFER}]", TRAP), "iret": ("iretd", TRAP), "trap flag": ("pushfd; or dword ptr [esp], 0x100; popfd; nop; nop", "at eip|exit|SHA"),
    # It lies about the content.
    "writes nothing": (EXIT.format(0), "SHA-256|size"),
    "reads and writes nothing": (READ_ALL + EXIT.format(0), "SHA-256|size"),
    "writes something else": (READ_ALL + TEXT.format("else") + "mov ebx, 4\n" + WRITE + EXIT.format(0), "SHA-256|size"),
    "writes without end": (f"1: mov ecx, {BUFFER}; mov ebx, 0x10000\n" + WRITE + "jmp 1b", "writes more"),
    "writes one byte at a time": (f"1: mov ecx, {BUFFER}; mov ebx, 1\n" + WRITE + "jmp 1b", "writes more|" + LIMIT),
    "writes before it reads": (TEXT.format("x") + "mov ebx, 1\n" + WRITE + XOR, "SHA-256|size|more"),
    "writes what it may not read": ("mov ecx, 0; mov ebx, 4096\n" + WRITE + EXIT.format(0), "SHA-256|size"),
    "writes a count of all there is": (f"mov ecx, {BUFFER}; mov ebx, -1\n" + WRITE + EXIT.format(0), "SHA-256|size"),
    "writes to its input": (f"mov eax, 4; xor edx, edx; mov ecx, {BUFFER}; mov ebx, 9; syscall\n" + EXIT.format(0), "SHA-256|size"),
    "closes its output": ("mov eax, 6; mov edx, 1; syscall\n" + EXIT.format(0), "SHA-256|size"),
    "seeks in its output": ("mov eax, 7; mov edx, 1; mov ecx, 0x40000000; xor ebx, ebx; syscall\n" + TEXT.format("x") + "mov ebx, 1\n" + WRITE + EXIT.format(0), "SHA-256|size"),
    "truncates its output": ("mov eax, 22; mov edx, 1; mov ecx, 0x7fffffff; syscall; 1: mov edx, eax; neg edx; mov eax, 1; syscall", "exit code"),
    # It talks.
    "stderr without end": (f"1: mov eax, 4; mov edx, 2; mov ecx, {BUFFER}; mov ebx, 0x10000; syscall; jmp 1b", "writes more|" + LIMIT),
    "stderr, and exits": (TEXT.format("broken\\n") + "mov eax, 4; mov edx, 2; mov ebx, 7; syscall\n" + EXIT.format(1), "refuses the data: broken"),
    "stderr with commands for a terminal": (TEXT.format("\\033[2J\\033]0;owned\\007\\n") + "mov eax, 4; mov edx, 2; mov ebx, 12; syscall\n" + EXIT.format(1), r"refuses the data: \\x1b"),
    "stderr that is not UTF-8": (TEXT.format("\\377\\376\\n") + "mov eax, 4; mov edx, 2; mov ebx, 3; syscall\n" + EXIT.format(1), "refuses the data"),
    "stderr and success": (TEXT.format("fine\\n") + "mov eax, 4; mov edx, 2; mov ebx, 5; syscall\n" + EXIT.format(0), "SHA-256|size"),
    # It wants more than it has.
    "wants all memory": ("mov esi, 0x10000000; 1: mov eax, 2; mov edx, esi; syscall; test eax, eax; jnz 2f; add esi, 0x100000; jmp 1b; 2: " + EXIT.format(9), "exit code 9"),
    "touches all memory": (
        "mov edi, 0x0804b000; add edi, 0x100000; and edi, -0x100000; 1: lea edx, [edi+0x100000]; mov eax, 2; syscall; test eax, eax; jnz 2f; mov ecx, 256; 3: mov dword ptr [edi], 1; add edi, 4096; loop 3b; jmp 1b; 2: "
        + EXIT.format(9), "exit code 9|at eip"),
    "forks": ("1: mov eax, 24; syscall; test eax, eax; jns 1b\n" + EXIT.format(7), "exit code 7"),
    "forks for ever": ("1: mov eax, 24; syscall; jmp 1b", LIMIT),
    "opens /etc/passwd": (TEXT.format("/etc/passwd") + "mov edx, ecx; xor ecx, ecx; xor ebx, ebx; mov eax, 5; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "opens its descriptors": (TEXT.format("/proc/self/fd/1") + "mov edx, ecx; mov ecx, 2; xor ebx, ebx; mov eax, 5; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "creates a file": (TEXT.format("evil") + "mov edx, ecx; mov ecx, 0x12; mov ebx, 0x1ff; mov eax, 5; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "makes a folder": (TEXT.format("evil") + "mov edx, ecx; mov ecx, 0x1ff; mov eax, 19; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "removes a file": (TEXT.format("../canary") + "mov edx, ecx; mov eax, 8; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "executes a program": (TEXT.format("/bin/sh") + "mov edx, ecx; xor ecx, ecx; xor ebx, ebx; mov eax, 26; syscall; test eax, eax; jns 1f\n" + EXIT.format(7) + "1:" + EXIT.format(0), "exit code 7"),
    "makes pipes for ever": (f"1: mov eax, 27; mov edx, {BUFFER}; syscall; test eax, eax; jns 1b\n" + EXIT.format(7), "exit code 7"),
    "duplicates descriptors for ever": ("1: mov eax, 16; mov edx, 1; mov ecx, -1; syscall; test eax, eax; jns 1b\n" + EXIT.format(7), "exit code 7"),
    "calls that are none": ("mov esi, 31; 1: mov eax, esi; mov edx, -1; mov ecx, -1; mov ebx, -1; syscall; inc esi; cmp esi, 3000; jb 1b\n" + EXIT.format(7), "exit code 7"),
    "changes folders": (TEXT.format("/") + "mov edx, ecx; mov eax, 14; syscall; neg eax; mov edx, 7; mov eax, 1; syscall", "exit code 7"),
    # Between files.
    "is done before it begins": ("1: mov eax, 30; syscall; jmp 1b", "SHA-256|size|" + LIMIT + "|exit|at eip"),
    "is done, and goes on": ("mov eax, 30; syscall; " + TEXT.format("more") + "1: mov ecx, ecx; mov ebx, 4\n" + WRITE + "jmp 1b", "SHA-256|size|more|" + LIMIT),
}  # fmt: skip


def decoders() -> list[Case]:
    """Decoders that misbehave, between members with an honest decoder."""

    def build(code: str) -> bytes:
        honest, evil = good_decoder(), Decoder(program(code), "evil")
        before, behind = decoded_entry("before", b"1", honest), decoded_entry("behind", b"2", honest)
        return forge.archive(honest, evil, before, decoded_entry("m", CONTENT, evil), behind, good())

    files = {"before": b"1", "behind": b"2", **GOOD}
    return [
        Case(f"decoder that {what}", partial(build, code), files, {"m": reason})
        for what, (code, reason) in BEHAVIOURS.items()
    ]


def leaks() -> list[Case]:
    """A decoder that keeps the first file that it sees, and shows that instead of all later ones."""
    keeps = f"""
        mov esi, {BUFFER + 0x8000}
    1:  mov eax, 3; xor edx, edx; mov ecx, {BUFFER}; mov ebx, 64; syscall
        cmp dword ptr [esi], 0; jne 2f
        mov eax, [{BUFFER}]; mov [esi], eax
    2:  mov ecx, esi; mov ebx, 4
        {WRITE}
    """
    # With vx_done it asks for the next file itself, and gets it if owner, group and mode are the same.
    again = keeps + "mov eax, 30; xor edx, edx; syscall; test eax, eax; jz 1b\n" + EXIT.format(0)

    def build(code: str, modes: tuple[int, ...]) -> bytes:
        decoder = Decoder(program(code))
        entries = [
            Entry(f"{i}", b"%04d" % i, VX, b"%04d" % i, decoder=decoder, external=(0o100000 | mode) << 16)
            for i, mode in enumerate(modes)
        ]
        return forge.archive(decoder, *entries, good())

    files = {**{f"{i}": b"%04d" % i for i in range(8)}, **GOOD}
    return [
        Case("decoder that remembers what it saw", partial(build, keeps + EXIT.format(0), (0o600,) * 8), files),
        Case(
            "decoder that remembers files of another mode", partial(build, again, (0o600, 0o640) * 4), files, workers=1
        ),
    ]


def writes_itself() -> list[Case]:
    """A decoder that writes the code that it runs: which is allowed, and harms nobody."""
    wrong = assemble(XOR).replace(b"\x80\x37\x55", b"\x80\x37\x54")  # xor byte ptr [edi], 0x54
    first = f"mov byte ptr [{ENTRY + 7 + wrong.index(bytes([0x80, 0x37, 0x54])) + 2}], 0x55"
    loads = [Load(p_flags=R | W | X), Load(p_offset=0x2000, p_vaddr=DATA, p_memsz=0x4000, p_flags=R | W)]
    evil = Decoder(Elf(loads=loads, code=assemble(first) + wrong).pack())
    return [Case("decoder that writes its own code", made(evil, decoded_entry("m", CONTENT, evil), good()), WHOLE)]


def elves() -> list[Case]:
    """Programs that are none, or that lie about themselves."""
    honest = assemble(XOR)

    def image(*, header: dict[str, Any] | None = None, **load: Any) -> bytes:
        loads = [Load(), Load(p_offset=0x2000, p_vaddr=DATA, p_flags=R | W)]
        for name, value in load.items():
            setattr(loads[0], name, value)
        return Elf(header=Header(**(header or {})), loads=loads, code=honest).pack()

    texts: dict[str, bytes] = {
        "nothing": b"", "one byte": b"\x7f", "magic": b"\x7fELF", "a script": b"#!/bin/sh\nrm -rf ~\n", "Windows": b"MZ" + bytes(500), "zeroes": bytes(100), "ones": b"\xff" * 5000,
        "cut": program(XOR)[:60], "header": program(XOR)[:52], "64 bits": image(header={"ei_class": 2}), "big-endian": image(header={"ei_data": 2}),
        "shared": image(header={"e_type": 3, "e_entry": 0}), "relocatable": image(header={"e_type": 1}), "another machine": image(header={"e_machine": 62}), "version": image(header={"e_version": 7}),
        "no segments": image(header={"e_phnum": 0}), "too many segments": image(header={"e_phnum": 0xFFFF}), "segments beyond": image(header={"e_phoff": 0xFFFF_FFF0}), "odd segments": image(header={"e_phentsize": 7}),
        "entry nowhere": image(header={"e_entry": 0}), "entry in the kernel": image(header={"e_entry": 0xFFFF_FFFF}), "file beyond": image(p_filesz=1 << 30, p_memsz=1 << 30), "less memory than file": image(p_memsz=5),
        "all memory": image(p_memsz=0xF000_0000), "wrapped": image(p_vaddr=0xFFFF_F000), "unaligned": image(p_vaddr=ENTRY + 7), "offset beyond": image(p_offset=0xFFFF_F000), "at zero": image(p_vaddr=0, header={"e_entry": 0}),
        "overlapping": image(p_vaddr=DATA, header={"e_entry": DATA}), "an interpreter": image(p_type=3), "dynamic": image(p_type=2), "thread storage": image(p_type=7, header={"e_entry": DATA}),
    }  # fmt: skip

    def build(text: bytes) -> bytes:
        evil, other = Decoder(text, "evil"), good_decoder()
        return forge.archive(evil, other, decoded_entry("m", CONTENT, evil), decoded_entry("d", b"1", other), good())

    found = [
        Case(f"program: {what}", partial(build, text), {"d": b"1", **GOOD}, {"m": "decoder 'evil'"})
        for what, text in texts.items()
    ]
    found.append(
        Case("program: writable code", partial(build, image(p_flags=R | W | X)), {"m": CONTENT, "d": b"1", **GOOD})
    )
    return found


@cache
def all_cases() -> list[Case]:
    """Every case of this file."""
    return [*references(), *places(), *decoders(), *leaks(), *writes_itself(), *elves()]
