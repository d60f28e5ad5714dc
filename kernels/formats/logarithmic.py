"""A sign and a logarithm in base two."""

from kernels.formats import Family

about = {
    "kind": "logarithmic",
    "source": "Swartzlander, Alexopoulos 1975, The Sign/Logarithm Number System",
    "defaults": {"scaling": "pow2"},
    "admits": {"rounding": ("rne", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "lns8": {"bits": 8, "class": "A", "fraction": 3, "limit": 63},
        "lns16": {"bits": 16, "class": "A", "fraction": 10, "limit": 16383},
        "lns32": {
            "bits": 32, "class": "B", "fraction": 23, "limit": 1073741823, "defaults": {"scaling": "none"},
            "admits": {"rounding": ("rne", "rtz"), "scaling": ("none",)},
        },
    },
}  # fmt: skip

logarithmic = Family("logarithmic", about)
