"""What each request goes through before it reaches a route."""
