"""Secrets at rest, as pure functions: sealing, keyed digests, and the text form of a gateway key.

Two secrets live outside the data directory and make up the `Keyring`: the key-encryption key seals credentials, the pepper
turns a gateway key into the digest that is stored in its place. A stolen data directory holds neither, so neither credentials
nor gateway keys can be read from it, nor guessed at (a digest without the pepper cannot be tried offline).

Randomness is handed in: a nonce must never repeat under one key, and whoever hands it in answers for that.
"""

import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEYRING_BYTES = 64
"""32 of key-encryption key, then 32 of pepper: the content of a key file."""
NONCE_BYTES = 12
DIGEST_BYTES = 16

TOKEN_PREFIX = "sk-sp-"  # noqa: S105 - a label that everyone may know, not a secret
PUBLIC_ID_CHARS = 12
SECRET_CHARS_MIN = 32
TOKEN_CHARS_MAX = 256

_FORMAT = b"\x01"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE62_SET = frozenset(_BASE62)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets that a process inherits. Printing it shows nothing of them."""

    kek: bytes = field(repr=False)
    pepper: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Keyring":
        """The two halves of a key file. Raises ValueError unless there are exactly 64 bytes."""
        if len(raw) != KEYRING_BYTES:
            raise ValueError(f"a key file holds exactly {KEYRING_BYTES} bytes, this one {len(raw)}")
        return cls(raw[:32], raw[32:])


class SealBroken(Exception):
    """The sealed bytes are of another key, another purpose (aad), another format, or were changed."""


def seal(kek: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM (NIST SP 800-38D). `nonce` is 12 bytes that this key has never seen. Returns format byte, nonce, ciphertext, tag."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce is {NONCE_BYTES} bytes, this one {len(nonce)}")
    return _FORMAT + nonce + AESGCM(kek).encrypt(nonce, plaintext, aad)


def open_sealed(kek: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What `seal` was given. Raises SealBroken, which never says anything of the content."""
    if sealed[:1] != _FORMAT:
        raise SealBroken("sealed with a format that this version does not know")
    try:
        return AESGCM(kek).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], aad)
    except (InvalidTag, ValueError):
        raise SealBroken("sealed with another key or for another purpose, or damaged") from None


def key_digest(pepper: bytes, token: bytes) -> bytes:
    """The 16 bytes that stand for a gateway key: HMAC-SHA256 (RFC 2104), truncated."""
    return hmac.digest(pepper, token, "sha256")[:DIGEST_BYTES]


def mint_token(public_random: bytes, secret_random: bytes) -> tuple[str, str]:
    """A new gateway key: (public id, whole token). Takes 16 and 32 random bytes; all 256 bits of the secret are in the token."""
    if len(public_random) < 16 or len(secret_random) < 32:
        raise ValueError("a gateway key needs 16 random bytes for its public id and 32 for its secret")
    public_id = _base62(int.from_bytes(public_random, "big"), PUBLIC_ID_CHARS)
    return public_id, token_of(public_id, secret_random)


def token_of(public_id: str, secret_random: bytes) -> str:
    """A token for an id that exists already, as rotation needs it."""
    return f"{TOKEN_PREFIX}{public_id}-{_base62(int.from_bytes(secret_random, 'big'), 43)}"


def public_id_of(token: str) -> str | None:
    """The part of a gateway key that may be shown, or None if this text is not one."""
    if not token.startswith(TOKEN_PREFIX) or len(token) > TOKEN_CHARS_MAX:
        return None
    public_id, dash, secret = token[len(TOKEN_PREFIX) :].partition("-")
    well_formed = dash and len(public_id) == PUBLIC_ID_CHARS and len(secret) >= SECRET_CHARS_MIN
    return public_id if well_formed and _BASE62_SET.issuperset(public_id) and _BASE62_SET.issuperset(secret) else None


def _base62(number: int, chars: int) -> str:
    """The `chars` lowest digits of `number`, base 62."""
    digits = []
    for _ in range(chars):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
