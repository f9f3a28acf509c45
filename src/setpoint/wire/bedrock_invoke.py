"""Anthropic's dialect where clouds serve it: Bedrock's InvokeModel and Vertex' rawPredict.

Both take the messages body with a version inside, without the model, which stands in the path
(https://docs.anthropic.com/en/api/claude-on-amazon-bedrock, https://docs.anthropic.com/en/api/claude-on-vertex-ai). Vertex streams as
Anthropic does; Bedrock puts each event in a frame, base64 in JSON, and tells errors by frames of their own. With those taken off, the
dialect's own taps and decoders read the stream.
"""

from base64 import b64decode

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.aws_event_stream import Frame, FrameDecoder
from setpoint.wire.bedrock_converse.faults import classify_exception, is_exception
from setpoint.wire.splice import remove_members
from setpoint.wire.sse import EVENT_BYTES_MAX, encode_event

BEDROCK_VERSION = "bedrock-2023-05-31"
VERTEX_VERSION = "vertex-2023-10-16"
METRICS = "amazon-bedrock-invocationMetrics"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_texts = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode

_ERROR_TYPES = {
    FaultKind.upstream_auth: "permission_error",
    FaultKind.upstream_quota: "billing_error",
    FaultKind.upstream_rate: "rate_limit_error",
    FaultKind.upstream_overloaded: "overloaded_error",
    FaultKind.upstream_timeout: "timeout_error",
    FaultKind.unknown_model: "not_found_error",
    FaultKind.context_length: "invalid_request_error",
    FaultKind.content_filter: "invalid_request_error",
    FaultKind.upstream_refused: "invalid_request_error",
}
"""Everything else is an `api_error`."""


def bedrock_body(body: bytes, betas: tuple[str, ...] = ()) -> bytes:
    """A messages body as InvokeModel takes it: no `model`, no `stream`, the version, and the values of the anthropic-beta header.

    Every member that stays is copied byte for byte. Raises msgspec.DecodeError when `body` is no JSON object.
    """
    return _hosted(body, ("model", "stream"), BEDROCK_VERSION, betas)


def vertex_body(body: bytes, betas: tuple[str, ...] = ()) -> bytes:
    """A messages body as Vertex takes it: no `model`; `stream` stays, for the path alone does not turn it on."""
    return _hosted(body, ("model",), VERTEX_VERSION, betas)


def _hosted(body: bytes, dropped: tuple[str, ...], version: str, betas: tuple[str, ...]) -> bytes:
    members = _members(body)
    for name in dropped:
        members.pop(name, None)
    members["anthropic_version"] = msgspec.Raw(_encode(version))
    if betas:
        members["anthropic_beta"] = msgspec.Raw(_encode(list(dict.fromkeys([*_given_betas(members), *betas]))))
    return _encode(members)


def _given_betas(members: dict[str, msgspec.Raw]) -> list[str]:
    raw = bytes(members.get("anthropic_beta", msgspec.Raw(b"null")))
    return _texts(raw) if raw != b"null" else []


class _Chunk(msgspec.Struct, gc=False):
    bytes: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None


_chunk = msgspec.json.Decoder(_Chunk).decode
_event = msgspec.json.Decoder(_Event).decode


class BedrockFrames:
    """Frames of InvokeModelWithResponseStream in, Anthropic's events out.

    An exception, or a damaged frame, is kept in `error` and told as Anthropic tells errors; nothing after it counts. Half a frame at the
    end is dropped: the dialect sees that no message_stop came.
    """

    __slots__ = ("_frames", "error")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._frames = FrameDecoder(event_bytes_max)
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            return b""
        out: list[bytes] = []
        for frame in self._frames.feed(data):
            if is_exception(frame):
                return b"".join(out) + self._fail(classify_exception(frame))
            try:
                out.append(_unframed(frame))
            except (ValueError, msgspec.DecodeError):
                return b"".join(out) + self._fail(Fault(FaultKind.upstream_server, "The provider sent a chunk that could not be read."))
        if self._frames.error is not None:
            out.append(self._fail(self._frames.error))
        return b"".join(out)

    def finish(self) -> bytes:
        return b""

    def _fail(self, fault: Fault) -> bytes:
        self.error = fault
        error = {"type": _ERROR_TYPES.get(fault.kind, "api_error"), "message": fault.message}
        return encode_event(_encode({"type": "error", "error": error}), b"error")


def _unframed(frame: Frame) -> bytes:
    """The event in a frame; empty for frames that are no chunk."""
    given = _chunk(frame.payload).bytes
    if not given:
        return b""
    data = b64decode(given, validate=True)
    kind = (_event(data).type or "").encode()
    if METRICS.encode() in data:
        data = remove_members(data, (METRICS,))
    return encode_event(data, kind if kind.isascii() and kind.replace(b"_", b"").isalnum() else b"")
