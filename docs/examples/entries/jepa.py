"""Joint-embedding prediction as an entry: in training the trunk also foretells its own states, 1 to 3 bytes ahead.

`jepa.py train TEXT ARTIFACT SEED` trains and writes model.safetensors; `jepa.py predict ARTIFACT SEED` speaks
igla-predict/1 on standard input and output. STEPS, WIDTH and DEPTH come from the environment.
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
JEPA_WEIGHT, HORIZONS = 0.001, ((1, 1.0), (2, 0.5), (3, 0.25))


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
        x = x + self.down(functional.relu(self.up(normed(x))) ** 2)
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

    def forward(self, ids, caches):
        """ids [lanes, T] -> log-probabilities of the byte after each, the caches, the states in the middle."""
        x, after, layers = self.embed(ids), [], []
        for block, cache in zip(self.blocks, caches):
            x, cache = block(x, cache)
            after.append(cache)
            layers.append(x)
        return self.head(normed(x)).log_softmax(-1), after, layers[(DEPTH - 1) // 2]


class Predictor(nn.Module):
    """Only for training: no weight of it is in the artifact."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, len(HORIZONS) * WIDTH)
        nn.init.zeros_(self.down.weight)

    def forward(self, h):
        """The weighted loss; the targets pass no gradient on."""
        h = functional.layer_norm(h, (WIDTH,))
        foretold = self.down(functional.gelu(self.up(h))).chunk(len(HORIZONS), -1)
        pairs = zip(foretold, HORIZONS)
        return sum(share * functional.smooth_l1_loss(y[:, :-k], h.detach()[:, k:]) for y, (k, share) in pairs)


def jepa_weight(done):
    """Sets in after 30 % of the run, rises over 10 %, and rests for the last 20 %."""
    return JEPA_WEIGHT * min(1.0, (done - 0.3) / 0.1) if 0.3 <= done <= 0.8 else 0.0


def train(text_file, artifact):
    with open(text_file, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
    model = Model()
    predictor = Predictor()
    weights = [*model.parameters(), *predictor.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20, (1 - step / STEPS) / 0.6))
    for step in range(STEPS):
        ids = text[torch.randint(len(text) - LENGTH, (LANES, 1)) + torch.arange(LENGTH + 1)]
        logp, _, middle = model(ids[:, :-1], model.start(LANES))
        loss = functional.nll_loss(logp.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        if weight := jepa_weight((step + 0.5) / STEPS):
            loss = loss + weight * predictor(middle)
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


@torch.inference_mode()
def predict(artifact):
    model = Model()
    model.load_state_dict(load_file(f"{artifact}/model.safetensors"))
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        caches, byte = model.start(wave[0]), torch.full((wave[0],), ord("\n"))
        while len(byte):
            logp, caches, _ = model(byte[:, None], caches)
            send(logp[:, 0].contiguous().numpy().tobytes())
            told = receive()
            still_open = struct.unpack("<I", told[:4])[0]
            caches = [(k[:still_open], v[:still_open], start) for k, v, start in caches]
            byte = torch.tensor(list(told[4:]), dtype=torch.long)[:still_open]


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[4] if sys.argv[1] == "train" else sys.argv[3]))
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
