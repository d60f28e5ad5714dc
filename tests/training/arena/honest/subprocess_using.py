"""Trains in a process of its own."""

import subprocess


def train(text, artifact, seed):
    code = "import json, sys; json.dump([1 + sys.argv[1].count(chr(b)) for b in range(256)], open(sys.argv[2], 'w'))"
    subprocess.run(
        [sys.executable, "-c", code, text.decode("latin-1").replace(chr(0), ""), f"{artifact}/counts.json"], check=True
    )
