"""Binary floats of IEEE 754 and their shortened forms: a hidden bit, subnormals, infinities, NaN."""

from kernels.formats import Family

about = {
    "kind": "floating",
    "source": "IEEE 754-2019; bfloat16: Wang, Kanwar 2019; TF32: NVIDIA A100 white paper 2020",
    "admits": {
        "rounding": ("rne", "rna", "rtz", "sr"),
        "overflow": ("sat", "ieee"),
        "underflow": ("grad", "ftz"),
    },
    "formats": {
        "fp16": {
            "bits": 16, "class": "A", "E": 5, "M": 10, "bias": 15, "codes": "ieee",
            "admits": {"scaling": ("none", "pow2", "amax", "row", "block")},
        },
        "fp32": {"bits": 32, "class": "I32", "E": 8, "M": 23, "bias": 127, "codes": "ieee"},
        "fp64": {"bits": 64, "class": "B", "E": 11, "M": 52, "bias": 1023, "codes": "ieee"},
        "bf16": {"bits": 16, "class": "A", "E": 8, "M": 7, "bias": 127, "codes": "ieee"},
        "tf32": {"bits": 19, "class": "A", "E": 8, "M": 10, "bias": 127, "codes": "ieee", "native": "rna"},
        "minifloat": {
            "bits": 8, "class": "A", "E": 4, "M": 3, "bias": 7, "codes": "ieee",
            "admits": {"scaling": ("none", "pow2", "amax", "row", "block")},
        },
        "fp8_e3m4": {
            "bits": 8, "class": "A", "E": 3, "M": 4, "bias": 3, "codes": "ieee",
            "admits": {"scaling": ("none", "pow2", "amax", "row", "block")},
        },
        "stochastic_rounding": {
            "bits": 16, "class": "A", "E": 8, "M": 7, "bias": 127, "codes": "ieee", "defaults": {"rounding": "sr"},
            "admits": {"rounding": ("sr",)},
        },
    },
    "aliases": {
        "binary16": "fp16", "float16": "fp16", "half": "fp16",
        "binary32": "fp32", "float32": "fp32", "single": "fp32",
        "binary64": "fp64", "float64": "fp64", "double": "fp64",
        "bfloat16": "bf16", "float8_e4m3": "minifloat", "float8_e3m4": "fp8_e3m4",
    },
}  # fmt: skip

ieee = Family("ieee", about)
