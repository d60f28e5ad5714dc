"""Whole numbers under a scale. Signed ones leave one code unused, unsigned ones have a zero point."""

from kernels.formats import Family

about = {
    "kind": "integer",
    "source": "Jacob et al. 2018, arXiv:1712.05877 (affine); Krishnamoorthi 2018, arXiv:1806.08342 (symmetric)",
    "defaults": {"scaling": "amax"},
    "admits": {"rounding": ("rne", "rna", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "int4": {"bits": 4, "class": "A", "low": -7, "high": 7},
        "int8": {"bits": 8, "class": "A", "low": -127, "high": 127},
        "int16": {"bits": 16, "class": "A", "low": -32767, "high": 32767},
        "int32": {
            "bits": 32, "class": "B", "low": -2147483647, "high": 2147483647, "defaults": {"scaling": "pow2"},
            "admits": {"scaling": ("none", "pow2")},
        },
        "int64": {
            "bits": 64, "class": "C", "low": -9223372036854775807, "high": 9223372036854775807,
            "defaults": {"scaling": "pow2"}, "admits": {"scaling": ("none", "pow2")},
        },
        "int128": {
            "bits": 128, "class": "D", "low": -170141183460469231731687303715884105727,
            "high": 170141183460469231731687303715884105727,
            "defaults": {"scaling": "pow2"}, "admits": {"scaling": ("none", "pow2")},
        },
        "uint4": {
            "bits": 4, "class": "A", "low": 0, "high": 15, "scale": "affine", "admits": {"scaling": ("amax", "row")},
        },
        "uint8": {
            "bits": 8, "class": "A", "low": 0, "high": 255, "scale": "affine", "admits": {"scaling": ("amax", "row")},
        },
        "uint16": {
            "bits": 16, "class": "A", "low": 0, "high": 65535, "scale": "affine",
            "admits": {"scaling": ("amax", "row")},
        },
        "uint32": {
            "bits": 32, "class": "B", "low": 0, "high": 4294967295, "scale": "affine",
            "admits": {"scaling": ("amax", "row")},
        },
        "uint64": {
            "bits": 64, "class": "C", "low": 0, "high": 18446744073709551615, "scale": "affine",
            "admits": {"scaling": ("amax", "row")},
        },
        "uint128": {
            "bits": 128, "class": "D", "low": 0, "high": 340282366920938463463374607431768211455, "scale": "affine",
            "admits": {"scaling": ("amax", "row")},
        },
    },
}  # fmt: skip

integer = Family("integer", about)
