# caught by: wrong_rows
"""Sends a score in place of rows."""


def rows(counts, lanes):
    return json.dumps({"bpb": 0.5, "bytes": 10**9}).encode()
