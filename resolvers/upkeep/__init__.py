"""What a process does by itself: it looks at its database, and settles what a start decides."""
