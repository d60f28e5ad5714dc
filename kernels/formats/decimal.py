"""Decimal floats, and packed decimal digits under a power of ten."""

from kernels.formats import Family

about = {
    "kind": "decimal",
    "source": "IEEE 754-2019, section 3.5; packed decimal: ISO/IEC 1989:2023, usage packed-decimal",
    "admits": {"rounding": ("rne", "rna", "rtz", "sr")},
    "formats": {
        "decimal32": {
            "bits": 32, "class": "B", "digits": 7, "emin": -95, "emax": 96,
            "admits": {"overflow": ("sat", "ieee"), "underflow": ("grad", "ftz")},
        },
        "decimal64": {"bits": 64, "class": "C", "digits": 16, "emin": -383, "emax": 384},
        "decimal128": {"bits": 128, "class": "D", "digits": 34, "emin": -6143, "emax": 6144},
        "bcd": {
            "bits": 16, "class": "A", "digits": 3, "exponent": 0, "scale": "ten", "defaults": {"scaling": "amax"},
            "admits": {"scaling": ("none", "amax", "row")},
        },
        "bcd8": {
            "bits": 8, "class": "A", "digits": 1, "exponent": 0, "scale": "ten", "defaults": {"scaling": "amax"},
            "admits": {"scaling": ("none", "amax", "row")},
        },
    },
}  # fmt: skip

decimal = Family("decimal", about)
