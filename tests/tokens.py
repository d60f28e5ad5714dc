"""Tokens for tests: made on the command line, as an operator does."""

from tests.forked import run


def token(data, name, *scopes):
    """The secret of a new token."""
    options = [word for scope in scopes for word in ("--scope", scope)]
    return run(["token", "create", name, *options, "--data", str(data)]).stdout.strip()
