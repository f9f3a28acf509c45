"""Signatures beside those of botocore."""

import datetime as dt
from unittest.mock import patch
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from tests.wire.bedrock.oracle import AWSRequest, Credentials, SigV4Auth

from setpoint.wire.aws_sigv4 import KEYS_MAX, SigningKeys, encode_segment, sign

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = 1_760_000_000
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def botocores(path: str, query: str, headers: dict[str, str], body: bytes, token: str | None, now_unix_s: int = NOW) -> dict[str, str]:
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com{path}" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, headers=headers, data=body)
    now = dt.datetime.fromtimestamp(now_unix_s, dt.UTC)
    with patch("botocore.auth.get_current_datetime", lambda: now):
        SigV4Auth(Credentials("AKID", SECRET, token), "bedrock", "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def ours(path: str, query: str, headers: dict[str, str], body: bytes, token: str | None, keys: SigningKeys | None = None) -> dict[str, str]:
    host = "bedrock-runtime.us-east-1.amazonaws.com"
    return dict(sign("POST", host, path, query, headers, body, "AKID", SECRET, token, "us-east-1", "bedrock", NOW, keys))


@given(st.text(min_size=1, max_size=60), st.binary(max_size=300), st.none() | st.text("abcXYZ/+=", min_size=1, max_size=40))
def test_random_models_and_bodies_are_signed_as_botocore_signs_them(model: str, body: bytes, token: str | None) -> None:
    path = f"/model/{encode_segment(model)}/converse"
    headers = {"content-type": "application/json"}
    expected = botocores(path, "", headers, body, token)
    for name, value in ours(path, "", headers, body, token).items():
        assert value == expected[name]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4), st.dictionaries(st.sampled_from(["accept", "x-a", "x-b"]), TEXT, max_size=3))
def test_queries_and_headers_are_signed_as_botocore_signs_them(pairs: list[tuple[str, str]], headers: dict[str, str]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert ours("/a", query, headers, b"", None)["authorization"] == botocores("/a", query, headers, b"", None)["authorization"]


def test_paths_with_dots_and_empty_segments_are_signed_as_botocore_signs_them() -> None:
    for path in ("/", "/a//b", "/a/./b/../c/", "/../x", "/a%2Fb", "/~a", "//"):
        assert ours(path, "", {}, b"", None)["authorization"] == botocores(path, "", {}, b"", None)["authorization"], path


@given(st.text(max_size=60))
def test_a_model_is_encoded_once_as_botocore_encodes_it(model: str) -> None:
    assert encode_segment(model) == quote(model, safe="-._~")


def test_an_arn_is_one_segment() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert encode_segment(arn) == "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc"


def test_keys_kept_sign_alike_and_are_never_more_than_the_bound() -> None:
    keys = SigningKeys()
    for _ in range(2):
        assert ours("/a", "", {}, b"x", None, keys) == ours("/a", "", {}, b"x", None)
    assert len(keys) == 1
    for day in range(KEYS_MAX):
        keys.key("other", f"{day:08}", "us-east-1", "bedrock")
        assert len(keys) <= KEYS_MAX
    assert ours("/a", "", {}, b"x", None, keys) == ours("/a", "", {}, b"x", None)


def test_headers_that_proxies_change_are_not_signed_and_the_hash_is_shown_on_request() -> None:
    given_headers = {"User-Agent": "a", "Expect": "b", "Transfer-Encoding": "chunked", "Accept": "x"}
    lines = dict(sign("POST", "h", "/", "", given_headers, b"", "AKID", SECRET, None, "r", "s", NOW, show_hash=True))
    assert "SignedHeaders=accept;host;x-amz-content-sha256;x-amz-date," in lines["authorization"]
    assert lines["x-amz-content-sha256"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
