"""Asking an upstream for the usage of a stream, on behalf of a client that did not."""

import msgspec

from setpoint.wire.splice import may_escape, set_members

_encode = msgspec.json.Encoder().encode
_INSERTED = b'{"stream_options":{"include_usage":true},'


class _Raw(msgspec.Struct):
    stream_options: dict[str, msgspec.Raw] | None = None


_raw_options = msgspec.json.Decoder(_Raw).decode


def ask_for_stream_usage(body: bytes) -> bytes:
    """`body`, a chat request known to be a JSON object with members, asking for usage at the end of the stream.

    All other bytes stay as they are unless the client sent stream_options without it. Raises msgspec.DecodeError on stream_options
    that are no object.
    """
    if b'"stream_options"' not in body and not may_escape(body):
        at = body.index(b"{")
        return body[:at] + _INSERTED + body[at + 1 :]
    options = _raw_options(body).stream_options or {}
    if bytes(options.get("include_usage", msgspec.Raw())) == b"true":
        return body
    options["include_usage"] = msgspec.Raw(b"true")
    return set_members(body, {"stream_options": _encode(options)})
