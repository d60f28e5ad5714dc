# caught by: bad_environment
# env: PYTHONSTARTUP=/tmp/x.py
"""Runs code before the script that was hashed."""

ENV = 1
