"""GoldenFloat with the exponent counted in trits: an offset in 0 .. 3^k - 1, the greatest for infinity and NaN.

The code of offset and fraction zero is zero; every other code of offset zero is a normal value.
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "balanced ternary exponent of k trits less (3^k - 1) / 2; two bits store a trit",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "gft4": {
            "bits": 6, "class": "A", "M": 1, "emin": -4, "emax": 3, "bottom": 3, "codes": "ieee",
            "fields": (None, None), "admits": {"scaling": ("none", "pow2", "amax", "row", "block")},
        },
        "gft8": {
            "bits": 10, "class": "A", "M": 4, "emin": -13, "emax": 12, "bottom": 17, "codes": "ieee",
            "fields": (None, None), "admits": {"scaling": ("none", "pow2", "amax", "row", "block")},
        },
        "gft16": {
            "bits": 17, "class": "A", "M": 9, "emin": -40, "emax": 39, "bottom": 513, "codes": "ieee",
            "fields": (None, None),
        },
        "gft32": {
            "bits": 36, "class": "B", "M": 25, "emin": -364, "emax": 363, "bottom": 33554433, "codes": "ieee",
            "fields": (None, None),
        },
    },
}  # fmt: skip

trits = Family("trits", about)
