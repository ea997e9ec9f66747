"""The demonstration: a recording, a node, and a client that asks."""
