"""Streams of every surface, made by the dialects' own renderers and read by their own decoders."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from tests.gateway.network import Wire
from tests.gateway.world import body_of, plan_of, post, route_to, upstream

from setpoint.domain.chat import ChatAnswer, Finish, Text
from setpoint.domain.plan import DialectName, Plan, Route
from setpoint.domain.stream import Failed, Finished, Started, StreamEvent, TextDelta, TextEnded, UsageReported
from setpoint.domain.usage import Usage
from setpoint.gateway.dialects import DIALECTS

USAGE = Usage(input=10, output=5)
USER = [{"role": "user", "content": "hi"}]


class Asked(NamedTuple):
    """How a client of one surface asks: the paths of a stream and of a whole answer, and the body."""

    dialect: DialectName
    stream_path: str
    path: str
    body: dict[str, Any]
    media: str = "text/event-stream"
    says_stream: bool = True
    """The body says whether a stream is wanted."""


SURFACES: dict[str, Asked] = {
    "openai_chat": Asked("openai_chat", "/v1/chat/completions", "/v1/chat/completions", {"model": "m-1", "messages": USER}),
    "openai_responses": Asked("openai_responses", "/v1/responses", "/v1/responses", {"model": "m-1", "input": "hi"}),
    "openai_completions": Asked("openai_completions", "/v1/completions", "/v1/completions", {"model": "m-1", "prompt": "hi"}),
    "anthropic": Asked("anthropic", "/v1/messages", "/v1/messages", {"model": "m-1", "max_tokens": 1000, "messages": USER}),
    "gemini": Asked(
        "gemini", "/v1beta/models/m-1:streamGenerateContent?alt=sse", "/v1beta/models/m-1:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, says_stream=False,
    ),
    "gemini_array": Asked(
        "gemini", "/v1beta/models/m-1:streamGenerateContent", "/v1beta/models/m-1:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "application/json", says_stream=False,
    ),
    "bedrock_converse": Asked(
        "bedrock_converse", "/bedrock/model/m-1/converse-stream", "/bedrock/model/m-1/converse",
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "application/vnd.amazon.eventstream", says_stream=False,
    ),
    "cohere": Asked("cohere", "/v2/chat", "/v2/chat", {"model": "m-1", "messages": USER}),
    "ollama": Asked("ollama", "/api/chat", "/api/chat", {"model": "m-1", "messages": USER}, "application/x-ndjson"),
}  # fmt: skip
UPSTREAM_DIALECTS: tuple[DialectName, ...] = (
    "openai_chat", "openai_responses", "openai_completions", "anthropic", "gemini", "bedrock_converse", "cohere", "ollama",
)  # fmt: skip
MEDIA = {"bedrock_converse": "application/vnd.amazon.eventstream", "ollama": "application/x-ndjson"}


def asking(name: str, *, stream: bool = True, **members: Any) -> bytes:
    """A request of a surface's client."""
    surface = SURFACES[name]
    body = {**surface.body, **members}
    if surface.says_stream:
        body["stream"] = stream
    return post(msgspec.json.encode(body), surface.stream_path if stream else surface.path)


def plan_for(*dialects: DialectName, **members: Any) -> Plan:
    """One upstream for each dialect, named a, b, ..., and a route `m-1` to all of them; `members` are the route's."""
    names = "abcdefgh"[: len(dialects)]
    ups = [
        upstream(name, dialect=dialect, **({"base_path": "", "auth": "none"} if dialect != "openai_chat" else {}))
        for name, dialect in zip(names, dialects, strict=True)
    ]
    route: Route = route_to("m-1", *names, **members)
    return plan_of(*ups, routes=(route,))


def told(*events: StreamEvent, dialect: DialectName, end: bool = True) -> bytes:
    """What an upstream of a dialect sends for these events."""
    renderer = DIALECTS[dialect].stream_renderer("m-1-2026", 1_700_000_000, include_usage=True)
    sent = b"".join([renderer.render(event) for event in events])
    return sent + renderer.finish() if end else sent


def story(*texts: str, usage: Usage | None = USAGE, finish: Finish = "stop") -> list[StreamEvent]:
    """A good stream that says these texts."""
    events: list[StreamEvent] = [Started("id-1", "m-1-2026", 1_700_000_000), *(TextDelta(text) for text in texts), TextEnded()]
    return [*events, *([UsageReported(usage)] if usage is not None else []), Finished(finish)]


def stream_head(dialect: DialectName, *, length: int | None = None) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {MEDIA.get(dialect, 'text/event-stream')}\r\n{framing}\r\n\r\n".encode()


def whole_answer(text: str, dialect: DialectName) -> bytes:
    """The unary answer of an upstream of a dialect."""
    answer = ChatAnswer("id-1", "m-1-2026", (Text(text),), "stop", USAGE, None, 1_700_000_000)
    return DIALECTS[dialect].encode_answer(answer, "m-1-2026", 1_700_000_000)


def chunks_of(sent: bytes) -> list[bytes]:
    """The chunks of a chunked body behind the first head; the last one is empty when the body is whole."""
    body, found = body_of(sent), []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if len(rest) < length + 2:
            break
        found.append(rest[:length])
        body = rest[length + 2 :]
    return found


def plain_body(sent: bytes) -> bytes:
    """The body behind the first head, without its framing."""
    return b"".join(chunks_of(sent)) if b"transfer-encoding: chunked" in sent.partition(b"\r\n\r\n")[0] else body_of(sent)


def read(name: str, body: bytes) -> list[StreamEvent]:
    """What a surface's client understands of a stream's body."""
    decoder = DIALECTS[SURFACES[name].dialect].stream_decoder()
    return [*decoder.feed(body), *decoder.finish()]


def text_of(events: Iterable[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def usage_of(events: Iterable[StreamEvent]) -> Usage | None:
    return next((event.usage for event in reversed(list(events)) if isinstance(event, UsageReported)), None)


def ends_of(events: Iterable[StreamEvent]) -> list[str]:
    """The terminals of a stream, in words."""
    return [type(event).__name__ for event in events if isinstance(event, Finished | Failed)]


def client_of(w: Any, name: str, *, stream: bool = True, **members: Any) -> Wire:
    client: Wire = w.client()
    client.says(asking(name, stream=stream, **members))
    return client
