"""What stands in `deploy/`, and the package: each is used here as an operator uses it."""
