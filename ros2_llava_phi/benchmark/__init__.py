"""Academic benchmarks: what they ask, and their official scores."""
