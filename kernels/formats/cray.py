"""Cray-1 floats: 48 bits of fraction, none hidden, and exponents far beyond those of float64."""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "CRAY-1 Hardware Reference Manual 2240004, Cray Research 1977",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat",),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "cray": {
            "bits": 64, "class": "B", "M": 47, "codes": "finite", "emin": -8193, "emax": 8190,
            "bottom": 140737488355328, "fields": (15, 48), "native": "rtz",
        },
    },
}  # fmt: skip

cray = Family("cray", about)
