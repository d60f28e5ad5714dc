"""YAAD as printed: squared error up to a delta that each token sets for itself, absolute error beyond; weight decay."""

from training.networks import network_rule

about = {
    "help": "error that switches at a learned delta of each token, and weight decay, on a network memory",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equations 24 to 26",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "theta": {"map": "sigmoid", "bias": -3.0},
        "delta": {"map": "softplus", "bias": 0.5413},
    },
    "bias": "huber",
    "retention": "l2",
    "combines": {
        "rule.norm_of_qk": ["l2"],
        "bias": ["none"],
        "retention": ["none", "l2", "elastic_net", "sphere", "kl", "lq"],
    },
    "fields": {
        "expansion": {"default": 4, "min": 1, "max": 16, "help": "hidden units over K"},
        "wrap": {
            "default": "norm",
            "choices": ["norm", "none"],
            "help": "add the network's layer-normed output to its input, or take it bare",
        },
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "gradient": {
            "default": "full",
            "choices": ["full", "first_order", "truncated"],
            "help": "of training: through all, with the weights inside inner gradients taken for constants, or cut",
        },
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}

yaad_switch = network_rule(about)
