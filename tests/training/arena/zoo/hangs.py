# caught by: late_rows
"""Never answers in the third round."""

import time

rounds = 0


def learn(counts, told):
    global rounds
    rounds += 1
    if rounds == 3:
        time.sleep(3600)
