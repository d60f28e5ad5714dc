"""How fast this machine trains and scores, measured on the real engine. Run as a process: one JSON object on stdout."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from training.artifact_places import open_artifacts
from training.artifacts import ArtifactFolder
from training.corpus import Corpus
from training.engine import Residents, run_chunk
from training.recipe import Recipe, recipe_from


def measure(recipes: list[Recipe], corpus: Corpus, seconds: float) -> dict[str, float]:
    """Train bytes/s (of the mean recipe and of the slowest), score bytes/s of the mean; seconds a chunk costs beside.

    Each recipe trains about `seconds`, after a first chunk that is not counted.
    """
    train, score, beside = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactFolder(Path(folder))
        for recipe in recipes:
            residents = Residents()
            first = run_chunk(
                recipe=recipe, seed=0, total_steps=10**6, steps=3, corpus=corpus, store=store, residents=residents
            )
            steps = max(3, int(seconds * first.bytes_per_second / recipe.step_bytes))
            began = time.perf_counter()
            chunk = run_chunk(
                recipe=recipe,
                seed=0,
                total_steps=10**6,
                steps=steps,
                corpus=corpus,
                store=store,
                checkpoint=first.checkpoint,
                residents=residents,
            )
            whole = time.perf_counter() - began
            train.append(chunk.train_seconds / (steps * recipe.step_bytes))
            score.append(chunk.score_seconds / (chunk.score.byte_count if chunk.score else 1))
            beside.append(whole - chunk.train_seconds - chunk.score_seconds)
    rates = {"train": 1 / mean(train), "slowest": 1 / max(train), "score": 1 / mean(score)}
    return {**rates, "chunk_overhead": mean(beside)}


def main() -> None:
    """`python -m training.calibrate ARTIFACTS CORPUS SECONDS`, recipes as a JSON list on standard input."""
    place, digest, seconds = sys.argv[1:]
    recipes = [recipe_from(fields) for fields in json.load(sys.stdin)]
    print(json.dumps(measure(recipes, Corpus.load(digest, open_artifacts(place)), float(seconds))))  # noqa: T201


if __name__ == "__main__":
    main()
