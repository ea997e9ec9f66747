"""Look at a frame, ask questions about it, get answers."""
