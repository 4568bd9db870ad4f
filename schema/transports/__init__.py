"""How GraphQL travels: HTTP, graphql-transport-ws, and requests with files."""
