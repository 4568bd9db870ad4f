"""Databases and Redis of several servers, for the tests."""
