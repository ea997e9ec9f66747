"""Published data sets and sheets of one's own, each format parsed once."""
