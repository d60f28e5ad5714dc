"""Milliseconds of the loss, of the MLP and of a training step's forward and backward pass: plain, compiled, Triton.

`.venv/bin/python benchmarks/fused.py [--quick]`. Plain and compiled run on the CPU with one thread, and everything on
an NVIDIA GPU where there is one. Triton is measured on a GPU only: its interpreter on the CPU is for tests. A fused
kernel changes no number that a race ranks, so it is judged by time alone. Ratios are to the plain form of the same run.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks import tell
from kernels.mlp import mlp
from kernels.softcap_loss import softcap_loss
from training.model import ByteModel
from training.recipe import recipe_from

ROWS, VALUES, WIDTH, HIDDEN = 4096, 256, 256, 768


def milliseconds(work: Callable[[], Tensor], inputs: list[Tensor], rounds: int, device: str) -> float:
    """Median over the rounds of forward and backward; processor time on the CPU."""
    clock = perf_counter if device == "cuda" else process_time
    times = []
    for index in range(rounds + 3):
        began = clock()
        torch.autograd.grad(work(), inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        if index >= 3:
            times.append(1000 * (clock() - began))
    return median(times)


def loss_case(device: str) -> tuple[Callable[..., Tensor], list[Tensor], str]:
    """The soft-capped cross-entropy of logits."""
    z_NV = torch.randn(ROWS, VALUES, device=device, requires_grad=True)
    target_N = torch.randint(VALUES, (ROWS,), device=device)
    return lambda form, z: form(z, target_N, 15.0), [z_NV], "softcap_loss"


def mlp_case(device: str) -> tuple[Callable[..., Tensor], list[Tensor], str]:
    """The MLP of a block."""
    shapes = [(ROWS, WIDTH), (HIDDEN, WIDTH), (WIDTH, HIDDEN)]
    inputs = [torch.randn(shape, device=device).mul_(0.05).requires_grad_() for shape in shapes]
    return lambda form, *given: form(*given).square().mean(), inputs, "mlp"


def compare(name: str, forms: dict[str, Callable[[], Tensor]], inputs: list[Tensor], rounds: int, device: str) -> None:
    """Tell the time of each form, and its ratio to the first."""
    first = None
    for form, work in forms.items():
        took = milliseconds(work, inputs, rounds, device)
        first = first or took
        tell(f"fused.{name}.{form}", took, "ms", device=device, ratio=round(took / first, 3))


def part(case: Callable[[str], tuple[Callable[..., Tensor], list[Tensor], str]], rounds: int, device: str) -> None:
    """One kernel's plain, compiled and, on a GPU, Triton form."""
    work, inputs, name = case(device)
    plain = {"softcap_loss": softcap_loss, "mlp": mlp}[name]
    compiled = torch.compile(plain, fullgraph=True)
    forms = {"plain": lambda: work(plain, *inputs), "compiled": lambda: work(compiled, *inputs)}
    if device == "cuda":
        from kernels import mlp_triton, softcap_loss_triton

        fused = {"softcap_loss": softcap_loss_triton.softcap_loss, "mlp": mlp_triton.mlp}[name]
        forms["triton"] = lambda: work(fused, *inputs)
    compare(name, forms, inputs, rounds, device)


def step(rounds: int, device: str) -> None:
    """Forward and backward of a whole model, plain and compiled."""
    recipe = recipe_from({"composition": "attention", "rule": "none", "ngram": 0, "blocks": 2, "width": 128})
    model = ByteModel(recipe).to(device)
    ids_BT = torch.randint(256, (recipe.batch, recipe.context), device=device)
    target_N = ids_BT.flatten()
    inputs = [weight for name, weight in model.named_parameters() if name != "tables"]

    def loss(forward: Callable[[Tensor], tuple[Tensor, object]]) -> Tensor:
        return torch.nn.functional.cross_entropy(forward(ids_BT)[0].flatten(0, 1), target_N)

    compiled = torch.compile(model)
    compare("step", {"plain": lambda: loss(model), "compiled": lambda: loss(compiled)}, inputs, rounds, device)


def main() -> None:
    """Measure everything on the CPU, then on a GPU where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 5 if parser.parse_args().quick else 40
    torch.set_num_threads(1)
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        part(loss_case, rounds, device)
        part(mlp_case, rounds, device)
        step(rounds, device)


if __name__ == "__main__":
    main()
