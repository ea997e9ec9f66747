"""Asking a running node, and playing a recording to it."""
