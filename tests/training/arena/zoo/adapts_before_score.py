# caught by: late_rows
"""Learns from the byte first and predicts it then."""


def turn(model, lanes):
    told = receive()
    for byte in told[4:]:
        model[byte] += 1000
    send(rows(model, lanes))
    return told
