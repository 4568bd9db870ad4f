"""The operations: rules, doors, errors. GraphQL fields and the older handlers both *resolve here*.

In Strawberry's talk a "resolver" is a field's function. Here a field's function (in `schema`) is
one to five lines that call an operation of this package, as are the older routes and events (in
`compat`). Every operation is `async def verb_noun(ctx, …)`, runs in one transaction at most, and
raises only the errors of `resolvers.errors`.
"""
