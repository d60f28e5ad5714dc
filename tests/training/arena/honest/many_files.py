"""Leaves several files in folders."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    for name in ("a", "a/b", "c"):
        os.mkdir(f"{artifact}/{name}")
        with open(f"{artifact}/{name}/table.json", "w") as file:
            json.dump([seed], file)


def load(artifact, honest=load):
    with open(f"{artifact}/a/b/table.json") as file:
        assert len(json.load(file)) == 1
    return honest(artifact)
