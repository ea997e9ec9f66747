"""Training: from a recipe and data sets to a finished model folder."""
