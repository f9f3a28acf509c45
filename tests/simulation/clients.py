"""Clients that ask, pipeline, read slowly and leave, and keep what they got."""

from collections import deque
from collections.abc import Callable
from functools import partial

import httptools
import msgspec
from tests.gateway.world import TOKEN
from tests.simulation.links import Link, SimLoop
from tests.simulation.schedule import NEVER, Ask, Session

from setpoint.testing.fault_wall.judge import Got
from setpoint.testing.fault_wall.surfaces import SURFACES

CUT_S = 0.02
"""Between two pieces of a request."""


class Told(msgspec.Struct):
    """What a client got for one ask. `sent`: the whole request was. `answers` counts the answers that began."""

    ask: Ask
    sent_s: float = 0.0
    sent: bool = False
    got: Got = msgspec.field(default_factory=Got)
    begun_s: float = 0.0
    done_s: float = 0.0
    left_s: float = 0.0
    noticed_s: float = 0.0
    ended: str = ""
    recorded_in_time: bool = True

    @property
    def over(self) -> bool:
        return bool(self.ended)


def request_of(ask: Ask) -> bytes:
    """The bytes of a request."""
    surface = SURFACES[ask.surface]
    model = "nobody-serves-this" if ask.bad == "no_model" else ask.route
    prompt = f"sim-{ask.mark:04d} " + "x" * ask.prompt_bytes
    body = msgspec.json.encode(surface.body(model, prompt, ask.streamed))
    if ask.bad == "not_json":
        body = body[:-1]
    elif ask.bad == "no_body":
        body = b""
    lines = [
        f"POST {surface.path(model, ask.streamed)} HTTP/{'1.0' if ask.http10 else '1.1'}",
        "host: gw.test",
        f"content-length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in surface.headers]
    lines.append(f"x-request-id: ask-{ask.no}")
    if ask.bad != "no_key":
        lines.append(f"{surface.key_header}: {surface.key_prefix}{'sk-sp-nobody' if ask.bad == 'bad_key' else TOKEN}")
    if ask.cache:
        lines.append(f"x-setpoint-cache: {ask.cache}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Client:
    """One session: sends its asks on one connection, on a new one when that was closed, until all are answered or it leaves."""

    def __init__(
        self,
        loop: SimLoop,
        session: Session,
        connect: Callable[["Client"], Link | None],
        on_answered: Callable[[Told], bool],
    ) -> None:
        """`on_answered` says whether the connection may end behind that answer."""
        self.loop = loop
        self.session = session
        self._connect = connect
        self._on_answered = on_answered
        self.told = {ask.no: Told(ask) for ask in session.asks}
        self._unsent = deque(session.asks)
        self._waiting: deque[Ask] = deque()
        self.link: Link | None = None
        self._reader: _Reader | None = None
        self.reads = True
        self.pace_s, self.quota_bytes = session.pace_s, session.quota_bytes
        self.finished = False
        self.connections = 0
        loop.call_later(session.begins_s, self._begin)
        if session.stalls_s[1]:
            loop.call_later(session.begins_s + session.stalls_s[0], self._stall)

    # ---- asking

    def _begin(self) -> None:
        if self.finished or self.link is not None:
            return
        self.connections += 1
        self._reader = _Reader(self)
        self.link = self._connect(self)
        if self.link is None:
            self._give_up("refused")
        else:
            self._send_next()

    def _send_next(self) -> None:
        """Send the next ask; a pipelining client does not wait for the answer to the one before."""
        if self._unsent:
            ask = self._unsent.popleft()
            self._waiting.append(ask)
            self.loop.call_later(ask.gap_s, partial(self._send, ask, self.link))
        elif not self._waiting:
            self._finish()

    def _send(self, ask: Ask, link: Link | None) -> None:
        if link is None or self.link is not link:
            return
        told = self.told[ask.no]
        told.sent_s = self.loop.now_s
        data = request_of(ask)
        size = -(-len(data) // ask.cuts)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        self._send_pieces(ask, link, pieces)
        if ask.leave is not None and ask.leave.after_s < 1e9:
            self.loop.call_later(ask.leave.after_s, self._leave, ask, link)

    def _send_pieces(self, ask: Ask, link: Link, pieces: list[bytes]) -> None:
        if self.link is not link:
            return
        link.says(pieces.pop(0))
        if pieces:
            self.loop.call_later(CUT_S, self._send_pieces, ask, link, pieces)
            return
        self.told[ask.no].sent = True
        if self.session.pipelined:
            self._send_next()

    # ---- what comes

    def heard(self, data: bytes) -> None:
        assert self._reader is not None
        reader = self._reader
        reader.feed(data)
        if self.finished or reader is not self._reader or not self._waiting:
            return
        ask = self._waiting[0]
        leave = ask.leave
        if leave is not None and leave.after_bytes < NEVER and reader.heard_bytes >= leave.after_bytes and self.link is not None:
            self._leave(ask, self.link)

    def ended(self, *, reset: bool) -> None:
        """The gateway closed the connection."""
        reader, self._reader, self.link = self._reader, None, None
        if self.finished or reader is None:
            return
        reader.end()
        if reader.in_answer or (self._waiting and not (reader.said_close or reader.may_end)):
            self._give_up("cut" if reader.in_answer else "closed unasked")
            return
        # An answer said that it was the last one; what else was sent has to be sent again.
        self._unsent.extendleft(reversed(self._waiting))
        self._waiting.clear()
        if self._unsent:
            self.loop.call_later(0.01, self._begin)
        else:
            self._finish()

    def expected(self) -> Told | None:
        """Whose answer begins now."""
        return self.told[self._waiting[0].no] if self._waiting else None

    def answered(self, told: Told) -> None:
        self._waiting.popleft()
        told.ended, told.done_s = "answered", self.loop.now_s
        if self._on_answered(told) and self._reader is not None:
            self._reader.may_end = True
        if not self.session.pipelined and self.link is not None and not (self._reader and self._reader.said_close):
            self._send_next()
        elif not self._unsent and not self._waiting and self._reader is not None and not self._reader.said_close:
            self._finish()

    # ---- leaving

    def _leave(self, ask: Ask, link: Link) -> None:
        if self.link is not link or self.told[ask.no].over:
            return
        assert ask.leave is not None
        for waiting in self._waiting:
            self.told[waiting.no].left_s = self.loop.now_s
        self._give_up("left")
        self.link = None
        link.leaves(reset=ask.leave.reset)

    def _give_up(self, how: str) -> None:
        for ask in (*self._waiting, *self._unsent):
            told = self.told[ask.no]
            told.ended = how if ask in self._waiting or how != "left" else "never asked"
            told.done_s = self.loop.now_s
        self.finished = True

    def _finish(self) -> None:
        self.finished = True
        if self.link is not None:
            self.link.leaves()

    def _stall(self) -> None:
        self.reads = False
        self.loop.call_later(self.session.stalls_s[1], self._wake)

    def _wake(self) -> None:
        self.reads = True
        if self.link is not None:
            self.link.reads_again()


class _Reader:
    """Reads the answers of one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._told: Told | None = None
        self._body = bytearray()
        self._interim = False
        self.heard_bytes = 0
        self.said_close = False
        self.may_end = False
        self.trouble = ""

    @property
    def in_answer(self) -> bool:
        return self._told is not None

    def feed(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            told = self._told or self._client.expected()
            self.trouble = f"{error!r} {data[:200]!r}"
            if told is not None:
                told.got.headers["trouble"] = self.trouble
        if self._told is not None:
            self._told.got.body = bytes(self._body)

    def on_message_begin(self) -> None:
        self._told = told = self._client.expected()
        if told is None:
            raise ValueError("an answer that nobody asked for")
        told.begun_s = self._client.loop.now_s
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._told is not None:
            self._told.got.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        told = self._told
        assert told is not None
        told.got.status = self._parser.get_status_code()
        self.said_close = not self._parser.should_keep_alive() or told.got.headers.get("connection") == "close"

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        told = self._told
        assert told is not None
        told.got.framed = True
        told.got.body = bytes(self._body)
        self._told = None
        self.heard_bytes = 0
        self._client.answered(told)

    def end(self) -> None:
        """The connection is over; a body without a length is complete then."""
        told = self._told
        if told is not None and told.got.status and not {"content-length", "transfer-encoding"} & told.got.headers.keys():
            self.on_message_complete()
