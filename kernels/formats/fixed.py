"""Fixed-point numbers in two's complement, and no scale."""

from kernels.formats import Family

about = {
    "kind": "integer",
    "source": "ISO/IEC TR 18037:2008, Embedded C (fract and accum types)",
    "admits": {"rounding": ("rne", "rna", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "q_format": {"bits": 32, "class": "A", "low": -2147483648, "high": 2147483647, "fraction": 16},
        "q7": {"bits": 8, "class": "A", "low": -128, "high": 127, "fraction": 7},
        "q15": {"bits": 16, "class": "A", "low": -32768, "high": 32767, "fraction": 15},
        "q31": {"bits": 32, "class": "B", "low": -2147483648, "high": 2147483647, "fraction": 31},
    },
    "aliases": {"q15_16": "q_format"},
}  # fmt: skip

fixed = Family("fixed", about)
