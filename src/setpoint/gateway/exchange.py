"""One client request on its way through the stages."""

from typing import Protocol

from setpoint.domain.faults import Fault
from setpoint.domain.trace import CacheTier, Surface
from setpoint.domain.usage import Usage
from setpoint.gateway.drive import Drive
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.published import Caller, Candidate, Published, ResolvedRoute
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.surfaces import HotSurface, Place
from setpoint.gateway.upstream import Call


class Answer:
    """A complete answer, ready but for Setpoint's own headers.

    `headers` are ready lines that end in CRLF. `streamed` answers are on the wire already; `body` then is only what is still to be sent.
    `upstream_body` is the answer as the upstream gave it, for the trace.
    """

    __slots__ = ("body", "content_type", "headers", "status", "streamed")

    def __init__(
        self, status: int, body: bytes, content_type: bytes = b"application/json", headers: bytes = b"", *, streamed: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.streamed = streamed


Result = Answer | Fault
"""What a stage returns: an answer, or the fault that prevented one. Only `record` turns the second into the first."""


class Framer(Protocol):
    """Puts a stream into another framing than its dialect's usual one, for a client that asked for that. Bytes may be cut anywhere."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Exchange:
    """All facts of one exchange. Each is written by one stage, named beside it; everybody may read."""

    __slots__ = (
        "answer_bytes", "attempts", "body", "cache_tier", "call", "caller", "candidate", "candidates", "captured", "connection",
        "content_type", "cut", "opaque",
        "cost_nanousd", "drive", "envelope", "failovers", "fault", "finish", "framer", "limit_headers", "model_served", "place",
        "published", "request", "request_id", "route", "saved_nanousd", "start_ns", "started_ns", "streamed", "surface", "to_be_cached",
        "trace_id", "ttft_ns", "upstream_ns", "usage", "whole",
    )  # fmt: skip

    def __init__(
        self,
        connection: ClientConnection,
        request: Request,
        surface: HotSurface,
        published: Published,
        request_id: bytes,
        start_ns: int,
        started_ns: int,
        place: Place | None = None,
    ) -> None:
        # lane
        self.connection = connection
        self.request = request
        self.surface = surface
        self.place = place
        self.published = published
        self.request_id = request_id
        self.trace_id = request_id
        self.start_ns = start_ns
        self.started_ns = started_ns
        self.drive = Drive()
        # authenticate
        self.caller: Caller | None = None
        # read
        self.body = request.body
        self.envelope: Envelope | None = None
        self.opaque = False
        """The body is no text: a trace does not keep it."""
        # limit
        self.limit_headers = b""
        # cache
        self.cache_tier = CacheTier.bypass
        self.saved_nanousd = 0
        self.to_be_cached = False
        # route
        self.route: ResolvedRoute | None = None
        self.candidates: tuple[Candidate, ...] = ()
        # attempt
        self.candidate: Candidate | None = None
        self.call: Call | None = None
        self.attempts = 0
        self.failovers = 0
        self.upstream_ns = 0
        self.ttft_ns = 0
        self.streamed = False
        self.framer: Framer | None = None
        self.content_type = b""
        """Of a streamed answer, where it is not the surface's own."""
        self.cut = False
        """A streamed answer broke off, and nothing in its format can say so: the connection has to."""
        self.usage: Usage | None = None
        self.cost_nanousd = -1
        self.model_served = ""
        self.finish = ""
        self.captured = b""
        self.answer_bytes = 0
        self.whole = False
        # record
        self.fault: Fault | None = None

    def give_up(self, fault: Fault) -> None:
        """The worker cannot wait for this exchange any longer: end it with an explicit fault."""
        if self.call is not None and not self.call.over:
            self.call.give_up(fault)

    # The connection tells its work:

    def client_gone(self) -> None:
        self.drive.cancel()

    def pause(self) -> None:
        if self.call is not None and self.call.connection is not None:
            self.call.connection.pause()

    def resume(self) -> None:
        if self.call is not None and self.call.connection is not None:
            self.call.connection.resume()


__all__ = ["Answer", "Exchange", "Result", "Surface"]
