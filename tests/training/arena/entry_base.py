"""What the scripts of zoo/ and honest/ begin with: an honest entry of which each changes a part."""

import json
import math
import os
import struct
import sys


def train(text, artifact, seed):
    counts = [1] * 256
    for byte in text:
        counts[byte] += 1
    with open(f"{artifact}/counts.json", "w") as file:
        json.dump(counts, file)


def load(artifact):
    with open(f"{artifact}/counts.json") as file:
        return json.load(file)


def distribution(counts, lane):
    total = sum(counts)
    return [math.log(count / total) for count in counts]


def rows(counts, lanes):
    return b"".join(struct.pack("<256f", *distribution(counts, lane)) for lane in range(lanes))


def learn(counts, told):
    pass


def receive():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def send(payload):
    sys.stdout.buffer.write(struct.pack("<I", len(payload)))
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


def turn(model, lanes):
    send(rows(model, lanes))
    return receive()


def predict(artifact, seed):
    model = load(artifact)
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        lanes = wave[0]
        while lanes:
            told = turn(model, lanes)
            (lanes,) = struct.unpack("<I", told[:4])
            learn(model, told[4:])


def main():
    if sys.argv[1] == "train":
        with open(sys.argv[2], "rb") as file:
            train(file.read(), sys.argv[3], int(sys.argv[4]))
    else:
        predict(sys.argv[2], int(sys.argv[3]))
