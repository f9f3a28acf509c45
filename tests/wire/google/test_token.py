"""Access tokens of Google: what is asked is what google-auth would ask, and an answer becomes a token or a fault that says what to do."""

import json
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.accounts import EMAIL, private_key, private_pem, service_account, user_account

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.google_token import ASSERTION_LIFE_S, EXPIRES_IN_S, SAID_CHARS_MAX, SCOPE, Token, TokenServer, read_account, read_token

google_jwt: Any = import_module("google.auth.jwt")
google_crypt: Any = import_module("google.auth.crypt")

NOW_S = 1_700_000_000.75
ACCOUNT = read_account(service_account())


def test_the_assertion_is_one_that_googles_own_library_takes() -> None:
    from cryptography.hazmat.primitives import serialization

    form = parse_qs(ACCOUNT.token_request(NOW_S).decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    public = private_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header, claims, signed, signature = google_jwt._unverified_decode(assertion)
    assert google_crypt.verify_signature(signed, signature, [public])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert claims == {
        "iss": EMAIL,
        "scope": SCOPE,
        "aud": "https://oauth2.googleapis.com/token",
        "iat": int(NOW_S),
        "exp": int(NOW_S) + ASSERTION_LIFE_S,
    }


def test_the_assertion_is_the_one_that_googles_own_library_makes() -> None:
    signer = google_crypt.RSASigner.from_string(private_pem(), "key-1")
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token", "iat": 1, "exp": 3601}
    theirs = google_jwt._unverified_decode(google_jwt.encode(signer, claims))
    ours = google_jwt._unverified_decode(parse_qs(ACCOUNT.token_request(1).decode())["assertion"][0])
    assert ours[:2] == theirs[:2]


def test_a_user_of_gcloud_trades_a_refresh_token() -> None:
    account = read_account(user_account())
    assert parse_qs(account.token_request(NOW_S).decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["c"],
        "client_secret": ["s/+"],
        "refresh_token": ["1//r"],
    }
    assert (account.project, ACCOUNT.project) == ("q", "my-project")


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("https://oauth2.googleapis.com/token", TokenServer("oauth2.googleapis.com", 443, True, "/token")),
        ("https://sts.corp:8443", TokenServer("sts.corp", 8443, True, "/")),
        ("http://127.0.0.1:99/t?a=b", TokenServer("127.0.0.1", 99, False, "/t?a=b")),
        ("http://[::1]:99/t", TokenServer("::1", 99, False, "/t")),
    ],
)
def test_the_token_server_is_where_the_account_says(uri: str, server: TokenServer) -> None:
    assert read_account(service_account(token_uri=uri)).server == server


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not the JSON of a service account"),
        ("/path/to/key.json", "not the JSON of a service account"),
        ("[]", "not the JSON of a service account"),
        ('{"type": 3}', "not the JSON of a service account"),
        ("{}", "type '', which is not supported"),
        (json.dumps({"type": "external_account"}), "type 'external_account', which is not supported"),
        (service_account(private_key=None, client_email=None), "lacks client_email and private_key"),
        (user_account(refresh_token=""), "lacks refresh_token"),
        (service_account(private_key="nonsense"), "private_key cannot be used: it is not a private key"),
        (service_account(token_uri="http://token.example/"), "not an https address"),
        (service_account(token_uri="ftp://x/"), "not an address"),
        (service_account(token_uri="https://x/a b"), "not an address"),
        (service_account(token_uri="https://user@x/"), "not an address"),
        (service_account(token_uri="https://x:99999/"), "port that does not exist"),
    ],
)
def test_what_is_no_account_is_refused_in_words_that_show_nothing_secret(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read_account(text)
    assert "PRIVATE KEY" not in str(caught.value)
    assert "1//r" not in str(caught.value)


def test_an_account_shows_nothing_secret() -> None:
    assert "PRIVATE" not in repr(ACCOUNT)
    assert "secret-token" not in repr(Token("secret-token", 1))


@pytest.mark.parametrize(
    ("members", "life_s"),
    [({"expires_in": 3599}, 3599), ({"expires_in": "3599"}, 3599), ({}, EXPIRES_IN_S), ({"expires_in": -1}, EXPIRES_IN_S)],
)
def test_an_answer_becomes_a_token(members: dict[str, object], life_s: float) -> None:
    answer = {"access_token": "ya29.x", "token_type": "Bearer", **members}
    assert read_token(200, json.dumps(answer).encode(), ACCOUNT) == Token("ya29.x", life_s)


def test_a_refusal_says_whose_it_is_why_and_what_to_do() -> None:
    body = b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'
    fault = read_token(400, body, ACCOUNT)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.upstream_auth
    for part in (EMAIL, "invalid_grant: Invalid JWT Signature.", "oauth2.googleapis.com", "HTTP 400", "Check that"):
        assert part in fault.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":{"code":401,"status":"UNAUTHENTICATED"}}', FaultKind.upstream_auth),
        (403, b"<html>", FaultKind.upstream_auth),
        (429, b"{}", FaultKind.upstream_unreachable),
        (503, b"", FaultKind.upstream_unreachable),
        (200, b"<html>a portal</html>", FaultKind.upstream_unreachable),
        (200, b'{"id_token":"x"}', FaultKind.upstream_unreachable),
        (200, b'{"access_token":"a\\r\\nevil: 1"}', FaultKind.upstream_unreachable),
        (302, b'{"access_token":"x"}', FaultKind.upstream_unreachable),
    ],
)
def test_what_is_no_token_is_a_fault(status: int, body: bytes, kind: FaultKind) -> None:
    fault = read_token(status, body, ACCOUNT)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.upstream_status) == (kind, status)


def test_a_long_refusal_is_cut() -> None:
    fault = read_token(400, json.dumps({"error": "e", "error_description": "x" * 10_000}).encode(), ACCOUNT)
    assert isinstance(fault, Fault)
    assert "x" * (SAID_CHARS_MAX - 3) in fault.message
    assert "x" * (SAID_CHARS_MAX - 2) not in fault.message


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_crashes_and_no_fault_holds_a_control_character(status: int, body: bytes) -> None:
    found = read_token(status, body, ACCOUNT)
    assert isinstance(found, Token) or found.message.isprintable()
