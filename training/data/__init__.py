"""Training data: one file a format, each of which reads conversations about pictures."""
