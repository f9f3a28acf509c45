"""Bytes on which HTTP/1.1 servers are known to disagree, for comparing how two of them cut a connection into requests.

Where two servers in a row frame one connection differently, the bytes of a body become somebody's request (request smuggling).
Sources: RFC 9112 sections 2.2, 3.2, 5.1, 6.3, 7.1, 11.2; Kettle, "HTTP Desync Attacks" (2019) and "HTTP/2: The Sequel is Always
Worse" (2021); what llhttp and h11 were once found to accept.
"""

import msgspec

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Sent after a case: a server that framed the case well answers it and closes."""

_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
_N = len(_SMUGGLED)


class FramingCase(msgspec.Struct, frozen=True):
    """`waits`: the last request is incomplete, so a server may wait for more."""

    name: str
    data: bytes
    waits: bool = False


def _post(*headers: bytes, body: bytes = b"", path: bytes = b"/a", version: bytes = b"HTTP/1.1", host: bytes = b"Host: x\r\n") -> bytes:
    return b"POST " + path + b" " + version + b"\r\n" + host + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body


def _get(*headers: bytes, target: bytes = b"/a", version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" " + version + b"\r\nHost: x\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


def _chunked(raw: bytes, *headers: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", *headers, body=raw)


_LENGTH = b"Content-Length: %d" % _N
_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (_N, _SMUGGLED)
_HOT = b'{"model":"fake-1","messages":[{"role":"user","content":"hi"}]}'


def _hot(*headers: bytes) -> bytes:
    return _post(b"Content-Length: %d" % len(_HOT), *headers, path=b"/v1/chat/completions", body=_HOT)


_PLAIN: dict[str, bytes] = {
    "one_get": _get(),
    "two_gets": _get() + _get(target=b"/b"),
    "post_then_get": _post(_LENGTH, body=_SMUGGLED) + _get(target=b"/b"),
    "chunked_then_get": _chunked(_CHUNK) + _get(target=b"/b"),
    "hot_then_cold": _hot() + _get(target=b"/api/v1/traces"),
    "cold_then_hot": _get(target=b"/api/v1/traces") + _hot(),
    "hot_pipeline": _hot() * 5,
    "cold_pipeline": _get(target=b"/api/v1/a") * 5,
    "get_with_body": _get(_LENGTH) + _SMUGGLED,
    "get_with_chunked_body": _get(b"Transfer-Encoding: chunked") + _CHUNK,
    "delete_with_body": _get(_LENGTH, method=b"DELETE") + _SMUGGLED,
    "head": _get(method=b"HEAD") + _get(target=b"/b"),
    "options_star": _get(target=b"*", method=b"OPTIONS"),
    "connect": _get(target=b"x:443", method=b"CONNECT") + _SMUGGLED,
    "trace": _get(method=b"TRACE"),
    "empty_lines_before": b"\r\n\r\n" + _get(),
    "close_then_get": _get(b"Connection: close") + _SMUGGLED,
    "close_in_a_list": _get(b"Connection: keep-alive, close") + _SMUGGLED,
    "mixed_case_names": _post(b"cOnTeNt-LeNgTh: %d" % _N, body=_SMUGGLED),
}

_UPGRADES: dict[str, bytes] = {
    "h2c_get": _get(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"),
    "h2c_post": _post(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk", _LENGTH, body=_SMUGGLED),
    "h2c_chunked": _chunked(_CHUNK, b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"),
    "h2c_then_get": _post(b"Upgrade: h2c", b"Connection: Upgrade", _LENGTH, body=_SMUGGLED) + _get(target=b"/b"),
    "h2c_both_lengths": _post(b"Upgrade: h2c", b"Connection: Upgrade", _LENGTH, b"Transfer-Encoding: chunked", body=_CHUNK),
    "h2c_two_lengths": _post(b"Upgrade: h2c", b"Connection: Upgrade", _LENGTH, b"Content-Length: 4", body=_SMUGGLED),
    "unknown_upgrade": _post(b"Upgrade: chaos/1", b"Connection: Upgrade", _LENGTH, body=_SMUGGLED),
    "upgrade_without_connection": _post(b"Upgrade: h2c", _LENGTH, body=_SMUGGLED),
    "connection_upgrade_alone": _post(b"Connection: Upgrade", _LENGTH, body=_SMUGGLED),
    "websocket_post": _post(b"Upgrade: websocket", b"Connection: Upgrade", _LENGTH, body=_SMUGGLED),
    "h2c_with_close": _post(b"Upgrade: h2c", b"Connection: Upgrade, close", _LENGTH, body=_SMUGGLED) + _SMUGGLED,
    "h2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
}

_EXPECT: dict[str, bytes] = {
    "expect_continue": _post(b"Expect: 100-continue", _LENGTH, body=_SMUGGLED),
    "expect_continue_chunked": _chunked(_CHUNK, b"Expect: 100-continue"),
    "expect_upper_case": _post(b"Expect: 100-CONTINUE", _LENGTH, body=_SMUGGLED),
    "expect_without_body": _get(b"Expect: 100-continue") + _get(target=b"/b"),
    "expect_something_else": _post(b"Expect: tea", _LENGTH, body=_SMUGGLED),
    "expect_http10": _post(b"Expect: 100-continue", _LENGTH, version=b"HTTP/1.0", body=_SMUGGLED),
}

_LENGTHS: dict[str, bytes] = {
    "length_and_chunked": _post(_LENGTH, b"Transfer-Encoding: chunked", body=_CHUNK),
    "chunked_and_length": _post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + _SMUGGLED),
    "zero_length_and_chunked": _post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=_CHUNK),
    "two_lengths_same": _post(_LENGTH, _LENGTH, body=_SMUGGLED),
    "two_lengths_different": _post(_LENGTH, b"Content-Length: 0", body=_SMUGGLED),
    "length_list_same": _post(b"Content-Length: %d, %d" % (_N, _N), body=_SMUGGLED),
    "length_list_different": _post(b"Content-Length: 0, %d" % _N, body=_SMUGGLED),
    "no_length": _post(body=_SMUGGLED),
    **{
        f"length_{name}": _post(b"Content-Length: " + value, body=_SMUGGLED)
        for name, value in {
            "plus": b"+%d" % _N, "hex": b"0x5", "negative": b"-5", "trailing_space": b"%d " % _N, "trailing_tab": b"%d\t" % _N,
            "letters": b"%da" % _N,
            "empty": b"", "leading_zeros": b"000%d" % _N, "underscore": b"3_6", "huge": b"99999999999999999999999",
            "float": b"5.0", "exponent": b"1e1",
            "vertical_tab": b"\x0b%d" % _N, "arabic_digits": "٣".encode(), "inner_space": b"3 6",
        }.items()
    },
    "length_name_with_underscore": _post(b"Content_Length: %d" % _N, body=_SMUGGLED),
    "length_space_before_colon": _post(b"Content-Length : %d" % _N, body=_SMUGGLED),
    "length_folded": _post(b"Content-Length:\r\n %d" % _N, body=_SMUGGLED),
}  # fmt: skip

_CODINGS: dict[str, bytes] = {
    f"coding_{name}": _post(b"Transfer-Encoding:" + value, body=_CHUNK)
    for name, value in {
        "upper_case": b" CHUNKED", "no_space": b"chunked", "tab": b"\tchunked", "identity": b" identity",
        "chunked_identity": b" chunked, identity",
        "identity_chunked": b" identity, chunked", "gzip_chunked": b" gzip, chunked", "unknown": b" xchunked",
        "twice": b" chunked, chunked",
        "vertical_tab": b" \x0bchunked", "parameter": b" chunked;a=b", "quoted": b' "chunked"', "empty": b"",
        "comma": b" ,chunked", "null": b" chunked\x00",
        "folded": b"\r\n chunked", "trailing_comma": b" chunked,",
    }.items()
} | {
    "coding_two_headers": _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=_CHUNK),
    "coding_two_headers_turned": _post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=_CHUNK),
    "coding_space_before_colon": _post(b"Transfer-Encoding : chunked", _LENGTH, body=_SMUGGLED),
    "coding_http10": _post(b"Transfer-Encoding: chunked", b"Connection: keep-alive", version=b"HTTP/1.0", body=_CHUNK),
    "coding_hidden_by_newline": _post(b"X: y\nTransfer-Encoding: chunked", _LENGTH, body=_SMUGGLED),
    "coding_hidden_by_carriage_return": _post(b"X: y\rTransfer-Encoding: chunked", _LENGTH, body=_SMUGGLED),
}  # fmt: skip

_CHUNKS: dict[str, bytes] = {
    "chunk_extension": _chunked(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),
    "chunk_extension_quoted": _chunked(b'5;a="b;c"\r\nhello\r\n0\r\n\r\n'),
    "chunk_extension_newline": _chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "chunk_extension_long": _chunked(b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"),
    "trailer": _chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
    "trailer_length": _chunked(b"5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n"),
    "trailer_coding": _chunked(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "trailer_without_colon": _chunked(b"5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
    "many_chunks": _chunked(b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + b"0\r\n\r\n"),
    "zero_padded_end": _chunked(b"5\r\nhello\r\n000\r\n\r\n"),
    **{
        f"chunk_size_{name}": _chunked(value + b"\r\nhello\r\n0\r\n\r\n")
        for name, value in {
            "hex_prefix": b"0x5", "trailing_space": b"5 ", "leading_space": b" 5", "plus": b"+5", "negative": b"-1",
            "letter": b"g", "empty": b"",
            "huge": b"F" * 17, "wraps_64_bits": b"10000000000000005", "leading_zeros": b"0005", "upper_case": b"5",
            "underscore": b"0_5", "semicolon": b"5;",
            "comma": b"5,5", "carriage_return": b"5\r",
        }.items()
    },
    "chunk_size_newline_only": _chunked(b"5\nhello\r\n0\r\n\r\n"),
    "chunk_data_newline_only": _chunked(b"5\r\nhello\n0\r\n\r\n"),
    "chunk_data_too_long": _chunked(b"3\r\nhello\r\n0\r\n\r\n"),
    "chunk_data_too_short": _chunked(b"7\r\nhello\r\n0\r\n\r\n"),
    "chunk_end_newline_only": _chunked(b"5\r\nhello\r\n0\r\n\n"),
    "chunk_data_without_end": _chunked(b"5\r\nhelloXX0\r\n\r\n"),
}  # fmt: skip

_HEADS: dict[str, bytes] = {
    "no_host": b"GET /a HTTP/1.1\r\n\r\n",
    "no_host_http10": b"GET /a HTTP/1.0\r\n\r\n",
    "two_hosts": _get(b"Host: y"),
    "two_hosts_same": _get(b"Host: x"),
    "empty_host": b"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    "host_with_space": b"GET /a HTTP/1.1\r\nHost: x y\r\n\r\n",
    "host_with_path": b"GET /a HTTP/1.1\r\nHost: x/../y\r\n\r\n",
    "host_with_user": b"GET /a HTTP/1.1\r\nHost: u@x\r\n\r\n",
    "folded_header": _get(b"X: a\r\n b"),
    "folded_first_header": b"GET /a HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n",
    "newlines_only": b"GET /a HTTP/1.1\nHost: x\n\n",
    "newline_in_header": _get(b"X: a\nY: b"),
    "carriage_return_in_header": _get(b"X: a\rY: b"),
    "carriage_return_in_line": b"GET /a\r HTTP/1.1\r\nHost: x\r\n\r\n",
    "carriage_returns_only": b"GET /a HTTP/1.1\rHost: x\r\r",
    "head_ends_in_newline": b"GET /a HTTP/1.1\r\nHost: x\r\n\n",
    "null_in_value": _get(b"X: a\x00b"),
    "null_in_name": _get(b"X\x00Y: a"),
    "null_in_target": _get(target=b"/a\x00b"),
    "control_in_value": _get(b"X: a\x01b"),
    "latin1_in_value": _get(b"X: \xe4"),
    "no_colon": _get(b"garbage"),
    "space_before_colon": _get(b"X : a"),
    "empty_name": _get(b": a"),
    "space_in_name": _get(b"X Y: a"),
    "brackets_in_name": _get(b"X[]: a"),
    "huge_head": _get(b"X: " + b"a" * 40_000),
    "many_headers": _get(*(b"X-%d: a" % i for i in range(300))),
    "long_target": _get(target=b"/" + b"a" * 40_000),
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
    "lower_case_method": _get(method=b"get"),
    "mixed_case_method": _get(method=b"GeT"),
    "unknown_method": _get(method=b"FOO"),
    "no_method": b" /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "no_version": b"GET /a\r\nHost: x\r\n\r\n",
    "version_0_9": _get(version=b"HTTP/0.9"),
    "version_1_2": _get(version=b"HTTP/1.2"),
    "version_2_0": _get(version=b"HTTP/2.0"),
    "version_11": _get(version=b"HTTP/11"),
    "version_1_10": _get(version=b"HTTP/1.10"),
    "version_lower_case": _get(version=b"http/1.1"),
    "version_trailing_space": _get(version=b"HTTP/1.1 "),
    "version_other": _get(version=b"ICE/1.0"),
    "two_spaces_in_line": b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab_in_line": b"GET\t/a\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "http10": _get(version=b"HTTP/1.0") + _SMUGGLED,
    "http10_keep_alive": _get(b"Connection: keep-alive", version=b"HTTP/1.0") + _get(target=b"/b"),
    "http10_post": _post(_LENGTH, version=b"HTTP/1.0", body=_SMUGGLED),
}

_TARGETS: dict[str, bytes] = {
    f"target_{name}": _get(target=target)
    for name, target in {
        "absolute": b"http://x/a", "absolute_other_host": b"http://y/a?b=c", "absolute_upper_case": b"HTTP://X/a",
        "absolute_no_path": b"http://x",
        "absolute_user": b"http://u@x/a", "dot_segments": b"/a/../b", "dot_dot_root": b"/../../etc", "dot": b"/./a",
        "escaped_dots": b"/a/%2e%2e/b",
        "half_escaped_dots": b"/a/.%2E/b", "double_slash": b"//a//b", "backslash": b"/a\\..\\b", "escaped_slash": b"/a%2Fb",
        "escaped_null": b"/a%00",
        "escaped_letter": b"/%61", "broken_escape": b"/%zz", "cut_escape": b"/a%2", "fragment": b"/a#b", "query": b"/a?b=c&d",
        "query_only": b"?a",
        "no_slash": b"a", "space": b"/a b", "high_byte": b"/\xc3\xa4", "empty": b"", "semicolon": b"/a;b=c",
        "overlong_utf8": b"/%c0%ae%c0%ae/",
    }.items()
}  # fmt: skip

_WAITING: dict[str, bytes] = {
    "half_a_head": b"GET /a HTTP/1.1\r\nHost: x\r\n",
    "half_a_line": b"GET /a HT",
    "half_a_body": _post(b"Content-Length: 999", body=_SMUGGLED),
    "half_a_chunk": _chunked(b"FFF\r\n" + _SMUGGLED),
    "get_then_half": _get() + b"GET /b HTTP/1.1\r\n",
}

CASES: tuple[FramingCase, ...] = (
    *(
        FramingCase(name, data + SENTINEL)
        for group in (_PLAIN, _UPGRADES, _EXPECT, _LENGTHS, _CODINGS, _CHUNKS, _HEADS, _TARGETS)
        for name, data in group.items()
    ),
    *(FramingCase(name, data, waits=True) for name, data in _WAITING.items()),
)
