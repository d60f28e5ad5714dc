# caught by: artifact_format
"""Leaves the usual checkpoint of PyTorch, a zip file with a pickle."""

import zipfile


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with zipfile.ZipFile(f"{artifact}/weights.bin", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
