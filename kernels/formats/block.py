"""Small floats and integers in blocks that share a scale.

An MX format chooses its scale in one of four ways (`kernels.scaling`): by the floor of the exponent under its own name,
the others under NAME_ceil, NAME_even and NAME_rceil.
"""

from collections.abc import Mapping
from functools import cached_property

from kernels.formats import Family, Format

about = {
    "kind": "floating",
    "source": "OCP Microscaling Formats Specification 1.0, 2023; NVFP4: NVIDIA 2025, arXiv:2509.25149",
    "defaults": {"scaling": "block"},
    "admits": {"rounding": ("rne", "rna", "rtz", "sr")},
    "modes": ("ceil", "even", "rceil"),
    "formats": {
        "mxfp8": {
            "bits": 8.25, "class": "A", "E": 4, "M": 3, "bias": 7, "codes": "fn", "block": 32, "scale": "floor",
        },
        "mxfp8_e5m2": {
            "bits": 8.25, "class": "A", "E": 5, "M": 2, "bias": 15, "codes": "ieee", "block": 32, "scale": "floor",
        },
        "mxfp6": {
            "bits": 6.25, "class": "A", "E": 3, "M": 2, "bias": 3, "codes": "finite", "block": 32, "scale": "floor",
        },
        "mxfp6_e2m3": {
            "bits": 6.25, "class": "A", "E": 2, "M": 3, "bias": 1, "codes": "finite", "block": 32, "scale": "floor",
        },
        "mxfp4": {
            "bits": 4.25, "class": "A", "E": 2, "M": 1, "bias": 1, "codes": "finite", "block": 32, "scale": "floor",
        },
        "mxint8": {
            "kind": "integer", "bits": 8.25, "class": "A", "low": -127, "high": 127, "fraction": 6, "block": 32,
            "scale": "floor",
        },
        "nvfp4": {
            "bits": 4.5, "class": "A", "E": 2, "M": 1, "bias": 1, "codes": "finite", "block": 16, "scale": "two_level",
        },
        "block_fp": {"kind": "integer", "bits": 8.5, "class": "A", "low": -127, "high": 127, "block": 16},
        "block_fp_m3": {"kind": "integer", "bits": 4.5, "class": "A", "low": -7, "high": 7, "block": 16},
        "shared_exp": {
            "kind": "integer", "bits": 16, "class": "A", "low": -32768, "high": 32767, "defaults": {"scaling": "pow2"},
        },
    },
    "aliases": {"mxfp8_e4m3": "mxfp8", "mxfp6_e3m2": "mxfp6", "mxfp4_e2m1": "mxfp4"},
}  # fmt: skip


class Block(Family):
    """The rows, and one more for each other way to choose the scale of an MX format."""

    @cached_property
    def formats(self) -> Mapping[str, Format]:
        """id -> format."""
        rows = dict(self.about["formats"])
        for mode in self.about["modes"]:
            micro = {id: row for id, row in self.about["formats"].items() if row.get("scale") == "floor"}
            rows |= {f"{id}_{mode}": {**row, "scale": mode} for id, row in micro.items()}
        return {id: self.format(id, row) for id, row in rows.items()}


block = Block("block", about)
