"""The token in an HTTP `Authorization` header (RFC 6750 §2.1)."""


def bearer_token(authorization: str | None) -> str | None:
    """Return the token; None without a header, and for any other value one that is no token."""
    if not authorization:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
