"""People: their accounts, sessions and settings, blocks between them, and who is online."""
