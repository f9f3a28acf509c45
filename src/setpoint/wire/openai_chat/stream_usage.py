"""Asking an upstream for the usage of a stream, on behalf of a client that did not."""

import msgspec

from setpoint.wire.splice import set_members


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Asks(msgspec.Struct):
    stream_options: _Options | None = None


_asks = msgspec.json.Decoder(_Asks).decode
_options = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_INSERTED = b'{"stream_options":{"include_usage":true},'


class _Raw(msgspec.Struct):
    stream_options: dict[str, msgspec.Raw] | None = None


_raw_options = msgspec.json.Decoder(_Raw).decode


def asks_for_stream_usage(body: bytes) -> bool:
    """Whether the client itself set stream_options.include_usage."""
    return b'"stream_options"' in body and bool((options := _asks(body).stream_options) and options.include_usage)


def ask_for_stream_usage(body: bytes) -> bytes:
    """`body`, a chat request known to be a JSON object with members, asking for usage at the end of the stream.

    All other bytes stay as they are unless the client sent stream_options without it. Raises msgspec.DecodeError on stream_options
    that are no object.
    """
    if b'"stream_options"' not in body:
        at = body.index(b"{")
        return body[:at] + _INSERTED + body[at + 1 :]
    options = _raw_options(body).stream_options or {}
    if bytes(options.get("include_usage", msgspec.Raw())) == b"true":
        return body
    options["include_usage"] = msgspec.Raw(b"true")
    return set_members(body, {"stream_options": _encode(options)})
