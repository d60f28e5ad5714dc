"""Takes its time, within the limit of a round."""

import time


def learn(counts, told):
    time.sleep(0.005)
