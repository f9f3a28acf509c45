"""RS256: signatures that verify, and what is said of what is no key."""

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.gateway.accounts import private_key, private_pem

from setpoint.kit.rs256 import BITS_MIN, BadKeyError, Rs256Key


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, pkcs1: bool = False, password: bytes | None = None) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1 else serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, lock).decode()


@pytest.mark.parametrize("pkcs1", [False, True])
def test_a_signature_verifies_with_the_public_key(pkcs1: bool) -> None:
    signature = Rs256Key(pem_of(private_key(), pkcs1=pkcs1)).sign(b"said")
    private_key().public_key().verify(signature, b"said", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "not a private key in PEM form"),
        ("-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n", "not a private key in PEM form"),
        ("\ud800", "not a private key in PEM form"),
        (private_pem()[:-200], "not a private key in PEM form"),
        (pem_of(private_key(), password=b"secret"), "encrypted with a password"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (pem_of(rsa.generate_private_key(65_537, BITS_MIN // 2)), f"{BITS_MIN} are the least"),
    ],
)
def test_what_is_no_key_is_refused_in_words_that_show_nothing_of_it(pem: str, why: str) -> None:
    with pytest.raises(BadKeyError, match=why) as caught:
        Rs256Key(pem)
    assert "BEGIN" not in str(caught.value)


def test_a_key_shows_nothing_of_itself() -> None:
    assert "BEGIN" not in repr(Rs256Key(private_pem()))
