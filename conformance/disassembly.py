"""The decoder against capstone: one instruction at a time, by length, mnemonic and operands.

Both listings are brought to one spelling (:func:`canonical`) and must then be the same string. Whatever still differs must
match one line of :data:`DIFFERENCES`, which says why. The lengths that capstone gives differently are those of
instructions that trap.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

import capstone

from reference.isa.decode import decode
from reference.isa.format import format_instruction
from reference.isa.instruction import InvalidOpcode
from reference.policy import Policy

EIP: Final = 0x1000
POLICY: Final = Policy(Policy.everything().groups, thread_pointer=True)
PREFIX_BYTES: Final = frozenset({0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3})
VEX_MAPS: Final = {"0f": 1, "0f 38": 2, "0f 3a": 3}
_PP_NAMES: Final = ("np", "66", "f3", "f2")


class Difference(NamedTuple):
    """An instruction about which the two differ, a pattern for "how: opcode: ours | theirs", and why they do."""

    example: str
    pattern: str
    why: str


DIFFERENCES: Final = [
    # -- what we refuse on purpose
    Difference("06", r"refused: .*: \w+ is refused to every guest \| .*", "stands in the table as refused"),
    Difference(
        "66 70 00",
        r"refused: .* with a 16-bit operand size is not admitted \| (j|call|ret|loop).*",
        "EIP would be cut to 16 bits",
    ),
    Difference("2e 00 01", r"refused: .* with (CS|FS) override is not admitted \| .*", "no such segment for guests"),
    Difference(
        "65 00 c0",
        r"refused: .* with GS override is not admitted \| .*",
        "GS has an effect only on plain memory operands",
    ),
    Difference(
        "65 2e 00 01",
        r"refused: .* with two overrides, [CFG]S the first of them, is not admitted \| .*",
        "the decoders need not agree",
    ),
    Difference(
        "f0 02 01",
        r"refused: [0-3][23ab]: \w+ with LOCK is not admitted \| lock \w+ \w+, .*",
        "the destination is a register",
    ),
    Difference(
        "f0 0f 1f 01",
        r"refused: 0f 1f: nop with LOCK is not admitted \| lock nop .*",
        "LOCK only where the table has it",
    ),
    Difference(
        "c4 e2 79 90 84 12 34 56 78 1a",
        r"refused: .* with a register twice is not admitted \| v\w*gather.*",
        "the processor refuses it, too",
    ),
    Difference(
        "66 0f c8",
        r"refused: 0f c[89a-f]: no instruction .* \| bswap .*",
        "66 BSWAP is undefined; F2 and F3 are not for it either",
    ),
    Difference(
        "0f a6 c0",
        r"refused: 0f [a-f][67]: no instruction .* \| (xcrypt|xstore|xsha|montmul).*",
        "PadLock of VIA processors",
    ),
    Difference("0f 01 c5", r"refused: 0f 01: no instruction .* \| (pconfig|swapgs)", "the kernel's"),
    Difference(
        "0f 20 00",
        r"refused: 0f 2[0-3]: no instruction .* \| mov .*",
        "control registers with a ModRM that is no register: refused",
    ),
    Difference("f2 0f 2b 00", r"refused: 0f 2b: no instruction .* \| movnts[sd] .*", "SSE4a of AMD processors"),
    Difference(
        "66 0f 01 d0",
        r"refused: (0f|0f 38|0f 3a) .*: no instruction .* \| (xgetbv|ldmxcsr|stmxcsr|fx\w+|xsave\w?|xrstors?|sfence|sha\w+|movdiri|movnti).*",
        "NP in the manual: no 66, F2, F3 before it",
    ),
    Difference("66 0f 38 cf 00", r"refused: .*: no instruction .* \| v?gf2p8.*", "GFNI is no group of the table"),
    Difference(
        "c4 e1 78 44 c0",
        r"refused: vex 0f.*: no instruction .* \| k(add|and|mov|not|or|shift|test|unpck|xnor|xor).*",
        "AVX-512 is no group",
    ),
    Difference(
        "c4 e3 79 48 01 12",
        r"refused: vex 0f 3a.*: no instruction .* \| (vfn?m\w+p[sd]|vfn?m\w+s[sd]|vpermil2p[sd]) .*",
        "FMA4 and XOP of AMD",
    ),
    Difference(
        "c4 e2 7d dc 01",
        r"refused: vex .* L1 .*: no instruction .* \| (vaes|vpclmul).*",
        "VAES and VPCLMULQDQ are no groups",
    ),
    Difference(
        "c4 e1 f9 6e 01",
        r"refused: vex 0f( 38| 3a)? .* W1 .*: no instruction .* \| (vcvt\w+|vmovd|vpinsrq|vpextrq|andn|bextr|bls\w+|bzhi|mulx|pdep|pext|rorx|s[ah][rl]x) .*",
        "W1 is for 64-bit mode only",
    ),
    Difference(
        "f0 f2 00 d8",
        r"refused: .*: \w+ with LOCK is not admitted \| (?!lock )\w+.*",
        "capstone takes LOCK beside F2 or F3 for a hint",
    ),
    Difference(
        "66 c5 fa 16 c1",
        r"refused: vex .*: a VEX prefix after 66, F2, F3 or LOCK \| .*",
        "the processor refuses a VEX prefix after these, too",
    ),
    Difference(
        "c4 c2 65 04 c1",
        r"refused: vex .*: VEX with a register above 7 \| .*",
        "means nothing in 32-bit mode, and nobody writes it",
    ),
    Difference(
        "f2 26 66 0f 38 33 c1",
        r"refused: 0f (38|3a) .*: no instruction is encoded as .*(f[23] .*66|66 .*f[23]) .* \| .*",
        "capstone goes by the 66 where there is F2 or F3, too",
    ),
    Difference(
        "65 f0 f3 8f 4a 40 12 00 00 00 12 00 00 00 12",
        r"refused: 8f: no instruction .* \| lwp(ins|val) .*",
        "XOP of AMD",
    ),
    Difference("d9 d8", r"refused: d9: no instruction .* \| fstpnce .*", "undocumented"),
    Difference(
        "db e0", r"refused: db: no instruction .* \| f(eni8087_nop|disi8087_nop|setpm)", "of the 8087 and 80287 only"
    ),
    # -- what capstone does not know
    Difference("0f 0d 18", r"admitted: 0f 0d: prefetch .*", "reserved, and a prefetch on every processor"),
    Difference("0f 18 c0", r"admitted: 0f (18|1c|1d|1e): nop .*", "reserved no-operations"),
    Difference("0f ae e9", r"admitted: 0f ae: [lms]fence \| .*", "any ModRM.rm will do"),
    Difference("f2 0f bc 00", r"admitted: 0f b[cd]: bs[fr] .*", "F2 means nothing here"),
    Difference("66 f3 90", r"admitted: 90: pause \| .*", "66 means nothing here"),
    Difference(
        "c4 e2 f9 06 00", r"admitted: vex 0f 38 66 W1 L[01] (06|2b): v(phsubd|packusdw|phsubd) .*", "WIG in the manual"
    ),
    Difference(
        "c4 e3 f9 60 00 12",
        r"admitted: vex 0f 3a 66 W1 L0 6[0-3]: vpcmp[ei]str[im] .*",
        "W means nothing without 64-bit registers",
    ),
    Difference(
        "0f b9 00",
        r"length: 0f (b9|ff): (ud[01]) .* \| \2",
        "UD0 and UD1 have a ModRM byte; they trap before anyone asks",
    ),
    Difference(
        "f2 67 0f 38 f0 d9",
        r"admitted: 0f 38 f[016]: (crc32|adox) .* \| no instruction",
        "capstone wants F2 and F3 next to these opcodes",
    ),
    # -- operands
    Difference("8e e8", r"operands: (8e|8c): mov .*gs.* \| mov .*gs.*", "a selector has 16 bits; capstone shows 32"),
    Difference(
        "66 f2 0f 40 01",
        r"operands: 0f .*: (\w+) (.*)word ptr (.*) \| \1 \2dword ptr \3",
        "with 66 and F2 capstone forgets the 66 for memory",
    ),
    Difference(
        "66 0f 2f 00", r"operands: 0f 2f: comisd .*qword ptr (.*) \| comisd .*xmmword ptr \1", "a scalar has 8 bytes"
    ),
    Difference("d8 c0", r"operands: d8: (f\w+) st, (.*) \| \1 \2", "capstone leaves ST0 out"),
    Difference("de c0", r"operands: de: (f\w+p) (st.*), st \| \1 \2", "capstone leaves ST0 out"),
    Difference("db e8", r"operands: d[bf]: (fu?comip?) st, (st.*) \| \1 \2", "capstone leaves ST0 out"),
    Difference("dd 20", r"operands: dd: (fnsave|frstor) (.*) \| \1 dword ptr \2", "94 or 108 bytes"),
    Difference(
        "0f ae 20",
        r"operands: 0f (ae|c7): (xsave\w?|xsaveopt|xrstor) (.*) \| \2 ptr \3",
        "an area without a definite size",
    ),
    Difference(
        "0f 18 20", r"operands: 0f (18|19|1c|1d|1e|1f): nop (.*) \| nop (byte|word|dword) ptr \2", "nothing is accessed"
    ),
    Difference("0f 19 c0", r"operands: 0f 19: nop (\w+) \| nop \1, \w+", "capstone shows a second operand"),
    Difference("f3 0f 1e c8", r"operands: 0f 1e: nop \w+ \| rdsspd \w+", "what RDSSP is without shadow stacks"),
    Difference("6a 80", r"operands: 6a: push 0xf+\w\w \| push -0x\w+", "capstone shows a sign"),
    Difference("d0 10", r"operands: d[01]: rcl (.*), 0x1 \| rcl \1", "capstone leaves the 1 out"),
    Difference("f2 a5", r"operands: a5: rep movs (.*) \| movs \1", "capstone forgets F2"),
    Difference("d7", r"operands: d7: xlat byte ptr .* \| xlat", "capstone leaves the operand out"),
    Difference(
        "c4 e2 79 90 8c 12 34 56 78 1a",
        r"operands: vex 0f 38 .*: (vp?gather\w+) (\w+), [dq]word ptr (.*) \| \1 \2, \w+ ptr \3",
        "the size of one element",
    ),
]

# -- one spelling ----------------------------------------------------------------------------------------------------

#: Capstone's names to ours, where they mean the same.
_ALIASES: Final = {
    "cmpsb": "cmps", "cmpsd": "cmps", "cmpsw": "cmps", "movsb": "movs", "movsd": "movs", "movsw": "movs",
    "lodsb": "lods", "lodsd": "lods", "lodsw": "lods", "stosb": "stos", "stosd": "stos", "stosw": "stos",
    "scasb": "scas", "scasd": "scas", "scasw": "scas",
    "popal": "popa", "popaw": "popa", "pushal": "pusha", "pushaw": "pusha", "popfd": "popf", "pushfd": "pushf",
    "sal": "shl", "wait": "fwait", "xlatb": "xlat", "fcompi": "fcomip", "fucompi": "fucomip", "cldemote": "nop",
}  # fmt: skip

#: Prefixes that capstone shows where they mean nothing, or only hints.
_SILENT: Final = {"bnd", "xacquire", "xrelease", "notrack", "rep", "repe", "repne", "repz", "repnz"}
_REPEATS: Final = {"repz": "repe", "repnz": "repne"}
_STRINGS: Final = {"cmps", "movs", "lods", "stos", "scas"}
_PREDICATES: Final = [
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord", "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true",
    "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s", "eq_us", "nge_uq", "ngt_uq", "false_os",
    "neq_os", "ge_oq", "gt_oq", "true_us",
]  # fmt: skip
_COMPARISON: Final = re.compile(r"(v?cmp)(\w+?)([ps][sd])")
_NUMBER: Final = re.compile(r"(?<![\w.])(0x[0-9a-f]+|\d+)\b(?!\))")
_SEGMENTED: Final = re.compile(r"(?:(\w\w):)?\[([^\]]*)\]")


def canonical(text: str) -> str:
    """One spelling: no prefix that means nothing, one name, no ``ds:`` or ``ss:`` that the base register implies."""
    words = text.split(" ", 1)
    prefixes = []
    while words[0] in _SILENT or words[0] == "lock":
        prefixes.append(_REPEATS.get(words[0], words[0]))
        words = words[1].split(" ", 1)
    name, operands = words[0], words[1] if len(words) > 1 else ""
    if "xmm" not in operands:
        name = _ALIASES.get(name, name)
    shown = [
        prefix for prefix in prefixes if prefix == "lock" or (name in _STRINGS and prefix in ("rep", "repe", "repne"))
    ]
    if shown and name in ("movs", "stos", "lods"):
        shown = ["rep" if prefix == "repne" else prefix for prefix in shown]
    comparison = _COMPARISON.fullmatch(name)
    if comparison and comparison[2] in _PREDICATES:
        name = comparison[1] + comparison[3]
        operands += f", {_PREDICATES.index(comparison[2])}"
    operands = operands.replace("st(0)", "st")
    operands = operands.replace("xword ptr", "tbyte ptr") if name in ("fld", "fstp") else operands
    operands = _NUMBER.sub(lambda match: f"{int(match[0], 0):#x}", operands)
    operands = _SEGMENTED.sub(_effective_segment, operands)
    return " ".join([*shown, name, operands]).strip()


def _effective_segment(match: re.Match[str]) -> str:
    segment, address = match[1], match[2]
    implied = "ss" if address.split(" ")[0] in ("esp", "ebp", "bp") else "ds"
    return f"[{address}]" if segment in (None, implied) else f"{segment}:[{address}]"


def ours(code: bytes) -> tuple[int, str]:
    """Length and listing, or 0 and the reason."""
    try:
        instruction = decode(code, EIP, POLICY)
    except InvalidOpcode as reason:
        return 0, str(reason).removeprefix("invalid opcode: ")
    return instruction.length, canonical(format_instruction(instruction))


def theirs(disassembler: capstone.Cs, code: bytes) -> tuple[int, str]:
    """The same from capstone."""
    for _, length, mnemonic, operands in disassembler.disasm_lite(code, EIP, 1):
        return length, canonical(f"{mnemonic} {operands}".strip())
    return 0, "no instruction"


def opcode_of(code: bytes) -> str:
    """The opcode with its map, for messages and patterns: ``0f 1f``, ``vex 0f 38 66 W0 L1 8c``."""
    start = next((i for i, byte in enumerate(code) if byte not in PREFIX_BYTES), len(code) - 1)
    if code[start] == 0xC5 and code[start + 1] >= 0xC0:
        bits = code[start + 1] & 0x7F
        return f"vex 0f {_PP_NAMES[bits & 3]} W0 L{bits >> 2 & 1} {code[start + 2]:02x}"
    if code[start] == 0xC4 and code[start + 1] >= 0xC0:
        number, bits = code[start + 1] & 0x1F, code[start + 2]
        name = next((name for name, known in VEX_MAPS.items() if number == known), f"map {number}")
        return f"vex {name} {_PP_NAMES[bits & 3]} W{bits >> 7} L{bits >> 2 & 1} {code[start + 3]:02x}"
    end = start + 1
    if code[start] == 0x0F:
        end += 2 if code[start + 1] in (0x38, 0x3A) else 1
    return code[start:end].hex(" ")


def difference(disassembler: capstone.Cs, code: bytes) -> str | None:
    """How the two differ about an instruction, in one line; None where they agree."""
    our_length, our_text = ours(code)
    their_length, their_text = theirs(disassembler, code)
    if our_length == their_length and (our_length == 0 or our_text == their_text):
        return None
    if our_length == 0:
        how = "refused"
    elif their_length == 0:
        how = "admitted"
    else:
        how = "length" if our_length != their_length else "operands"
    return f"{how}: {opcode_of(code)}: {our_text} | {their_text}"


def explanation(found: str) -> Difference | None:
    """The line of DIFFERENCES that has a reason for it, if there is one."""
    for known, pattern in _patterns():
        if pattern.fullmatch(found):
            return known
    return None


@cache
def _patterns() -> list[tuple[Difference, re.Pattern[str]]]:
    return [(known, re.compile(known.pattern)) for known in DIFFERENCES]
