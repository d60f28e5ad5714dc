# caught by: bad_hello
"""Answers with another protocol."""


def send(payload, honest=send):
    honest(b"igla-predict/0" if payload == b"igla-predict/1" else payload)
