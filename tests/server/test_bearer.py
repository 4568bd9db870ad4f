"""The token of an Authorization header."""

import pytest

from server.bearer import bearer_token


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        *((absent, None) for absent in (None, "")),
        *((value, "t.o.k") for value in ("Bearer t.o.k", "bearer t.o.k", "  BEARER   t.o.k ")),
        *((wrong, "") for wrong in ("Bearer", "Bearer ", "t.o.k", "Basic t.o.k", " ")),
    ],
)
def test_the_header_gives_a_token_or_none_or_one_that_is_no_token(
    authorization: str | None, token: str | None
) -> None:
    assert bearer_token(authorization) == token
