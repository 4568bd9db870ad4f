"""The parameters of an address: counted before anything takes them apart."""

# Far more than any route takes.
MAX_PARAMETERS = 100
TOO_MANY_PARAMETERS = "The address has too many parameters"


def has_too_many_parameters(query_string: bytes) -> bool:
    """Whether the address has more than MAX_PARAMETERS parameters."""
    return query_string.count(b"&") > MAX_PARAMETERS
