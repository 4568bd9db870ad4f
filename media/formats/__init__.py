"""File formats, read byte by byte: their parts, and images stripped to the picture."""
