"""Applied: a number format with its switches, at one place of a run."""

from dataclasses import asdict, dataclass

from torch import Tensor

from kernels.formats import Format, Switches, format_named
from kernels.quantize import quantize
from kernels.scaling import reach
from training.change import Change, change
from training.format_fields import PLAIN, looks_across, switches_of
from training.recipe import Recipe, Scalar


@dataclass(frozen=True, kw_only=True)
class Applied:
    """Q at a place. Stochastic rounding draws from (seed, step, number of the element); they start at `offset`.

    place: weights, activations or gradients.
    """

    place: str
    format: Format
    switches: Switches
    seed: int
    offset: int = 0

    @property
    def by_rows(self) -> bool:
        """Whether what becomes of a row depends on that row alone, so that it can be rounded without the others."""
        return not looks_across(self.format, self.switches.scaling)

    def __call__(self, x: Tensor, step: int = 0, *, first: int = 0, out: Tensor | None = None) -> Tensor:
        """Q(x), straight-through. first: number of the tensor's first element among those of the place."""
        options = asdict(self.switches)
        return quantize(x, self.format, seed=self.seed, step=step, offset=self.offset + first, out=out, **options)

    def change(self, x: Tensor, y: Tensor) -> Change:
        """What Q made of x."""
        return change(x, y, reach(self.format, x, self.switches, axis=-1))

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        return {self.place: self.format.id, **{f"{self.place}.{key}": x for key, x in asdict(self.switches).items()}}


def applied_of(recipe: Recipe, place: str, seed: int, offset: int = 0) -> Applied | None:
    """What a recipe does at a place; None where it rounds nothing there."""
    name = str(getattr(recipe, place))
    if name == PLAIN:
        return None
    switches = switches_of(recipe.option(place))
    return Applied(place=place, format=format_named(name), switches=switches, seed=seed, offset=offset)
