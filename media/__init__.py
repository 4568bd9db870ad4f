"""Inspects untrusted files, each in a process of its own. This room imports no other."""
