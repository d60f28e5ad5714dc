"""Posits of 8, 16 and 32 bits, and their parameters of before the standard."""

from kernels.formats import Family

about = {
    "kind": "posit",
    "source": "Standard for Posit Arithmetic 2022; es 0 and 1: Gustafson, Yonemoto 2017",
    "defaults": {"underflow": "keep"},
    "admits": {"rounding": ("rne", "rna", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "posit8": {"bits": 8, "class": "A", "n": 8, "es": 2, "aim": 1},
        "posit16": {"bits": 16, "class": "A", "n": 16, "es": 2, "aim": 1},
        "posit32": {"bits": 32, "class": "B", "n": 32, "es": 2, "aim": 1},
        "posit64": {"bits": 64, "class": "C", "n": 64, "es": 2, "aim": 1},
        "posit8_es0": {"bits": 8, "class": "A", "n": 8, "es": 0, "aim": 1},
        "posit16_es1": {"bits": 16, "class": "A", "n": 16, "es": 1, "aim": 1},
    },
    "aliases": {"posit8_es2": "posit8", "posit16_es2": "posit16"},
}  # fmt: skip

posit = Family("posit", about)
