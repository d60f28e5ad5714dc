# caught by: process_limit
"""Forks for ever when it should predict."""


def learn(counts, told):
    while True:
        try:
            os.fork()
        except OSError:
            pass
