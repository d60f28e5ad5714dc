"""Server: puts the parts together; owns the network, settings and the clock."""
