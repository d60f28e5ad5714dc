"""Floats with more than 53 significant bits: no float64 shows them, so only weights that are held wider can be rounded.

What a double carries beside its value, in `double_double`, and three times over in `quad_double`, is not a format with
fields: its numbers are unevaluated sums of two and of four float64.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "IEEE 754-2019 and IEEE 754-1985 (extended); VAX Architecture Reference Manual 1987; IBM System/360 "
    "Principles of Operation; GW-BASIC User's Guide 1986; Hida, Li, Bailey 2001 (double-double, quad-double)",
    "admits": {"rounding": ("rne",), "overflow": ("sat",), "underflow": ("grad",)},
    "formats": {
        "fp80": {"bits": 80, "class": "C", "E": 15, "M": 63, "bias": 16383, "codes": "ieee"},
        "binary128": {"bits": 128, "class": "D", "E": 15, "M": 112, "bias": 16383, "codes": "ieee"},
        "binary256": {"bits": 256, "class": "D", "E": 19, "M": 236, "bias": 262143, "codes": "ieee"},
        "vax_d": {
            "bits": 64, "class": "C", "E": 8, "M": 55, "codes": "finite", "emin": -128, "emax": 126,
            "bottom": 36028797018963968, "minus_zero": 0, "zero_tie": 0,
        },
        "vax_h": {
            "bits": 128, "class": "D", "E": 15, "M": 112, "codes": "finite", "emin": -16384, "emax": 16382,
            "bottom": 5192296858534827628530496329220096, "minus_zero": 0, "zero_tie": 0,
        },
        "mbf64": {
            "bits": 64, "class": "C", "E": 8, "M": 55, "codes": "finite", "emin": -128, "emax": 126,
            "bottom": 36028797018963968, "minus_zero": 0, "zero_tie": 0,
        },
        "ibm_hfp_long": {
            "bits": 64, "class": "C", "kind": "hexadecimal", "digits": 14, "emin": -64, "emax": 63, "fields": (7, 56),
        },
        "ibm_hfp_ext": {
            "bits": 128, "class": "D", "kind": "hexadecimal", "digits": 28, "emin": -64, "emax": 63, "fields": (7, 112),
        },
        "double_double": {"bits": 128, "class": "C", "kind": "expansion", "components": 2},
        "quad_double": {"bits": 256, "class": "D", "kind": "expansion", "components": 4},
    },
    "aliases": {"float80": "fp80", "float128": "binary128", "quad": "binary128", "float256": "binary256"},
}  # fmt: skip

wide = Family("wide", about)
