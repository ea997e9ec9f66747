"""Training of the small model: the generated world, the two stages, the packaged recording."""
