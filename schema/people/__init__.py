"""People in GraphQL: users, sessions, settings, blocks, and who is online."""
