# mode: block
"""In block mode, predicts from the bytes before."""


def predict(artifact, seed):
    counts = load(artifact)
    json.loads(receive())
    send(b"igla-predict/1-block")
    row = struct.pack("<256f", *distribution(counts, 0))
    while struct.unpack("<II", receive())[0]:
        while (ask := receive())[:4] != bytes(4):
            versions, lanes, width = struct.unpack("<III", ask[:12])
            send(row * (versions * lanes * width))
            receive()
