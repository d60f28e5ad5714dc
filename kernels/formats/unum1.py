"""Type I unums of environment {2, 3}: the values of all sizes together are those of 1/4/8 with one infinity.

bits is the longest code; a value takes 1 + es + fs + 6 bits at the smallest sizes that hold it.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "Gustafson 2015, The End of Error: Unum Computing",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
        "scaling": ("none", "pow2", "amax", "row", "block"),
    },
    "formats": {
        "unum1": {
            "bits": 19, "class": "A", "E": 4, "M": 8, "bias": 7, "codes": "inf", "fields": (None, None),
        },
    },
}  # fmt: skip

unum1 = Family("unum1", about)
