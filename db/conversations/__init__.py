"""Queries on conversations, their members and marks."""
