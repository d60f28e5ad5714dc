"""Basic: every block has all levels, on one schedule."""

from training.cms import Variant, everywhere, free, together

about = {
    "help": "every block has all levels, on one schedule",
    "combines": {"cms.heads": [1]},
    "source": "Behrouz et al. 2025, arXiv:2512.24695, equations 70 and 71",
}

basic = Variant(about, depth=everywhere, phase=together, start=free)
