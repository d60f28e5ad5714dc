"""Linear takums of 8, 16 and 32 bits; tapered_fp is the one of 16."""

from kernels.formats import Family

about = {
    "kind": "takum",
    "source": "Hunhold 2024, arXiv:2404.18603, the linear form",
    "defaults": {"underflow": "keep"},
    "admits": {"rounding": ("rne", "rna", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "takum8": {"bits": 8, "class": "A", "n": 8, "aim": 1},
        "tapered_fp": {"bits": 16, "class": "A", "n": 16, "aim": 1},
        "takum32": {"bits": 32, "class": "B", "n": 32, "aim": 1},
    },
    "aliases": {"takum16": "tapered_fp"},
}  # fmt: skip

takum = Family("takum", about)
