"""The command llava-phi, one verb a file."""
