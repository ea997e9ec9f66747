"""A list of questions put to recordings: asked, scored, compared and reported."""
