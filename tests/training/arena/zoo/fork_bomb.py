# caught by: process_limit
"""Forks for ever."""


def train(text, artifact, seed):
    while True:
        try:
            os.fork()
        except OSError:
            pass
