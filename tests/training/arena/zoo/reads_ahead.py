# caught by: late_rows
"""Reads two answers before it sends its second rows."""


def turn(model, lanes):
    send(rows(model, lanes))
    told = receive()
    receive()
    return told
