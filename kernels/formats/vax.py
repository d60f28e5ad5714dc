"""VAX F and G floats: no infinity, no NaN, no minus zero, no subnormals.

Below half the smallest value is zero; from there on the smallest value. The hardware rounds ties away from zero.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "VAX Architecture Reference Manual, Digital Equipment Corporation 1987",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat",),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "vax_f": {
            "bits": 32, "class": "I32", "E": 8, "M": 23, "codes": "finite", "emin": -128, "emax": 126,
            "bottom": 8388608, "minus_zero": 0, "zero_tie": 0, "native": "rna",
        },
        "vax_g": {
            "bits": 64, "class": "B", "E": 11, "M": 52, "codes": "finite", "emin": -1024, "emax": 1022,
            "bottom": 4503599627370496, "minus_zero": 0, "zero_tie": 0, "native": "rna",
        },
    },
}  # fmt: skip

vax = Family("vax", about)
