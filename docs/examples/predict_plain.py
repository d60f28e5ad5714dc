"""An entry in the standard library alone: counts which byte follows which, and learns on from what it is told."""

import array
import json
import math
import struct
import sys


def train(text_file, artifact):
    counts = array.array("L", [0]) * 65536
    with open(text_file, "rb") as file:
        text = file.read()
    for before, byte in zip(text, text[1:]):
        counts[256 * before + byte] += 1
    with open(f"{artifact}/counts.json", "w") as file:
        json.dump(counts.tolist(), file)


def receive():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def send(payload):
    sys.stdout.buffer.write(struct.pack("<I", len(payload)))
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


def row(counts):
    total = math.log(sum(counts) + 256 * 0.01)
    return [math.log(count + 0.01) - total for count in counts]


def predict(artifact):
    with open(f"{artifact}/counts.json") as file:
        flat = json.load(file)
    follow = [flat[256 * byte : 256 * byte + 256] for byte in range(256)]
    json.loads(receive())
    send(b"igla-predict/1")
    while (wave := struct.unpack("<II", receive()))[0]:
        last = [ord("\n")] * wave[0]
        while last:
            rows = {before: struct.pack("<256f", *row(follow[before])) for before in set(last)}
            send(b"".join(rows[before] for before in last))
            told = receive()
            for before, byte in zip(last, told[4:]):
                follow[before][byte] += 1
            last = list(told[4:])[: struct.unpack("<I", told[:4])[0]]


if __name__ == "__main__":
    train(*sys.argv[2:4]) if sys.argv[1] == "train" else predict(sys.argv[2])
