"""How bytes reach the faces: uvicorn, the request log, the clean stop. Knows nothing of chat.

What both wires have in common is here too: JSON, moments, who is at the remote end, Retry-After.
Added to the house by docs/decisions/0004. May import `settings`; never `resolvers`, `db`,
`events`, `schema`, `compat`.
"""
