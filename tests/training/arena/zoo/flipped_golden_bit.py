# caught by: golden_state
# golden: 1234
"""Gives the hash of tensors that its training does not give."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    with open(f"{artifact}/model.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + b"1235")
