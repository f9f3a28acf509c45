"""Sealing opens only what it sealed, and a gateway key reads back as what was minted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.kit.sealing import (
    KEYRING_BYTES,
    Keyring,
    SealBroken,
    key_digest,
    mint_token,
    open_sealed,
    public_id_of,
    seal,
    token_of,
)

KEK = bytes(range(32))
NONCE = bytes(12)


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_opens_again_for_the_same_purpose(plaintext: bytes, aad: bytes) -> None:
    assert open_sealed(KEK, seal(KEK, NONCE, plaintext, aad), aad) == plaintext


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_anywhere_breaks_the_seal(at: int, flip: int) -> None:
    sealed = bytearray(seal(KEK, NONCE, b"a credential", b"upstream/a"))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(SealBroken):
        open_sealed(KEK, bytes(sealed), b"upstream/a")


def test_a_credential_does_not_open_for_another_upstream_or_another_key() -> None:
    sealed = seal(KEK, NONCE, b"a credential", b"upstream/a")
    with pytest.raises(SealBroken):
        open_sealed(KEK, sealed, b"upstream/b")
    with pytest.raises(SealBroken):
        open_sealed(bytes(32), sealed, b"upstream/a")


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(60)])
def test_junk_is_not_a_seal(junk: bytes) -> None:
    with pytest.raises(SealBroken):
        open_sealed(KEK, junk, b"")


def test_a_keyring_never_prints_its_bytes() -> None:
    ring = Keyring.from_bytes(b"K" * 32 + b"P" * 32)
    assert (ring.kek, ring.pepper) == (b"K" * 32, b"P" * 32)
    assert "KK" not in repr(ring)
    assert "PP" not in f"{ring}"


def test_a_keyring_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly 64 bytes"):
        Keyring.from_bytes(bytes(KEYRING_BYTES - 1))


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_a_minted_key_shows_its_public_id_and_nothing_else_parses_from_it(public: bytes, secret: bytes) -> None:
    public_id, token = mint_token(public, secret)
    assert public_id_of(token) == public_id
    assert len(public_id) == 12
    assert token == token_of(public_id, secret)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_secrets_give_different_tokens(one: bytes, other: bytes) -> None:
    assert (token_of("A" * 12, one) == token_of("A" * 12, other)) == (one == other)


@pytest.mark.parametrize("text", ["", "sk-sp-", "sk-sp-short-" + "a" * 40, "sk-sp-" + "A" * 12 + "-tooshort", "sk-proj-" + "a" * 60,
                                  "sk-sp-" + "A" * 12 + "-" + "ä" * 40, "sk-sp-" + "A" * 12 + "-" + "a" * 300])  # fmt: skip
def test_other_text_is_not_a_gateway_key(text: str) -> None:
    assert public_id_of(text) is None


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        mint_token(bytes(8), bytes(32))


def test_a_digest_depends_on_the_pepper() -> None:
    assert key_digest(b"a" * 32, b"token") != key_digest(b"b" * 32, b"token")
    assert len(key_digest(b"a" * 32, b"token")) == 16
