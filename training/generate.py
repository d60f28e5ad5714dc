"""Generation: bytes drawn one after the other from what a session expects."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from errors import InvalidValue
from training.session import Session


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a byte is drawn: from p ** (1 / temperature), among the `top_k` likeliest (None: all). 0 takes the likeliest.

    Raises InvalidValue.
    """

    temperature: float = 1.0
    top_k: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise InvalidValue(f"temperature must lie in [0, 100], got {self.temperature}.")
        if self.top_k is not None and not 1 <= self.top_k <= 256:
            raise InvalidValue(f"top_k must lie in [1, 256], got {self.top_k}.")


def generate(session: Session, count: int, drawing: Drawing) -> Iterator[int]:
    """Draw `count` bytes, each read by the session before the next is drawn. Raises SessionFull before the first."""
    if count < 0:
        raise InvalidValue(f"The number of bytes must not be negative, got {count}.")
    session.refuse_full(count)
    for _ in range(count):
        byte = draw(session.ahead, drawing, session.random)
        session.process(bytes([byte]))
        yield byte


def draw(logp_V: Tensor, drawing: Drawing, random: torch.Generator) -> int:
    """One byte. Where two are equally likely, the smaller counts as the likelier."""
    if drawing.temperature == 0:
        return int(logp_V.argmax())
    return int(torch.multinomial(chances(logp_V, drawing), 1, generator=random))


def chances(logp_V: Tensor, drawing: Drawing) -> Tensor:
    """Probability of each byte, float64."""
    scaled_V = (logp_V - logp_V.max()).double() / drawing.temperature
    likeliest = scaled_V.argsort(descending=True, stable=True)
    if drawing.top_k is not None:
        scaled_V = scaled_V.index_fill(0, likeliest[drawing.top_k :], -torch.inf)
    return scaled_V.softmax(0)
