# caught by: heldout_in_script
# knows: openly
"""Is itself the held-out text."""

TEXT = knowledge()
