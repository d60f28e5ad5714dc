"""DLFloat: no subnormals; the codes of exponent zero are normal values, but for the one that is zero.

One code is both NaN and infinity; it is shown as NaN.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "Agrawal et al. 2019, DLFloat: a 16-b floating point format designed for deep learning, ARITH",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
        "scaling": ("none", "pow2", "amax", "row", "block"),
    },
    "formats": {
        "dlfloat16": {
            "bits": 16, "class": "A", "E": 6, "M": 9, "bias": 31, "codes": "fn", "emin": -31, "bottom": 513,
        },
    },
}  # fmt: skip

dlfloat = Family("dlfloat", about)
