"""l_q: an accumulator of gradients with a link that keeps the weights small in the q-norm."""

from collections.abc import Mapping

from torch import Tensor

from training.recipe import Scalar
from training.retentions import Retention

about = {
    "help": "q-norm, by an accumulator and a link",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equation 22 (MONETA)",
    "combines": {"rule": ["*"]},
    "fields": {
        "q": {"default": 4.0, "min": 2.0, "max": 8.0, "help": "the norm"},
        "link": {
            "default": "printed",
            "choices": ["printed", "mirror"],
            "help": "as the paper prints it, or the exact mirror map of |W|_q^2 / 2",
        },
    },
}

SMALL = 1e-18
"""Added to squares under a root or a negative power; the links are 0/0 at zero."""


LEAST = 0.01
"""Floor under the norm in the printed link: at q above 3 it gives the larger weights the less A holds."""


class Lq(Retention):
    """printed: W = A / |A|_q^(q-2). mirror: W = sign(A) |A|^(p-1) |A|_p^(2-p) with p = q / (q - 1).

    Norms are those of the whole matrix.
    """

    def __init__(self, options: Mapping[str, Scalar]) -> None:
        super().__init__(options)
        self.q, self.mirror = float(options["q"]), options["link"] == "mirror"

    def start(self, W_OI: Tensor) -> Tensor:
        """The accumulator whose link is W; at q = 3 the printed link gives norm one whatever W's was."""
        if self.mirror:
            return signed_power(W_OI, self.q - 1) * norm(W_OI, self.q) ** (2 - self.q)
        return W_OI if self.q == 3 else W_OI * norm(W_OI, self.q) ** ((self.q - 2) / (3 - self.q))

    def weights(self, A_OI: Tensor) -> Tensor:
        """The link."""
        if self.mirror:
            p = self.q / (self.q - 1)
            return signed_power(A_OI, p - 1) * norm(A_OI, p) ** (2 - p)
        return A_OI * self.factor(A_OI)

    def scale(self, A_OI: Tensor) -> Tensor | None:
        """The printed link's factor stands still within a frozen segment; the mirror map is not linear."""
        return None if self.mirror else self.factor(A_OI)

    def factor(self, A_OI: Tensor) -> Tensor:
        """|A|_q^(2-q), the printed link's."""
        return norm(A_OI, self.q).clamp(min=LEAST) ** (2 - self.q)


def norm(A_OI: Tensor, q: float) -> Tensor:
    """The q-norm of the whole matrix -> [..., 1, 1]."""
    peak = A_OI.detach().abs().amax((-2, -1), keepdim=True).clamp(min=1e-9)
    return peak * ((A_OI / peak).square() + SMALL).pow(q / 2).sum((-2, -1), keepdim=True) ** (1 / q)


def signed_power(A_OI: Tensor, power: float) -> Tensor:
    """sign(A) |A|^power, smooth at zero."""
    return A_OI * (A_OI * A_OI + SMALL) ** ((power - 1) / 2)


lq = Lq
