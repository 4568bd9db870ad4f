"""Queries on what belongs to a message that is stored: earlier texts, reactions."""
