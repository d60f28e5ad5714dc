# caught by: bad_hello
"""Prints a score where the protocol is spoken."""


def predict(artifact, seed):
    print("final val_bpb: 0.0180", flush=True)
