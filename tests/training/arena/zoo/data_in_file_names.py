# caught by: artifact_files
"""Keeps its weights in the names of empty files."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    for number in range(2000):
        open(f"{artifact}/{os.urandom(40).hex()}.bin", "w").close()
