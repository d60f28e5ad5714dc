"""MONETA: an l_p error, weights held by a q-norm, on a small network."""

from training.networks import network_rule

about = {
    "help": "l_p error and q-norm retention on a network memory",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equations 20 to 23",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "theta": {"map": "sigmoid", "bias": -3.0},
    },
    "bias": "lp",
    "retention": "lq",
    "combines": {
        "rule.norm_of_qk": ["l2"],
        "bias": ["none", "l2", "dot", "lp", "huber"],
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

moneta = network_rule(about)
