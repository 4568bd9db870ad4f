"""A load of all kinds of changes, and what must be true of it afterwards."""
