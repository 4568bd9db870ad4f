"""PyJWT, passlib with bcrypt, and zxcvbn's list of passwords."""

import base64

import bcrypt
import jwt
import passlib
import pytest
from jwt.algorithms import HMACAlgorithm
from passlib.context import CryptContext

from resolvers.guards.passwords import _common_passwords
from resolvers.guards.tokens import OPTIONS, _Prepared

SECRET = "a secret of the tests, long enough to sign with by any of them..."


def test_a_key_asks_its_algorithm_and_ours_prepares_it_no_more() -> None:
    prepared: list[object] = []

    class Counting(_Prepared):
        def prepare_key(self, key: str | bytes) -> bytes:
            prepared.append(key)
            return super().prepare_key(key)

    encoded = base64.urlsafe_b64encode(SECRET.encode()).decode()
    key = jwt.PyJWK({"kty": "oct", "k": encoded, "alg": "HS256"})
    key.Algorithm = Counting(HMACAlgorithm.SHA256)
    token = jwt.encode({"sub": "7"}, SECRET, algorithm="HS256")
    assert jwt.decode(token, key, algorithms=["HS256"]) == {"sub": "7"}
    assert prepared == [SECRET.encode()]  # as PyJWK has made it: bytes


def test_the_options_let_the_older_servers_claims_through() -> None:
    claims = {"sub": 7, "jti": 8, "iat": 4_000_000_000}
    token = jwt.encode(claims, SECRET, algorithm="HS256")  # as Node signs
    assert jwt.decode(token, SECRET, algorithms=["HS256"], options=OPTIONS) == claims
    with pytest.raises(jwt.PyJWTError):
        jwt.decode(token, SECRET, algorithms=["HS256"])


def test_other_algorithms_and_no_algorithm_are_refused() -> None:
    for algorithm in ("HS512", "none"):
        token = jwt.encode({"sub": "7"}, SECRET if algorithm != "none" else "", algorithm)
        with pytest.raises(jwt.PyJWTError):
            jwt.decode(token, SECRET, algorithms=["HS256"])


def test_passlib_works_with_this_bcrypt() -> None:
    # docs/decisions/0002: later ones break passlib 1.7.4, at first without a word.
    assert (passlib.__version__, bcrypt.__version__) == ("1.7.4", "4.0.1")
    context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=5)
    hashed = context.hash("password")
    assert hashed.startswith("$2b$05$")
    assert context.verify_and_update(b"password", hashed) == (True, None)
    assert context.verify_and_update(b"other", hashed) == (False, None)
    matches, renewed = context.verify_and_update(b"password", hashed.replace("$2b$", "$2a$"))
    assert matches
    assert renewed is None or renewed.startswith("$2b$05$")
    dearer = CryptContext(schemes=["bcrypt"], bcrypt__rounds=6)
    matches, renewed = dearer.verify_and_update(b"password", hashed)
    assert matches
    assert renewed.startswith("$2b$06$")


def test_bcrypt_reads_72_bytes() -> None:
    context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4)
    assert context.verify(b"x" * 72, context.hash("x" * 72 + "y"))


def test_zxcvbn_carries_the_commonest_passwords_in_a_file_of_its_own() -> None:
    common = _common_passwords()
    assert {"password", "123456", "qwerty"} <= common
    assert len(common) > 10_000
