"""Changes nothing: it stores counts."""

KIND = "plain"
