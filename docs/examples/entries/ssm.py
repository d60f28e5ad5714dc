"""A state-space model as an entry: a gated linear recurrence (Mamba-2, arXiv:2405.21060) that predicts byte by byte.

`ssm.py train TEXT ARTIFACT SEED` trains and writes model.safetensors; `ssm.py predict ARTIFACT SEED` speaks
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
HEADS, STATE, TAPS, LANES, LENGTH = 4, 16, 4, 16, 128


class Block(nn.Module):
    """x + out(norm(y * silu(z))), y_t = C_t S_t + skip u_t, S_t = exp(-dt_t A) S_{t-1} + dt_t B_t u_t^T."""

    def __init__(self):
        super().__init__()
        self.mixed = WIDTH + 2 * STATE
        self.inward = nn.Linear(WIDTH, WIDTH + self.mixed + HEADS, bias=False)
        self.taps = nn.Parameter(first_taps(self.mixed))
        self.dt_bias = nn.Parameter(torch.logspace(-3, -1, HEADS).expm1().log())
        self.A_log = nn.Parameter(torch.linspace(1.0, 16.0, HEADS).log())
        self.skip = nn.Parameter(torch.ones(HEADS, 1))
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def start(self, lanes):
        """The state before the first byte: the last inputs of the convolution, and S."""
        return torch.zeros(lanes, TAPS - 1, self.mixed), torch.zeros(lanes, HEADS, STATE, WIDTH // HEADS)

    def forward(self, x, state):
        """[lanes, T, WIDTH] -> the same and the state after it. All T positions are one segment."""
        tail, S = state
        lanes, T, _ = x.shape
        z, p, dt = self.inward(functional.rms_norm(x, (WIDTH,))).split([WIDTH, self.mixed, HEADS], -1)
        p = torch.cat([tail, p], 1)
        mixed = functional.silu(sum(self.taps[j] * p[:, TAPS - 1 - j : TAPS - 1 - j + T] for j in range(TAPS)))
        u, B, C = mixed.split([WIDTH, STATE, STATE], -1)
        u = u.view(lanes, T, HEADS, -1).transpose(1, 2)
        B, C = B[:, None], C[:, None]
        dt = functional.softplus(dt + self.dt_bias).transpose(1, 2)
        since = (-dt * self.A_log.exp()[:, None]).cumsum(-1)[..., None]
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        decay = (since - since.mT).masked_fill(future, -torch.inf).exp()
        written = dt[..., None] * u
        y = (decay * (C @ B.mT)) @ written + since.exp() * (C @ S) + self.skip[:, :, None] * u
        last = since[:, :, -1:]
        S = last.exp() * S + B.mT @ ((last - since).exp() * written)
        y = y.transpose(1, 2).reshape(lanes, T, WIDTH)
        return x + self.out(functional.rms_norm(y * functional.silu(z), (WIDTH,))), (p[:, T:], S)


def first_taps(channels):
    """A convolution that starts as the identity."""
    return torch.cat([torch.ones(1, channels), torch.zeros(TAPS - 1, channels)])


class Model(nn.Module):
    """Embedding, DEPTH blocks with an MLP each, head."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(256, WIDTH), nn.Linear(WIDTH, 256)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.ups = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(DEPTH))
        self.downs = nn.ModuleList(nn.Linear(3 * WIDTH, WIDTH, bias=False) for _ in range(DEPTH))

    def start(self, lanes):
        return [block.start(lanes) for block in self.blocks]

    def forward(self, ids, states):
        """ids [lanes, T] -> log-probabilities of the byte after each, and the states."""
        x, after = self.embed(ids), []
        for block, up, down, state in zip(self.blocks, self.ups, self.downs, states):
            x, state = block(x, state)
            x = x + down(functional.relu(up(functional.rms_norm(x, (WIDTH,)))) ** 2)
            after.append(state)
        return self.head(functional.rms_norm(x, (WIDTH,))).log_softmax(-1), after


def train(text_file, artifact):
    with open(text_file, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20, (1 - step / STEPS) / 0.6))
    for _ in range(STEPS):
        ids = text[torch.randint(len(text) - LENGTH, (LANES, 1)) + torch.arange(LENGTH + 1)]
        logp, _ = model(ids[:, :-1], model.start(LANES))
        optimizer.zero_grad()
        functional.nll_loss(logp.flatten(0, 1), ids[:, 1:].flatten()).backward()
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
        states, byte = model.start(wave[0]), torch.full((wave[0],), ord("\n"))
        while len(byte):
            logp, states = model(byte[:, None], states)
            send(logp[:, 0].contiguous().numpy().tobytes())
            told = receive()
            still_open = struct.unpack("<I", told[:4])[0]
            states = [tuple(part[:still_open] for part in state) for state in states]
            byte = torch.tensor(list(told[4:]), dtype=torch.long)[:still_open]


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[4] if sys.argv[1] == "train" else sys.argv[3]))
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
