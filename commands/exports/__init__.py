"""Exports: one user's data for that user, or everything, as JSON and files."""
