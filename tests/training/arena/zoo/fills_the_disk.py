# caught by: entry_failed
# says: No space left on device|File too large
"""Writes until the disk is full."""


def train(text, artifact, seed):
    with open("/tmp/large", "wb", buffering=0) as file, open("/tmp/larger", "wb", buffering=0) as other:
        while True:
            file.write(bytes(1 << 20))
            other.write(bytes(1 << 20))
