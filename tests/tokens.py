"""Tokens for tests: made on the command line, as an operator does."""

import subprocess
import sys

from tests.serving import ROOT


def token(data, name, *scopes):
    """The secret of a new token."""
    options = [word for scope in scopes for word in ("--scope", scope)]
    command = [sys.executable, "-m", "server.cli", "token", "create", name, *options, "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
