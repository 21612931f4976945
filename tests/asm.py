"""Assembly text to bytes, for tests: LLVM's assembler, which shares nothing with our own encoders."""

from __future__ import annotations

import functools

import llvmlite.binding as llvm


@functools.cache
def _target_machine() -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    return llvm.Target.from_triple("i386-unknown-linux-gnu").create_target_machine(opt=0)


@functools.cache
def assemble(text: str) -> bytes:
    """The bytes of 32-bit code in Intel syntax. Statements are separated by newlines or semicolons."""
    source = ".intel_syntax noprefix\n" + text + "\n"
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\{ord(c):02X}" for c in source)
    module = llvm.parse_assembly(f'target triple = "i386-unknown-linux-gnu"\nmodule asm "{escaped}"\n')
    data = _target_machine().emit_object(module)
    for section in llvm.ObjectFileRef.from_data(data).sections():
        if section.name() == b".rel.text":
            raise ValueError(f"code with relocations: {text!r}")
    for section in llvm.ObjectFileRef.from_data(data).sections():
        if section.name() in (b".text", ".text"):
            return bytes(section.data())
    raise ValueError(f"no code in {text!r}")
