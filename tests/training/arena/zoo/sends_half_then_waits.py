# caught by: late_rows
"""Sends half of a round, and wants to see the bytes before the other half."""


def turn(model, lanes):
    both = rows(model, lanes)
    sys.stdout.buffer.write(struct.pack("<I", len(both)) + both[: len(both) // 2])
    sys.stdout.buffer.flush()
    told = receive()
    sys.stdout.buffer.write(both[len(both) // 2 :])
    sys.stdout.buffer.flush()
    return told
