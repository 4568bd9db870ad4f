"""What is done with messages in GraphQL: edit, delete, react, search."""
