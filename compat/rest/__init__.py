"""The REST routes of the older wire."""
