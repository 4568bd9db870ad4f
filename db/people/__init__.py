"""People: their accounts, avatars, sessions, contacts, blocks and familiar addresses."""
