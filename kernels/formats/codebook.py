"""Lists of values: normal quantiles, the golden ternary, the 8-bit lattice of unums of the second kind."""

from kernels.formats import Family

about = {
    "kind": "codebook",
    "source": "nf4, nf8: Dettmers et al. 2023, arXiv:2305.14314; unum2: Gustafson 2016, Supercomputing Frontiers 3(1)",
    "admits": {"rounding": ("rne", "rna", "rtz", "sr"), "scaling": ("none", "pow2", "amax", "row", "block")},
    "formats": {
        "nf4": {
            "bits": 4.5, "class": "A", "block": 64, "scale": "absmax", "ties": "lower", "values": (
                -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                0.7229568362236023, 1.0,
            ), "defaults": {"scaling": "block"},
        },
        "nf8": {
            "bits": 8.5, "class": "A", "block": 64, "scale": "absmax", "ties": "lower", "quantiles": 8,
            "defaults": {"scaling": "block"},
        },
        "gfternary": {
            "bits": 2, "class": "A", "values": (-1.6180340051651, 0.0, 1.6180340051651), "ties": "even",
            "defaults": {"scaling": "amax"},
        },
        "unum2": {"bits": 8, "class": "A", "lattice": 31, "ties": "even"},
    },
    "aliases": {"normalfloat4": "nf4"},
}  # fmt: skip

codebook = Family("codebook", about)
