# needs: torch
# limits: memory_bytes=2147483648
"""Predicts with a small network."""

import torch
from safetensors.torch import load_file, save_file


def train(text, artifact, seed):
    torch.manual_seed(seed)
    save_file({"w": torch.randn(256, 256)}, f"{artifact}/model.safetensors")


def load(artifact):
    torch.set_num_threads(1)
    return load_file(f"{artifact}/model.safetensors")["w"]


def rows(weights, lanes):
    return weights[torch.arange(lanes)].log_softmax(-1).numpy().tobytes()
