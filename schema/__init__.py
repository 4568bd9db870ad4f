"""GraphQL: types, queries, mutations, subscriptions and the endpoint that serves them.

A field's function stays one to five lines: it calls an operation of `resolvers` and shows what
came of it.
"""
