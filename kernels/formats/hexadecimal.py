"""IBM hexadecimal floats: the fraction's first hexadecimal digit is not zero, so precision wobbles by three bits."""

from kernels.formats import Family

about = {
    "kind": "hexadecimal",
    "source": "IBM System/360 Principles of Operation A22-6821, 1964",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat",),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "ibm_hfp": {"bits": 32, "class": "A", "digits": 6, "emin": -64, "emax": 63, "fields": (7, 24), "native": "rtz"},
    },
}  # fmt: skip

hexadecimal = Family("hexadecimal", about)
