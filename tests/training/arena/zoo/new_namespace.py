# caught by: forbidden_call
"""Makes itself root of a new user namespace."""

import ctypes


def train(text, artifact, seed):
    ctypes.CDLL(None).unshare(0x10000000)
