"""Optimizers: one interface over four named groups of parameters.

An optimizer is built as `optimizers[name](groups, options)` with the options of its `about["fields"]`, all given. Its
state tensors exist from the start, so that a checkpoint of any step has the same names and shapes. Any group may be
empty: a level that moves at its own pace has an optimizer of its own.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugins import Plugins
from training.recipe import Scalar

Named = Mapping[str, nn.Parameter]


@dataclass(frozen=True, kw_only=True)
class Groups:
    """A model's parameters by name, every one in exactly one group.

    matrices: weights of linear maps inside blocks. embeddings: dense, one row an id. tables: those with sparse
    gradients, where a step touches few rows. vectors: all the rest (gains, biases, convolution taps).
    """

    matrices: Named
    embeddings: Named
    tables: Named
    vectors: Named


def grouped(model: nn.Module) -> Groups:
    """Sort a model's parameters: by what its modules are, and by the names `embedding` and `tables`."""
    linear = {f"{path}.weight" for path, module in model.named_modules() if isinstance(module, nn.Linear)}
    kinds: dict[str, dict[str, nn.Parameter]] = {"matrices": {}, "embeddings": {}, "tables": {}, "vectors": {}}
    special = {"embedding": "embeddings", "tables": "tables"}
    for name, parameter in model.named_parameters():
        kind = "matrices" if name in linear else special.get(name.rsplit(".", 1)[-1], "vectors")
        kinds[kind][name] = parameter
    return Groups(**kinds)


class Optimizer(ABC):
    """What the engine asks of an optimizer."""

    @abstractmethod
    def step(self, multiplier: float) -> None:
        """Move every parameter once by its gradient; all learning rates are multiplied by `multiplier`."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """The live state tensors by name. Names and shapes stay; a checkpoint is loaded by copying into them."""

    @abstractmethod
    def echo(self) -> Mapping[str, Scalar]:
        """The options in use, read back from the built object."""

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """While entered, the model holds the weights to score: the trained ones, unless an optimizer averages."""
        return nullcontext()


class Eager(torch.optim.AdamW):
    """torch's AdamW without the wrappers that load torch's compiler: an engine starts a second sooner without it.

    They are there for optimizers inside of compiled graphs; what they wrap computes the same bits.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Adam:
    """Dense AdamW over named groups (Loshchilov, Hutter 2019, arXiv:1711.05101), torch's fused kernel.

    groups: (parameters, learning rate, weight decay) each.
    """

    def __init__(self, groups: list[tuple[Named, float, float]], betas: tuple[float, float]) -> None:
        self.named = {name: parameter for named, _, _ in groups for name, parameter in named.items()}
        settings = [
            {"params": list(named.values()), "lr": lr, "initial_lr": lr, "weight_decay": decay}
            for named, lr, decay in groups
            if named
        ]
        nothing = [{"params": [], "lr": 0.0, "initial_lr": 0.0}]
        self.inner = Eager(settings or nothing, betas=betas, eps=1e-10, fused=True)
        for parameter in self.named.values():
            zeros = {key: torch.zeros_like(parameter.data) for key in ("exp_avg", "exp_avg_sq")}
            self.inner.state[parameter] = {"step": torch.zeros(()), **zeros}

    def step(self, multiplier: float) -> None:
        """One step of every group."""
        for group in self.inner.param_groups:
            group["lr"] = group["initial_lr"] * multiplier
        self.inner.step()

    def state(self) -> dict[str, Tensor]:
        """`name.exp_avg`, `name.exp_avg_sq` and `name.step` of each parameter."""
        return {f"{n}.{key}": value for n, p in self.named.items() for key, value in self.inner.state[p].items()}


class RowAdagrad:
    """Adagrad with one sum of squares a row, for tables of which a step touches few rows.

    sum[r] += mean(g_r^2); row_r -= lr g_r / sqrt(sum[r]). Rows without a gradient cost nothing and do not move.
    Duchi, Hazan, Singer 2011; the row-wise form is that of FBGEMM's and DLRM's embedding tables.
    """

    def __init__(self, tables: Named, lr: float) -> None:
        self.tables, self.lr = tables, lr
        self.sums = {f"{name}.sum": torch.zeros(len(table)) for name, table in tables.items()}

    def step(self, multiplier: float) -> None:
        """One step of every row with a gradient."""
        with torch.no_grad():
            for table, sums in zip(self.tables.values(), self.sums.values(), strict=True):
                if table.grad is not None:
                    self.move(table, sums, table.grad.coalesce(), self.lr * multiplier)

    def move(self, table: Tensor, sums: Tensor, gradient: Tensor, lr: float) -> None:
        """gradient: coalesced sparse [rows, D]; its row indices are distinct, so no two writes meet."""
        index, g_ND = gradient.indices()[0], gradient.values()
        sum_N = sums[index] + g_ND.square().mean(1)
        sums[index] = sum_N
        table.index_add_(0, index, g_ND * (sum_N + 1e-20).rsqrt()[:, None], alpha=-lr)


optimizers = Plugins("training.optimizers")
