"""How bytes reach the faces: uvicorn, the request log, the clean stop. Knows nothing of chat.

Added to the house by docs/decisions/0004. May import `settings`; never `resolvers`, `db`,
`events`, `schema`, `compat`.
"""
