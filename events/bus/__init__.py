"""How processes tell each other things at once: in memory, or over Redis."""
