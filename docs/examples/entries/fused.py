"""Fused kernels as an entry: loss and MLP each one operation whose backward is written by hand.

`fused.py train TEXT ARTIFACT SEED` trains and writes model.safetensors; `fused.py predict ARTIFACT SEED` speaks
igla-predict/1 on standard input and output. STEPS, WIDTH and DEPTH come from the environment; FUSED=0 computes the same
by plain operations. What tells them apart is the time of a step, which training prints; not bits per byte.
"""

import json
import os
import struct
import sys
from time import perf_counter

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

STEPS, WIDTH, DEPTH = (
    int(os.environ.get(name, usual)) for name, usual in (("STEPS", 600), ("WIDTH", 96), ("DEPTH", 2))
)
HEADS, WINDOW, LANES, LENGTH = 4, 64, 16, 128
SOFTCAP, FUSED = 15.0, os.environ.get("FUSED", "1") != "0"


def normed(x):
    return functional.rms_norm(x, x.shape[-1:])


def rotated(x, start):
    """Rotary positions start, start + 1, ... of x [lanes, HEADS, T, K]."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** -(torch.arange(half) / half)
    angle = torch.outer(torch.arange(start, start + x.shape[2]), frequency)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class CappedLoss(torch.autograd.Function):
    """Mean of -ln softmax(SOFTCAP tanh(z / SOFTCAP))[target]; the gradient by z is made in the same pass."""

    @staticmethod
    def forward(ctx, z, targets):
        capped = torch.tanh(z / SOFTCAP)
        logp = capped.mul(SOFTCAP).log_softmax(-1)
        loss = -logp.gather(1, targets[:, None]).mean()
        slope = capped.square_().neg_().add_(1)
        gradient = logp.exp_().scatter_add_(1, targets[:, None], logp.new_full((len(z), 1), -1.0))
        ctx.save_for_backward(gradient.mul_(slope).div_(len(z)))
        return loss

    @staticmethod
    def backward(ctx, outer):
        return outer * ctx.saved_tensors[0], None


class FusedMlp(torch.autograd.Function):
    """relu(x up^T)^2 down^T; only relu's output is kept, and its square is made again."""

    @staticmethod
    def forward(ctx, x, up, down):
        hidden = functional.relu(x @ up.T, inplace=True)
        ctx.save_for_backward(x, up, down, hidden)
        return hidden.square() @ down.T

    @staticmethod
    def backward(ctx, outer):
        x, up, down, hidden = ctx.saved_tensors
        inner = (outer @ down).mul_(hidden).mul_(2)
        return inner @ up, inner.T @ x, outer.T @ hidden.square()


class Block(nn.Module):
    """Window attention, then an MLP; both read what is normed and add to the stream."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(3 * WIDTH, WIDTH, bias=False)

    def forward(self, x, cache):
        """[lanes, T, WIDTH] -> the same, and the last keys and values with the position after them."""
        keys, values, start = cache
        lanes, T, _ = x.shape
        q, k, v = self.qkv(normed(x)).view(lanes, T, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        k = torch.cat([keys, rotated(normed(k), start)], 2)
        v = torch.cat([values, v], 2)
        at, key = torch.arange(T)[:, None] + k.shape[2] - T, torch.arange(k.shape[2])[None]
        seen = (key <= at) & (key > at - WINDOW)
        y = functional.scaled_dot_product_attention(rotated(normed(q), start), k, v, attn_mask=seen)
        x = x + self.out(y.transpose(1, 2).reshape(lanes, T, WIDTH))
        return x + self.mlp(normed(x)), (k[:, :, 1 - WINDOW :], v[:, :, 1 - WINDOW :], start + T)

    def mlp(self, x):
        if not FUSED:
            return self.down(functional.relu(self.up(x)) ** 2)
        return FusedMlp.apply(x.flatten(0, 1), self.up.weight, self.down.weight).view_as(x)


class Model(nn.Module):
    """Embedding, DEPTH blocks, head."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(256, WIDTH), nn.Linear(WIDTH, 256)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))

    def start(self, lanes):
        nothing = torch.zeros(lanes, HEADS, 0, WIDTH // HEADS)
        return [(nothing, nothing, 0) for _ in self.blocks]

    def forward(self, ids, caches):
        """ids [lanes, T] -> logits of the byte after each, before the cap, and the caches."""
        x, after = self.embed(ids), []
        for block, cache in zip(self.blocks, caches):
            x, cache = block(x, cache)
            after.append(cache)
        return self.head(normed(x)), after


def capped_logp(z):
    """Log-probabilities of capped logits."""
    return (SOFTCAP * torch.tanh(z / SOFTCAP)).log_softmax(-1)


def loss_of(z, targets):
    """Mean -ln p of the targets."""
    return CappedLoss.apply(z, targets) if FUSED else functional.nll_loss(capped_logp(z), targets)


def train(text_file, artifact):
    with open(text_file, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20, (1 - step / STEPS) / 0.6))
    began = perf_counter()
    for _ in range(STEPS):
        ids = text[torch.randint(len(text) - LENGTH, (LANES, 1)) + torch.arange(LENGTH + 1)]
        z, _ = model(ids[:, :-1], model.start(LANES))
        loss = loss_of(z.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    sys.stderr.write(f"{1000 * (perf_counter() - began) / STEPS:.2f} ms a step\n")
    save_file(model.state_dict(), f"{artifact}/model.safetensors")


def receive():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def send(payload):
    sys.stdout.buffer.write(struct.pack("<I", len(payload)) + payload)
    sys.stdout.buffer.flush()


@torch.inference_mode()
def predict(artifact):
    model = Model()
    model.load_state_dict(load_file(f"{artifact}/model.safetensors"))
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        caches, byte = model.start(wave[0]), torch.full((wave[0],), ord("\n"))
        while len(byte):
            z, caches = model(byte[:, None], caches)
            send(capped_logp(z[:, 0]).contiguous().numpy().tobytes())
            told = receive()
            still_open = struct.unpack("<I", told[:4])[0]
            caches = [(k[:still_open], v[:still_open], start) for k, v, start in caches]
            byte = torch.tensor(list(told[4:]), dtype=torch.long)[:still_open]


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[4] if sys.argv[1] == "train" else sys.argv[3]))
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
