"""Backups: the database and the files beside it, and a manifest that makes them whole."""
