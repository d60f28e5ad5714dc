# caught by: artifact_links
"""Counts one file twice."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    os.link(f"{artifact}/counts.json", f"{artifact}/again.json")
