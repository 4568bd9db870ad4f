"""What the hashes of passwords cost, counted."""

import bcrypt
import pytest


def costs_of_hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the cost (a power of two) of each hash that bcrypt computes."""
    costs: list[int] = []
    compute = bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        costs.append(int(salt.split(b"$")[2]))
        return compute(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    return costs
