"""Bots: what the world is told, one file a bot. They reach the system only through its tools."""
