"""Keeps a state for each lane."""

LAST = {}


def train(text, artifact, seed):
    pairs = [[1] * 256 for _ in range(256)]
    for before, byte in zip(text, text[1:]):
        pairs[before][byte] += 1
    with open(f"{artifact}/counts.json", "w") as file:
        json.dump(pairs, file)


def distribution(pairs, lane):
    counts = pairs[LAST.get(lane, 10)]
    return [math.log(count / sum(counts)) for count in counts]


def learn(pairs, told):
    LAST.update(enumerate(told))
