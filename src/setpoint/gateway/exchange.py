"""One client request on its way through the stages."""

from math import inf
from typing import Protocol

from setpoint.domain.faults import Fault
from setpoint.domain.trace import CacheTier, Surface
from setpoint.domain.usage import Usage
from setpoint.gateway.continuation import Continuation
from setpoint.gateway.decision import Decision
from setpoint.gateway.drive import Drive
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.key_pool import ProviderKey
from setpoint.gateway.preferences import Wishes
from setpoint.gateway.published import Caller, Candidate, Published, ResolvedRoute
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.surfaces import HotSurface, Place
from setpoint.gateway.upstream import Call
from setpoint.kit.breaker import Breaker


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
    """All facts of one exchange. Each is written by one stage, named beside it; everybody may read.

    opaque        The body is no text: a trace does not keep it.
    decision      None where there was nothing to decide.
    attempts      Calls that were sent.
    failovers     How many places behind the first choice the last call went.
    moves         Calls made because one to another target had failed.
    until_s       When the exchange must be over, by the clock of `deadlines`.
    key           Which of its upstream's keys the last call used, where there are several.
    trial         A half-open breaker that waits to hear of this call; its first content is enough.
    racer         The copy that a second call works on besides; see `gateway.hedging`.
    hedged        With two calls at once: the number of the one whose answer this is; less than 0 when a later call followed both.
    content_type  Of a streamed answer, where it is not the surface's own.
    cut           A streamed answer broke off, and nothing in its format can say so: the connection has to.
    continued     What the client was told so far, where the route continues streams that break off.
    gone          The client has left, and the answer is read on without it.
    """

    __slots__ = (
        "answer_bytes", "attempts", "body", "cache_tier", "call", "called_s", "caller", "candidate", "candidates", "captured", "connection",
        "content_type", "continued", "cut", "gone", "opaque",
        "cost_nanousd", "decision", "drive", "envelope", "failovers", "fault", "finish", "framer", "given_up", "hedged",
        "key", "limit_headers", "model_served", "moves", "place", "racer",
        "published", "request", "request_id", "route", "saved_nanousd", "start_ns", "started_ns", "streamed", "surface", "to_be_cached",
        "trace_id", "trial", "ttft_ns", "until_s", "upstream_ns", "usage", "whole", "wishes",
    )  # fmt: skip

    def __init__(  # noqa: PLR0915  one assignment for each fact
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
        # limit
        self.limit_headers = b""
        # cache
        self.cache_tier = CacheTier.bypass
        self.saved_nanousd = 0
        self.to_be_cached = False
        # route
        self.route: ResolvedRoute | None = None
        self.candidates: tuple[Candidate, ...] = ()
        self.decision: Decision | None = None
        self.wishes: Wishes | None = None
        # attempt
        self.candidate: Candidate | None = None
        self.call: Call | None = None
        self.attempts = 0
        self.failovers = 0
        self.moves = 0
        self.until_s = inf
        self.called_s = 0.0
        self.key: ProviderKey | None = None
        self.trial: tuple[Breaker, int] | None = None
        self.racer: Exchange | None = None
        self.hedged = 0
        self.given_up: Fault | None = None
        self.upstream_ns = 0
        self.ttft_ns = 0
        self.streamed = False
        self.framer: Framer | None = None
        self.content_type = b""
        self.cut = False
        self.continued: Continuation | None = None
        self.gone = False
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
        self.given_up = fault
        calls = [self.call, None if self.racer is None else self.racer.call]
        for call in calls:
            if call is not None and not call.over:
                call.give_up(fault)
        self.drive.resume()  # it may be waiting between two calls

    # The connection tells its work:

    def client_gone(self) -> None:
        if self.gone:
            self.resume()
        else:
            self.drive.cancel()

    def pause(self) -> None:
        call = self.streaming_call
        if call is not None and call.connection is not None:
            call.connection.pause()

    def resume(self) -> None:
        call = self.streaming_call
        if call is not None and call.connection is not None:
            call.connection.resume()

    @property
    def streaming_call(self) -> Call | None:
        """The one whose bytes go to the client."""
        return self.racer.call if self.racer is not None and self.racer.streamed else self.call


__all__ = ["Answer", "Exchange", "Result", "Surface"]
