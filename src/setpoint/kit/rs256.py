"""RS256 signatures (RFC 7518, section 3.3: RSASSA-PKCS1-v1_5 with SHA-256), as service accounts of Google sign with them.

A signature takes about a millisecond with a key of 2,048 bits; whoever signs often should keep what it was given for the signature.
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BITS_MIN = 2_048
"""RFC 7518 asks for at least that."""


class BadKeyError(ValueError):
    """The text is no private key to sign with. Says why, and nothing of the key."""


class Rs256Key:
    """A private key that signs. Shows nothing of itself."""

    __slots__ = ("_key",)

    def __init__(self, pem: str) -> None:
        """`pem`: an unencrypted RSA private key, PKCS #8 or PKCS #1. Raises BadKeyError."""
        try:
            key = serialization.load_pem_private_key(pem.encode("utf-8", "replace"), password=None)
        except TypeError:
            raise BadKeyError("it is encrypted with a password") from None
        except Exception:  # noqa: BLE001  the library's own kinds differ with what is wrong; whatever it is, this is no key
            raise BadKeyError("it is not a private key in PEM form") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise BadKeyError("it is not an RSA key")
        if key.key_size < BITS_MIN:
            raise BadKeyError(f"it has {key.key_size} bits; {BITS_MIN} are the least")
        self._key = key

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
