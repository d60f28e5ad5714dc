# caught by: artifact_format
"""Leaves an array of Python objects."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    with open(f"{artifact}/weights.npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
