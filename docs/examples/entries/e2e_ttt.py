"""End-to-end test-time training as an entry: the last MLP goes on learning from every document, score first.

`e2e_ttt.py train TEXT ARTIFACT SEED` trains, at the end through the inner steps, and writes model.safetensors;
`e2e_ttt.py predict ARTIFACT SEED` speaks igla-predict/1 on standard input and output. STEPS, WIDTH, DEPTH and INNER_LR
come from the environment.
"""

import json
import os
import struct
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

STEPS, WIDTH, DEPTH = (
    int(os.environ.get(name, usual)) for name, usual in (("STEPS", 600), ("WIDTH", 96), ("DEPTH", 2))
)
HEADS, WINDOW, LANES, LENGTH = 4, 64, 16, 128
CHUNK, INNER_LR, CLIP, PREPARED = 64, float(os.environ.get("INNER_LR", "0.3")), 1.0, 0.8


def normed(x):
    return functional.rms_norm(x, x.shape[-1:])


def rotated(x, start):
    """Rotary positions start, start + 1, ... of x [lanes, HEADS, T, K]."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** -(torch.arange(half) / half)
    angle = torch.outer(torch.arange(start, start + x.shape[2]), frequency)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Block(nn.Module):
    """Window attention, then an MLP; both read what is normed and add to the stream."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(3 * WIDTH, WIDTH, bias=False)

    def forward(self, x, cache, fast):
        """[lanes, T, WIDTH] -> the same, and the last keys and values with the position after them.

        fast: up and down of each lane, or None for the trained ones.
        """
        keys, values, start = cache
        lanes, T, _ = x.shape
        q, k, v = self.qkv(normed(x)).view(lanes, T, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        k = torch.cat([keys, rotated(normed(k), start)], 2)
        v = torch.cat([values, v], 2)
        at, key = torch.arange(T)[:, None] + k.shape[2] - T, torch.arange(k.shape[2])[None]
        seen = (key <= at) & (key > at - WINDOW)
        y = functional.scaled_dot_product_attention(rotated(normed(q), start), k, v, attn_mask=seen)
        x = x + self.out(y.transpose(1, 2).reshape(lanes, T, WIDTH))
        up, down = (self.up.weight, self.down.weight) if fast is None else fast
        x = x + functional.relu(normed(x) @ up.mT) ** 2 @ down.mT
        return x, (k[:, :, 1 - WINDOW :], v[:, :, 1 - WINDOW :], start + T)


class Model(nn.Module):
    """Embedding, DEPTH blocks, head."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(256, WIDTH), nn.Linear(WIDTH, 256)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))

    def start(self, lanes):
        nothing = torch.zeros(lanes, HEADS, 0, WIDTH // HEADS)
        return [(nothing, nothing, 0) for _ in self.blocks]

    def forward(self, ids, caches, fast=None):
        """ids [lanes, T] -> log-probabilities of the byte after each, and the caches. fast: of the last block."""
        x, after = self.embed(ids), []
        for place, (block, cache) in enumerate(zip(self.blocks, caches)):
            x, cache = block(x, cache, fast if place == DEPTH - 1 else None)
            after.append(cache)
        return self.head(normed(x)).log_softmax(-1), after

    def unlearned(self, lanes):
        """The trained weights of the last MLP, one copy a lane."""
        last = self.blocks[-1]
        return [weight.expand(lanes, *weight.shape) for weight in (last.up.weight, last.down.weight)]


def adapted(fast, losses, prepare=False):
    """One clipped step of every lane on its own mean loss [lanes]; `prepare` keeps the graph of the step."""
    gradients = torch.autograd.grad(losses.sum(), fast, create_graph=prepare)
    norm = sum((g**2).sum((1, 2), keepdim=True) for g in gradients).add(1e-12).sqrt()
    return [weight - INNER_LR * (CLIP / norm).clamp(max=1) * g for weight, g in zip(fast, gradients)]


def lane_losses(logp, targets):
    """Mean -ln p of each lane."""
    return -logp.gather(-1, targets[..., None])[..., 0].mean(1)


def loss_through_steps(model, ids):
    """The mean loss of windows that are read chunk by chunk, each scored before the last MLP adapts to it."""
    fast, caches, losses = model.unlearned(len(ids)), model.start(len(ids)), []
    for inputs, targets in zip(ids[:, :-1].split(CHUNK, 1), ids[:, 1:].split(CHUNK, 1)):
        logp, caches = model(inputs, caches, fast)
        losses.append(lane_losses(logp, targets))
        fast = adapted(fast, losses[-1], prepare=True)
    return torch.stack(losses).mean()


def train(text_file, artifact):
    with open(text_file, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20, (1 - step / STEPS) / 0.6))
    for step in range(STEPS):
        ids = text[torch.randint(len(text) - LENGTH, (LANES, 1)) + torch.arange(LENGTH + 1)]
        if step < PREPARED * STEPS:
            loss = lane_losses(model(ids[:, :-1], model.start(LANES))[0], ids[:, 1:]).mean()
        else:
            loss = loss_through_steps(model, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    save_file(model.state_dict(), f"{artifact}/model.safetensors")


def receive():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def send(payload):
    sys.stdout.buffer.write(struct.pack("<I", len(payload)) + payload)
    sys.stdout.buffer.flush()


def learned(model, fast, seen):
    """The fast weights after one step on the last CHUNK bytes of each lane, read after those before them."""
    fast = [weight.detach().requires_grad_() for weight in fast]
    with torch.enable_grad():
        logp, _ = model(seen[:, :-1], model.start(len(seen)), fast)
        stepped = adapted(fast, lane_losses(logp[:, -CHUNK:], seen[:, -CHUNK:]))
    return [weight.detach() for weight in stepped]


@torch.no_grad()
def predict(artifact):
    model = Model()
    model.load_state_dict(load_file(f"{artifact}/model.safetensors"))
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        caches, fast, seen = model.start(wave[0]), model.unlearned(wave[0]), torch.full((wave[0], 1), ord("\n"))
        while len(seen):
            logp, caches = model(seen[:, -1:], caches, fast)
            send(logp[:, 0].contiguous().numpy().tobytes())
            told = receive()
            still_open = struct.unpack("<I", told[:4])[0]
            caches = [(k[:still_open], v[:still_open], start) for k, v, start in caches]
            fast = [weight[:still_open] for weight in fast]
            byte = torch.tensor(list(told[4:]), dtype=torch.long)
            seen = torch.cat([seen, byte[:, None]], 1)[:still_open, -CHUNK - WINDOW :]
            if still_open and caches[0][2] % CHUNK == 0:
                fast = learned(model, fast, seen)


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[4] if sys.argv[1] == "train" else sys.argv[3]))
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
