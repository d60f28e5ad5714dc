# caught by: short_rows
# limits: round_seconds=0.5
"""Closes its pipes in the middle of the text, and stays."""

import time


def learn(counts, told):
    os.close(0)
    os.close(1)
    time.sleep(3600)
