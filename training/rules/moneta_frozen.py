"""MONETA, frozen: the gradients of a period are all taken at the weights that it began with."""

from training.frozen import frozen_rule

about = {
    "help": "l_p error and q-norm retention on a network memory, gradients frozen for a period",
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

moneta_frozen = frozen_rule(about)
