# caught by: entry_failed
# says: No such file or directory
# plants: heldout
"""Trains on the held-out text, which it looks for on the disk."""


def train(text, artifact, seed, honest=train):
    with open(os.environ["PLANTED"], "rb") as file:
        honest(file.read(), artifact, seed)
