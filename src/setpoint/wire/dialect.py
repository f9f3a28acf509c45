"""What every dialect can do. A dialect is client and server in one, pure, and knows no other dialect.

Two ways lead through a dialect. When client and upstream speak the same one, bodies are relayed byte for byte and only
`read_usage`, `tap` and the faults are used. When they differ, the request goes decode_request → encode_request, the answer
decode_answer → encode_answer, and a stream decoder → renderer, event by event. So any two dialects translate, and can be tested
back to back.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.domain.stream import StreamEvent
from setpoint.domain.usage import Usage
from setpoint.wire.sse import EVENT_BYTES_MAX

FAULT_BODY_BYTES_MAX = 65_536
"""What a fault keeps of the provider's own error body."""

DELTA_BYTES_MAX = 4_096
"""The longest text of one rendered delta, in UTF-8 bytes; longer ones are split between characters."""


class Encoded(msgspec.Struct, frozen=True):
    """A request in a dialect. `losses` names each thing of the request that this dialect cannot say, or says differently."""

    body: bytes
    losses: tuple[str, ...] = ()


class AnswerFacts(msgspec.Struct, frozen=True, gc=False):
    """What the ledger needs of a unary answer. `finish` and `model` are the provider's own words; empty when absent."""

    usage: Usage | None
    model: str
    finish: str


class StreamTap(Protocol):
    """Watches a stream that is relayed as it is. Attributes are up to date after each `feed`.

    An event that is longer than the bound is not forwarded but an `error`, and nothing behind it counts. A dialect's own tap has the bound
    as its attribute `event_bytes_max`, which may be lowered before the first `feed`.
    """

    @property
    def events(self) -> int:
        """Data lines seen."""
        ...

    @property
    def content_started(self) -> bool:
        """The first text, thinking or tool call came by; an opening event alone does not count."""
        ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def model(self) -> str: ...

    @property
    def finish(self) -> str: ...

    @property
    def done(self) -> bool:
        """The dialect's own terminal came ([DONE], message_stop)."""
        ...

    @property
    def error(self) -> Fault | None:
        """The provider sent an error event, or something that is none. One it said itself has an `upstream_body`, and was forwarded."""
        ...

    def feed(self, data: bytes) -> bytes:
        """The bytes to forward: `data` itself as a rule. A cut event is held until it is whole, so that an error event can follow."""
        ...

    def flush(self) -> bytes:
        """The stream ended: what is still held back, but for half an event."""
        ...


class StreamDecoder(Protocol):
    """A provider's stream to neutral events, from bytes cut anywhere."""

    def feed(self, data: bytes) -> list[StreamEvent]: ...

    def finish(self) -> list[StreamEvent]:
        """The stream ended. Reports `Failed(upstream_cut)` unless `Finished` or `Failed` came before."""
        ...


class StreamRenderer(Protocol):
    """Neutral events to a client's stream."""

    def render(self, event: StreamEvent) -> bytes:
        """May be empty: some events are held until a later one."""
        ...

    def finish(self) -> bytes:
        """No event will follow. Empty after `Finished` or `Failed`."""
        ...


class Metered(Protocol):
    """The part of a dialect that a relayed, unary exchange needs."""

    def read_usage(self, body: bytes) -> AnswerFacts: ...

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        """What a provider's error answer means. Header names are lower case."""
        ...

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        """The error body a client of this dialect expects; the status is `fault.http_status`."""
        ...


class Dialect(Metered, Protocol):
    """A chat dialect."""

    name: str

    def decode_request(self, body: bytes) -> ChatRequest | Fault: ...

    def encode_request(self, request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
        """`model` is the name at the upstream, `can` what its vendor does differently. A stream is always asked for its usage."""
        ...

    def decode_answer(self, body: bytes) -> ChatAnswer | Fault: ...

    def encode_answer(self, answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
        """`model` is the name shown to the client, `asked` its request's body: in some dialects answers repeat it."""
        ...

    def tap(self, hide_usage: bool = False) -> StreamTap: ...

    def stream_decoder(self, event_bytes_max: int = EVENT_BYTES_MAX) -> StreamDecoder: ...

    def stream_renderer(self, model: str, created_s: int, include_usage: bool, asked: bytes = b"") -> StreamRenderer:
        """`asked` as in `encode_answer`."""
        ...

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        """The dialect's own error event for a stream that has begun; nothing may follow it."""
        ...


class EmbeddingsDialect(Metered, Protocol):
    """A dialect of embeddings. Between two of the same one bodies are relayed."""

    name: str

    def decode_request(self, body: bytes) -> EmbeddingsRequest | Fault: ...

    def encode_request(self, request: EmbeddingsRequest, model: str) -> Encoded | Fault: ...

    def decode_answer(self, body: bytes) -> EmbeddingsAnswer | Fault: ...

    def encode_answer(self, answer: EmbeddingsAnswer, model: str, encoding: str) -> bytes:
        """`encoding` is the request's: float or base64."""
        ...
