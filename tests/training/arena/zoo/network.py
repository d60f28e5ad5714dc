# caught by: entry_failed
# says: Operation not permitted
"""Fetches its answers from elsewhere."""

import socket


def train(text, artifact, seed, honest=train):
    socket.create_connection(("127.0.0.1", 80), timeout=1)
    honest(text, artifact, seed)
