"""Upstreams that answer each call as the schedule says, and note what they saw."""

import re
from collections import Counter, deque
from collections.abc import Callable

import httptools
import msgspec
from tests.simulation.links import Link, SimLoop
from tests.simulation.schedule import NEVER, Play, Schedule

from setpoint.testing.answers import Answer, answer
from setpoint.testing.fault_wall.modes import MODE_OF, Spot
from setpoint.testing.replies import Reply, status, text
from setpoint.testing.wire_faults import Close, Pause, Send, Stall, Step, steps

_MARK = re.compile(rb"sim-(\d{4})")


class CallSeen(msgspec.Struct):
    """A call as an upstream saw it. `bare`: it ended without one byte of an answer, on a connection that had been kept."""

    mark: int
    no: int
    upstream: str
    at_s: float
    play: Play
    reply: Reply
    reused: bool
    sent_bytes: int = 0
    ended_s: float = 0.0
    ended: str = ""

    @property
    def bare(self) -> bool:
        return self.reused and self.ended == "closed" and not self.sent_bytes


def reply_for(mark: int, no: int, play: Play) -> Reply:
    """What call `no` of a mark says: no two calls say the same, or count the same tokens."""
    return text(f"[{mark:04d}.{no}] good ", "day, Zoë ", "🙂.", input_tokens=100 + 10 * mark + no, output_tokens=20 + 10 * mark + no)


def steps_of(play: Play, reply: Reply, target: str, body: bytes) -> list[Step]:
    """What an upstream does for one call."""
    if play.name in ("503 and wait", "429 and wait"):
        refused = status(int(play.name[:3]), "later, please", retry_after=f"{play.wait_s:g}")
        return steps(answer(refused, target, body))
    mode = MODE_OF.get(play.name)
    if mode is not None:
        whole = answer(mode.says or reply, target, body)
        if mode.framing is not None:
            whole = msgspec.structs.replace(whole, framing=mode.framing)
        fault = mode.fault and msgspec.structs.replace(mode.fault, after_pieces=_pieces_before(whole, reply, mode.spot))
        return steps(whole, fault, mode.split, reply.input_tokens)
    played = steps(answer(reply, target, body))
    if play.name == "wait first":
        return [Pause(play.wait_s / 4), *played]
    return _cut(play, played)


def _cut(play: Play, played: list[Step]) -> list[Step]:
    """The answer up to a part of its bytes."""
    left = int(play.at * sum(len(step.data) for step in played if isinstance(step, Send)))
    kept: list[Step] = []
    for step in played:
        if isinstance(step, Send):
            kept.append(Send(step.data[:left]))
            left -= len(step.data)
        if left <= 0:
            break
    return [*kept, Stall() if play.name == "stall at" else Close(reset=play.name == "reset at")]


def _pieces_before(whole: Answer, reply: Reply, spot: Spot) -> int:
    first, last = (
        next((at for at, piece in enumerate(whole.pieces) if part.encode() in piece), 0) for part in (reply.pieces[0], reply.pieces[-1])
    )
    return {"opening": first, "content": first + 1, "all": last + 1}[spot]


class Upstreams:
    """All upstreams of a schedule, and what they saw."""

    def __init__(
        self, loop: SimLoop, schedule: Schedule, protest: Callable[[str], None], on_begin: Callable[[Link, CallSeen], None]
    ) -> None:
        self.loop = loop
        self.protest = protest
        self._on_begin = on_begin
        self.calls: list[CallSeen] = []
        self._counts: Counter[int] = Counter()
        self._asks = {ask.mark: ask for ask in reversed(list(schedule.asks))}
        self._closed: dict[str, tuple[str, float]] = {}
        self.connects_failed = 0
        loop.meet = self.meet

    def close_door(self, upstream: str, kind: str, lasts_s: float) -> None:
        self._closed[upstream] = (kind, self.loop.now_s + lasts_s)

    async def meet(self, host: str) -> "UpstreamEnd":
        """Somebody opens a connection."""
        name = host.partition(".")[0]
        kind, until_s = self._closed.get(name, ("", 0.0))
        if self.loop.now_s < until_s:
            self.connects_failed += 1
            if kind == "refuse":
                raise ConnectionRefusedError(111, "Connection refused")
            await self.loop.create_future()
        return UpstreamEnd(self, name)

    def begin(self, end: "UpstreamEnd", target: str, body: bytes) -> tuple[CallSeen, list[Step]]:
        found = _MARK.search(body)
        if found is None:
            self.protest(f"{end.name} was asked for something that nobody asked: {body[:200]!r}")
            return CallSeen(-1, 0, end.name, self.loop.now_s, Play(), text("?"), reused=False), []
        mark = int(found[1])
        self._counts[mark] += 1
        no = self._counts[mark]
        play = self._asks[mark].play(no)
        reply = reply_for(mark, no, play)
        call = CallSeen(mark, no, end.name, self.loop.now_s, play, reply, end.served > 0 or self.loop.now_s > end.opened_s)
        self.calls.append(call)
        self._on_begin(end.link, call)
        return call, steps_of(play, reply, target, body)

    def open_calls(self) -> list[CallSeen]:
        return [call for call in self.calls if not call.ended]


class UpstreamEnd:
    """The far end of one connection to an upstream."""

    reads = True
    pace_s = 0.0
    quota_bytes = NEVER

    def __init__(self, all_of_them: Upstreams, name: str) -> None:
        self._all = all_of_them
        self.name = name
        self.link: Link
        self.served = 0
        self.opened_s = all_of_them.loop.now_s
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._body: list[bytes] = []
        self._call: CallSeen | None = None
        self._todo: deque[Step] = deque()

    def heard(self, data: bytes) -> None:
        if self._call is not None:
            self._all.protest(f"{self.name} got bytes in the middle of its answer to call {self._call.no} of {self._call.mark}")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._all.protest(f"{self.name} cannot read the request: {error!r} {data[:200]!r}")

    def ended(self, *, reset: bool) -> None:
        self._end("hung up" if reset else "let go")

    def on_message_begin(self) -> None:
        self._target, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._call, played = self._all.begin(self, self._target.decode("latin-1"), b"".join(self._body))
        self._todo = deque(step for step in played if step != Send(b""))
        self._step()

    def _step(self) -> None:
        call, loop = self._call, self._all.loop
        if call is None:
            return
        match self._todo.popleft() if self._todo else None:
            case Send(data):
                call.sent_bytes += len(data)
                self.link.says(data)
                if self._todo and not isinstance(self._todo[0], Close):
                    loop.call_later(call.play.gap_s, self._step)
                else:
                    self._step()  # the gateway may send the next request as soon as it has the last byte
            case Pause(seconds):
                loop.call_later(seconds, self._step)
            case Stall():
                pass
            case Close(reset):
                self._end("closed")
                self.link.leaves(reset=reset)
            case None:
                self.served += 1
                self._end("answered")

    def _end(self, how: str) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.ended, call.ended_s = how, self._all.loop.now_s
