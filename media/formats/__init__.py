"""File formats, read by their bytes: what they hold, and the file without the rest of it."""
