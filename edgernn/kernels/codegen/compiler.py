"""Object code of a kernel, made with Numba. Loaded only where the cache has no object code."""

from __future__ import annotations

import importlib
import re

import llvmlite.binding as llvm
import numba
from numba import types

from edgernn.kernels.codegen.target import target_machine

# external functions that kernels may call: LLVM makes them of loops over bytes, and of powers of single numbers
ALLOWED_CALLS = frozenset({"memcpy", "memmove", "memset", "powf"})


def compile_kernel(module: str, options: tuple[str, ...], symbol: str) -> bytes:
    """Object code with the one function `symbol`, made by ``build(*options)`` of a module of `edgernn.kernels`.

    The function takes and returns nothing but int64 (addresses and sizes), as many as its Python form has arguments.
    """
    function = importlib.import_module(f"edgernn.kernels.{module}").build(*options)
    signature = types.int64(*[types.int64] * function.__code__.co_argcount)
    compiled = numba.cfunc(signature, error_model="numpy", forceinline=True)(function)
    return _object_code(compiled.inspect_llvm(), compiled.native_name, symbol)


def _object_code(assembly: str, entry: str, symbol: str) -> bytes:
    # Numba keeps its wrapper from being inlined: that call would cost 2 ns in every operation of a step
    module = llvm.parse_assembly(re.sub(r"\{ noinline \}", "{ nounwind }", assembly))
    function = module.get_function(entry)
    function.name = symbol
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != symbol:
            value.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    builder = llvm.create_pass_builder(target_machine(), llvm.create_pipeline_tuning_options(speed_level=2))
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    unknown = {
        function.name
        for function in module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    } - ALLOWED_CALLS
    if unknown:
        raise AssertionError(f"kernel {symbol} calls {', '.join(sorted(unknown))}, which kernels must not need")
    return target_machine().emit_object(module)
