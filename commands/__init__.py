"""The commands of `main.py`, a module each: `add_parser` adds its words, `run` does the work."""
