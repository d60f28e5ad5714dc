"""Change: what rounding to a format did to some values. A format that changes none of them was not there."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_LOOKED_AT = 65_536
"""Values of which distinct ones are counted, at most; evenly spaced ones of a larger tensor."""

Figures = Mapping[str, float | int | str]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Counts over values other than zero, which every format has.

    changed: those that rounding moved. zeroed: that became zero. saturated: that lay beyond the largest value.
    distinct: different values after it, zero included, among those looked at.
    """

    values: int = 0
    changed: int = 0
    zeroed: int = 0
    saturated: int = 0
    distinct: int = 0

    def __add__(self, other: "Change") -> "Change":
        return Change(
            values=self.values + other.values,
            changed=self.changed + other.changed,
            zeroed=self.zeroed + other.zeroed,
            saturated=self.saturated + other.saturated,
            distinct=max(self.distinct, other.distinct),
        )

    def figures(self, format: str) -> Figures:
        """The format and shares as a sample keeps them. Without a value other than zero the shares are 0."""
        count = max(1, self.values)
        shares = {
            "share": self.changed / count,
            "zero": self.zeroed / count,
            "saturated": self.saturated / count,
        }
        return {"format": format, "values": self.values, **shares, "distinct": self.distinct}


def change(x: Tensor, y: Tensor, limit: Tensor) -> Change:
    """What happened from x to y, of one shape. limit: the largest magnitudes that do not saturate, for each of x."""
    values = int(x.count_nonzero())
    return Change(
        values=values,
        changed=int((x != y).count_nonzero()),
        zeroed=int(((y == 0) & (x != 0)).count_nonzero()),
        saturated=int((x.abs() > limit).count_nonzero()),
        distinct=len(torch.unique(y.flatten()[:: max(1, -(-y.numel() // MOST_LOOKED_AT))])),
    )
