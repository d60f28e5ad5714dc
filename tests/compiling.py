"""Compile the Triton kernel of every kind for a GPU, on a machine without one. Runs in a process of its own."""

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import kernels.kinds
from kernels.formats import formats
from kernels.kinds import settled

TARGET = GPUTarget("cuda", 90, 32)
POINTERS = {"s": "*fp32", "bits": "*i32", "table": "*i64"}
ELEMENTS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32", torch.int64: "*i64"}

FLOOR = "cvt.rmi.ftz"
"""The floor of a magnitude may flush: that of a subnormal one is zero anyway."""


def compile_kernel(kind: str, rounding: str, tensors: int) -> None:
    """For the kind's first format of class A, or its first; `tensors` of them in a launch."""
    module = importlib.import_module(f"kernels.kinds.{kind}_triton")
    format = min((f for f in formats.values() if f.kind == kind), key=lambda f: f.precision_class)
    switches = settled(format, format.switches(rounding=rounding))
    constants = dict(module.constants(format, switches, torch.float32))
    constants |= {"BLOCK": 1024, "TENSORS": tensors, "SCALED": tensors > 1, "GIVEN": False, "ALIGNED": tensors > 1}
    names = module.kernel.arg_names
    types = {name: POINTERS.get(name, "*fp32" if name in ("x", "y") else "i32") for name in names}
    if hasattr(module, "tables"):
        read = module.tables(format, switches, torch.zeros(1))
        types |= {name: ELEMENTS[tensor.dtype] for name, tensor in read.items()}
    compile_typed(kind, module.kernel, types, constants)


def compile_blocks(name: str) -> None:
    """The fused kernel of blocks, for one format."""
    format = formats[name]
    module = importlib.import_module("kernels.blocks_triton")
    constants = dict(module.block_constants(format, format.switches(), torch.float32))
    constants |= {"ROWS": 1024 // format.block, "BLOCK": format.block, "GIVEN": False}
    pointers = dict.fromkeys(("x", "y", "levels", "values", "cuts"), "*fp32")
    types = {**dict.fromkeys(module.kernel.arg_names, "i32"), "bits": "*i32", **pointers}
    compile_typed(name, module.kernel, types, constants)


def compile_typed(what: str, kernel: Any, types: dict[str, str], constants: dict[str, Any]) -> None:
    """A kernel whose arguments have these types, and nothing in it that takes subnormal numbers for zero."""
    names = kernel.arg_names
    types = {**types, **dict.fromkeys(constants, "constexpr")}
    fixed = {(names.index(name),): value for name, value in constants.items() if name in names}
    options = {name: value for name, value in constants.items() if name not in names}
    source = ASTSource(fn=kernel, signature={name: types[name] for name in names}, constexprs=fixed)
    compiled = triton.compile(source, target=TARGET, options=options)
    flushing = [line for line in compiled.asm["ptx"].splitlines() if ".ftz" in line and FLOOR not in line]
    assert not flushing, f"{what} loses subnormals: {flushing[0]}"


if __name__ == "__main__":
    folder = Path(kernels.kinds.__file__).parent
    for kind in sys.argv[1:] or sorted(file.stem.removesuffix("_triton") for file in folder.glob("*_triton.py")):
        compile_kernel(kind, "rne", 4)
        if kind == "floating":
            compile_kernel(kind, "sr", 1)
        sys.stdout.write(f"{kind}\n")
    for name in ("mxfp8", "nf4"):
        compile_blocks(name)
        sys.stdout.write(f"{name} in blocks\n")
