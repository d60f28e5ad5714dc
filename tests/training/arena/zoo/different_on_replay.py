# caught by: replay
"""Draws its predictions from fresh noise, and hopes for a lucky run."""


def distribution(counts, lane):
    noisy = [count * (1 + os.urandom(1)[0] / 256) for count in counts]
    total = sum(noisy)
    return [math.log(count / total) for count in noisy]
