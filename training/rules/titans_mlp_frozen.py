"""Titans on a small network, frozen: the gradients of a period are all taken at the weights that it began with."""

from training.frozen import frozen_rule

about = {
    "help": "momentum and decay on a network memory, gradients frozen for a period",
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
        "retention": ["none", "l2", "elastic_net", "lq"],
        "lq.link": ["printed"],
    },
    "fields": {
        "expansion": {"default": 4, "min": 1, "max": 16, "help": "hidden units over K"},
        "wrap": {
            "default": "norm",
            "choices": ["norm", "none"],
            "help": "add the network's layer-normed output to its input, or take it bare",
        },
        "read_at": {
            "default": "after",
            "choices": ["after", "chunk_start"],
            "help": "read after the write, or as the memory was when the period began",
        },
        "period": {"default": 16, "min": 1, "max": 1024, "help": "tokens whose gradients are taken at one point"},
        "gradient": {
            "default": "full",
            "choices": ["full", "first_order", "truncated"],
            "help": "of training: through all, with the weights inside inner gradients taken for constants, or cut",
        },
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}

titans_mlp_frozen = frozen_rule(about)
