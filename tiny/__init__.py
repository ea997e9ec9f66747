"""The small packaged model, made from nothing: its generated scenes, its training, its card."""
