# caught by: bad_environment
# env: LD_PRELOAD=/tmp/x.so
"""Loads a library into the interpreter."""

ENV = 0
