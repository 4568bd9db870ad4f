"""What `main.py check` looks at: one file for each part that a server needs."""
