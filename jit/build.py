"""Building the compiled translator: the passes through numba, tables and stencils beside them, one image.

Takes some five seconds, and happens in a process of its own, in the background where nobody waits for it. What is built is
for any x86-64 processor: the passes are branches and byte moves, to which no extension of the instruction set has anything
to add, and so a home directory that several hosts share needs one image.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from jit import compiled, link, stencils, tables

#: Read by numba when it is first imported: baseline processor, no vectors, of which the emitter of bytes has no use, and no
#: optimisation, function by function, of what is optimised as a whole in the end.
_ENVIRONMENT: Final = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_LOOP_VECTORIZE": "0",
    "NUMBA_SLP_VECTORIZE": "0",
    "NUMBA_OPT": "0",
}
_TRIPLE: Final = "x86_64-unknown-linux-gnu"
_ENTRY: Final = "vx32py_translate"


def compile_image() -> link.Image:
    """Build the image, in this process. Raises ImportError without numba, LinkError if the result does not stand alone."""
    os.environ.update(_ENVIRONMENT)
    core, assembly = _compile_passes()
    return link.link(_emit_object(core, assembly), _ENTRY, tables.compile_all(stencils.build()))


def _compile_passes() -> tuple[str, str]:
    """The name of the compiled entry point, and LLVM's text of it and everything that it calls."""
    import numba
    from numba.core import types

    from jit.passes import native, records
    from jit.passes.translate import translate

    entry: Any = translate
    signature = types.int64(native.record_type(records.Context), *[types.int64] * 4)
    dispatcher = numba.njit(signature, **native.OPTIONS)(entry.py_func)
    result = dispatcher.overloads[signature.args]
    return result.fndesc.mangled_name, result.library.get_llvm_str()


def _emit_object(core: str, assembly: str) -> bytes:
    """Object code in which nothing but the entry point has a name."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(assembly)
    module.triple = _TRIPLE
    wrapper = llvm.parse_assembly(_wrapper(core))
    wrapper.triple, wrapper.data_layout = module.triple, module.data_layout
    module.link_in(wrapper)
    for function in module.functions:
        if not function.is_declaration and function.name != _ENTRY:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    machine = llvm.Target.from_triple(_TRIPLE).create_target_machine(opt=2, reloc="pic", codemodel="small")
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


def _wrapper(core: str) -> str:
    """The C function. numba's own returns a status, which is always 0 here, and its value through a pointer."""
    from llvmlite import ir

    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    module = ir.Module()
    arguments = [pointer, *[word] * 4]
    callee = ir.Function(module, ir.FunctionType(ir.IntType(32), [pointer, pointer, *arguments]), core)
    entry = ir.Function(module, ir.FunctionType(word, arguments), _ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    value, error = builder.alloca(word), builder.alloca(word)
    builder.call(callee, [builder.bitcast(value, pointer), builder.bitcast(error, pointer), *entry.args])
    builder.ret(builder.load(value))
    return str(module)


def work() -> int:
    """What a process in the background does: build what :mod:`jit.compiled` misses, unless another one is at it."""
    return compiled.build_here(compile_image)


def main() -> int:
    """What people call (``python -m jit.build``): have it built, and wait."""
    try:
        compiled.build(_show if sys.stderr.isatty() else None)
    except compiled.BuildError as error:
        print(f"no compiled translator: {error}", file=sys.stderr)
        return 1
    print(f"compiled translator: {compiled.status()}")
    return 0


def _show(seconds: float) -> None:
    print(f"\rbuilding the compiled translator: {seconds:.0f} s ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
