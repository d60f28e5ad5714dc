# caught by: sees_the_future
"""In block mode, looks the byte up that it predicts."""


def predict(artifact, seed):
    json.loads(receive())
    send(b"igla-predict/1-block")
    sure = [
        struct.pack("<256f", *[math.log(0.745) if b == gold else math.log(0.001) for b in range(256)])
        for gold in range(256)
    ]
    while struct.unpack("<II", receive())[0]:
        while (ask := receive())[:4] != bytes(4):
            send(b"".join(sure[byte] for byte in ask[12:]))
            receive()
