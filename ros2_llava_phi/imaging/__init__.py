"""From cameras' messages and picture files to RGB."""
