"""One spelling for every path."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from setpoint.wire.http_path import PATH_BYTES_MAX, BadPath, Target, canonical, split_target


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        (b"/", b"/"),
        (b"/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/models/", b"/v1/models/"),
        (b"//v1///chat//completions", b"/v1/chat/completions"),
        (b"/v1/%63hat", b"/v1/chat"),
        (b"/%7euser", b"/~user"),
        (b"/a%3ab", b"/a%3Ab"),
        (b"/v1beta/models/gemini-2.5-pro:generateContent", b"/v1beta/models/gemini-2.5-pro:generateContent"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/v1/...", b"/v1/..."),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
    ],
)
def test_a_path_has_one_spelling(path: bytes, spelled: bytes) -> None:
    assert canonical(path) == spelled


@pytest.mark.parametrize(
    "path",
    [
        b"", b"v1", b"*", b"/a/../b", b"/a/./b", b"/..", b"/.", b"/a/%2e%2E/b", b"/%2e", b"/a%2fb", b"/a%5cb", b"/a\\b", b"/a%00b",
        b"/a%252e", b"/a b", b"/a\tb", b"/a\r\nb", b"/a#b", b"/a?b", b"/%", b"/%4", b"/%zz", b"/caf\xc3\xa9", b'/"', b"/<",
        b"/" + b"a" * PATH_BYTES_MAX,
    ],
)  # fmt: skip
def test_a_doubtful_path_is_refused(path: bytes) -> None:
    assert isinstance(canonical(path), BadPath)


@given(st.binary(max_size=40).map(lambda tail: b"/" + tail) | st.from_regex(rb"(/|\.|%2[eEfF5]|%[46]1|a|:){0,20}", fullmatch=True))
@example(b"/%2e/")
def test_what_comes_out_is_canonical_and_means_the_same(path: bytes) -> None:
    spelled = canonical(path)
    if isinstance(spelled, BadPath):
        return
    assert canonical(spelled) == spelled
    segments = [segment for segment in unquote_to_bytes(spelled).split(b"/") if segment]
    assert segments == [segment for segment in unquote_to_bytes(path).split(b"/") if segment]
    assert not {b".", b".."} & set(segments)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (b"/v1/models?a=b?c", Target(b"/v1/models", b"a=b?c", b"")),
        (b"http://example.com/v1//models?x", Target(b"/v1/models", b"x", b"example.com")),
        (b"HTTPS://example.com:8443", Target(b"/", b"", b"example.com:8443")),
        (b"http://example.com?x=1", Target(b"/", b"x=1", b"example.com")),
        (b'/x?filter={"a":[1]}', Target(b"/x", b'filter={"a":[1]}', b"")),
    ],
)
def test_a_target_is_split(target: bytes, found: Target) -> None:
    assert split_target(target) == found


@pytest.mark.parametrize(
    "target",
    [b"*", b"example.com:443", b"ftp://x/y", b"http://user@host/x", b"http:///x", b"/x?a b", b"/x?a#b", b"/x?\xff", b"/../x?y"],
)
def test_a_target_that_no_honest_client_sends_is_refused(target: bytes) -> None:
    assert isinstance(split_target(target), BadPath)
