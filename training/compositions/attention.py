"""Window attention alone, without a memory."""

from collections.abc import Mapping

from torch import Tensor, nn

from training.attention import Cache
from training.compositions import Composition, WindowAttention
from training.recipe import NONE, Recipe, Scalar

about = {
    "help": "sliding-window attention alone",
    "source": "Beltagy, Peters, Cohan 2020, arXiv:2004.05150 (sliding-window attention)",
    "combines": {"rule": ["none"]},
}


class Attention(Composition):
    """y = W_o attention(x). W_o starts at zero, so that the block starts as the identity."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.mix = WindowAttention(recipe.width, recipe.heads, recipe.window)
        self.out = nn.Linear(recipe.width, recipe.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BTD: Tensor, carried: Cache | None) -> tuple[Tensor, Cache]:
        """Attend and project."""
        y_BTD, cache = self.mix(x_BTD, carried)
        return self.out(y_BTD), cache

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""
        return {"composition": "attention", "rule": NONE, "heads": self.mix.heads, "window": self.mix.window}


attention = Attention
