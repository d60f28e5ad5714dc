# caught by: forbidden_call
"""Attaches to the process that watches it."""

import ctypes


def train(text, artifact, seed):
    ctypes.CDLL(None).ptrace(16, 1, 0, 0)
