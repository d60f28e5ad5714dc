"""Microsoft Binary Format: the values of VAX F under another order of bits."""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "Microsoft BASIC 1975; GW-BASIC User's Guide 1986, appendix on internal representation",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat",),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "mbf": {
            "bits": 32, "class": "I32", "E": 8, "M": 23, "codes": "finite", "emin": -128, "emax": 126,
            "bottom": 8388608, "minus_zero": 0, "zero_tie": 0, "native": "rna",
        },
    },
}  # fmt: skip

mbf = Family("mbf", about)
