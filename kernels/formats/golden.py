"""GoldenFloat: of N bits round((N - 1) / phi^2) are exponent bits. Values below the smallest normal one are zero.

gf4 under this rule would have no finite value but zero; it is taken finite and gradual, which is the uniform grid of
0.5 up to 3.5: an integer of sign and three bits. The `_grad` formats have subnormals. The original codec rounds ties
away from zero.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "GoldenFloat: E = round((N - 1) / phi^2), M = N - 1 - E, bias = 2^(E - 1) - 1",
    "defaults": {"underflow": "ftz"},
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("ftz", "grad"),
        "scaling": ("none", "pow2", "amax", "row", "block"),
    },
    "formats": {
        "gf4": {
            "bits": 4, "class": "A", "E": 1, "M": 2, "bias": 0, "codes": "finite", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",), "overflow": ("sat",)},
        },
        "gf8": {
            "bits": 8, "class": "A", "E": 3, "M": 4, "bias": 3, "codes": "ieee", "native": "rna",
        },
        "gf12": {
            "bits": 12, "class": "A", "E": 4, "M": 7, "bias": 7, "codes": "ieee", "native": "rna",
        },
        "gf16": {
            "bits": 16, "class": "A", "E": 6, "M": 9, "bias": 31, "codes": "ieee", "native": "rna",
        },
        "gf20": {
            "bits": 20, "class": "A", "E": 7, "M": 12, "bias": 63, "codes": "ieee", "native": "rna",
        },
        "gf24": {
            "bits": 24, "class": "A'", "E": 9, "M": 14, "bias": 255, "codes": "ieee", "native": "rna",
            "admits": {"scaling": ("none",)},
        },
        "gf32": {
            "bits": 32, "class": "A'", "E": 12, "M": 19, "bias": 2047, "codes": "ieee", "native": "rna",
            "admits": {"scaling": ("none",)},
        },
        "gf64": {
            "bits": 64, "class": "B", "E": 24, "M": 39, "bias": 8388607, "codes": "ieee", "native": "rna",
            "admits": {"scaling": ("none",)},
        },
        "gf8_grad": {
            "bits": 8, "class": "A", "E": 3, "M": 4, "bias": 3, "codes": "ieee", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",)},
        },
        "gf12_grad": {
            "bits": 12, "class": "A", "E": 4, "M": 7, "bias": 7, "codes": "ieee", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",)},
        },
        "gf16_grad": {
            "bits": 16, "class": "A", "E": 6, "M": 9, "bias": 31, "codes": "ieee", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",)},
        },
        "gf20_grad": {
            "bits": 20, "class": "A", "E": 7, "M": 12, "bias": 63, "codes": "ieee", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",)},
        },
        "gf24_grad": {
            "bits": 24, "class": "A'", "E": 9, "M": 14, "bias": 255, "codes": "ieee", "native": "rna",
            "defaults": {"underflow": "grad"}, "admits": {"underflow": ("grad",), "scaling": ("none",)},
        },
    },
}  # fmt: skip

golden = Family("golden", about)
