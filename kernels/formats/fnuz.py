"""8-bit floats with one NaN in the place of minus zero, and no infinity."""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "Noune, Jones, Justus, Masters, Luschi 2022, arXiv:2206.02915; bias 11: the HFP8 inference format of XLA",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
        "scaling": ("none", "pow2", "amax", "row", "block"),
    },
    "formats": {
        "fp8_e4m3fnuz": {"bits": 8, "class": "A", "E": 4, "M": 3, "bias": 8, "codes": "fnuz"},
        "fp8_e5m2fnuz": {"bits": 8, "class": "A", "E": 5, "M": 2, "bias": 16, "codes": "fnuz"},
        "fp8_e4m3b11fnuz": {"bits": 8, "class": "A", "E": 4, "M": 3, "bias": 11, "codes": "fnuz"},
    },
    "aliases": {
        "float8_e4m3fnuz": "fp8_e4m3fnuz", "float8_e5m2fnuz": "fp8_e5m2fnuz", "float8_e4m3b11fnuz": "fp8_e4m3b11fnuz",
    },
}  # fmt: skip

fnuz = Family("fnuz", about)
