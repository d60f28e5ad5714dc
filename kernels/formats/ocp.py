"""The 8-, 6- and 4-bit floats of the Open Compute Project."""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "OCP 8-bit Floating Point Specification 1.0, 2023; OCP Microscaling Formats Specification 1.0, 2023",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
        "scaling": ("none", "pow2", "amax", "row", "block"),
    },
    "formats": {
        "fp8_e4m3": {"bits": 8, "class": "A", "E": 4, "M": 3, "bias": 7, "codes": "fn"},
        "fp8_e5m2": {"bits": 8, "class": "A", "E": 5, "M": 2, "bias": 15, "codes": "ieee"},
        "fp6_e3m2": {
            "bits": 6, "class": "A", "E": 3, "M": 2, "bias": 3, "codes": "finite", "admits": {"overflow": ("sat",)},
        },
        "fp6_e2m3": {
            "bits": 6, "class": "A", "E": 2, "M": 3, "bias": 1, "codes": "finite", "admits": {"overflow": ("sat",)},
        },
        "fp4_e2m1": {
            "bits": 4, "class": "A", "E": 2, "M": 1, "bias": 1, "codes": "finite", "admits": {"overflow": ("sat",)},
        },
    },
    "aliases": {"float8_e4m3fn": "fp8_e4m3", "float8_e5m2": "fp8_e5m2"},
}  # fmt: skip

ocp = Family("ocp", about)
