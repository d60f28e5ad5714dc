"""Prints a lot on stderr in both phases."""


def learn(counts, told):
    print("learning", len(told), file=sys.stderr)


def train(text, artifact, seed, honest=train):
    print("step", seed)
    honest(text, artifact, seed)
