"""Clients that cost little: of each protocol, and of plain HTTP."""
