"""What HTTP says of when to try again (RFC 9110 §10.2.3)."""


def retry_after(milliseconds: int | None) -> dict[str, str]:
    """Return the header, in whole seconds; none where time changes nothing."""
    return {} if milliseconds is None else {"Retry-After": str(-(-milliseconds // 1000))}
