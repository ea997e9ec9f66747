"""Files, read and written with care: whole or not at all, and what is wrong said in one line."""
