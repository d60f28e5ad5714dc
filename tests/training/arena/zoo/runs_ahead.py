# caught by: early_rows
"""Sends the rows of two rounds at once."""


def turn(model, lanes):
    both = rows(model, lanes)
    frame = struct.pack("<I", len(both)) + both
    sys.stdout.buffer.write(frame + frame)
    sys.stdout.buffer.flush()
    return receive()
