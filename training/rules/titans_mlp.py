"""Titans on a small network: gradient descent with momentum and decay on what each key should recall."""

from training.networks import network_rule

about = {
    "help": "momentum and decay on a network memory",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, equations 9 to 14",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "log_momentum": {"map": "logsigmoid", "bias": 1.5},
        "theta": {"map": "sigmoid", "bias": -2.0},
    },
    "bias": "l2",
    "retention": "l2",
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

titans_mlp = network_rule(about)
