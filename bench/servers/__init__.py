"""The servers that are measured: their processes, packages and users."""
