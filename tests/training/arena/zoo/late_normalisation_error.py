# caught by: not_normalised
"""Is honest for 20 rounds, then is not."""

rounds = 0


def distribution(counts, lane):
    total = sum(counts) / (1.0 if rounds < 20 else 1.5)
    return [math.log(count / total) for count in counts]


def learn(counts, told):
    global rounds
    rounds += 1
