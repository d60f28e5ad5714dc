# caught by: wrong_hash
# sha256: other
"""Gives the hash of another script."""

HASH = 1
