"""AdaptivFloat: a float whose exponents end at that of the tensor's largest magnitude; zero in place of +-min.

That is one fixed grid under a power-of-two scale: exponents -7 to 0 times 2^e(amax).
"""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "Tambe et al. 2020, Algorithm-hardware co-design of adaptive floating-point encodings, DAC",
    "defaults": {"scaling": "pow2"},
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat",),
        "underflow": ("grad",),
    },
    "formats": {
        "afp": {
            "bits": 8, "class": "A", "E": 3, "M": 4, "codes": "finite", "emin": -7, "emax": 0, "bottom": 17,
            "zero_tie": 0,
        },
    },
    "aliases": {"adaptivfloat": "afp"},
}  # fmt: skip

adaptive = Family("adaptive", about)
