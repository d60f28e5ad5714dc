"""An entry in PyTorch: a recurrent network over bytes, one lane a row of the batch."""

import json
import os
import struct
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn

WIDTH, STEPS = int(os.environ.get("WIDTH", "64")), int(os.environ.get("STEPS", "200"))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(256, WIDTH), nn.GRUCell(WIDTH, WIDTH), nn.Linear(WIDTH, 256)

    def forward(self, state, byte):
        state = self.cell(self.embed(byte), state)
        return state, self.head(state).log_softmax(-1)


def train(text_file, artifact, lanes=32, length=32):
    text = torch.frombuffer(bytearray(open(text_file, "rb").read()), dtype=torch.uint8).long()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        at = torch.randint(len(text) - length - 1, (lanes, 1)) + torch.arange(length + 1)
        state, loss = torch.zeros(lanes, WIDTH), torch.zeros(())
        for before, byte in zip(text[at].T, text[at].T[1:]):
            state, logp = model(state, before)
            loss = loss - logp.gather(1, byte[:, None]).mean() / length
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), f"{artifact}/model.safetensors")


def receive():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def send(payload):
    sys.stdout.buffer.write(struct.pack("<I", len(payload)))
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


@torch.inference_mode()
def predict(artifact):
    model = Model()
    model.load_state_dict(load_file(f"{artifact}/model.safetensors"))
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        state, byte = torch.zeros(wave[0], WIDTH), torch.full((wave[0],), ord("\n"))
        while len(byte):
            state, logp = model(state, byte)
            send(logp.numpy().reshape(-1).view("u1"))
            told = receive()
            still_open = struct.unpack("<I", told[:4])[0]
            state, byte = state[:still_open], torch.tensor(list(told[4:]), dtype=torch.long)[:still_open]


if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[4] if sys.argv[1] == "train" else sys.argv[3]))
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
