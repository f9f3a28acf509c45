"""Every wire fault, on both surfaces, over both dialects, unary and streamed, with and without a healthy spare.

The table below says what must come of each: a whole answer; an error status (after how many calls); or, once content has reached the
client, an error event in the client's dialect and no other call. In every case exactly one END record is written, it tells the same
outcome, and the gateway serves the next request as if nothing had been.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest

from setpoint.domain.faults import FAULT_CLASSES, FaultKind
from setpoint.domain.plan import DialectName, Retries, Timeouts
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.testing.conversation import CHAT_PATH, MESSAGES_PATH, chat, messages
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, running_gateway
from setpoint.testing.hearing import heard_text, is_terminated, sse_error
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.wire_faults import FAULT_NAMES, HARMLESS, FaultName, WireFault
from setpoint.wire.spool import Record

Ending = Literal["whole", "status", "event"]

SAID = text("good ", "day, Zoë ", "🙂")
HEARD = SAID.text
SPARE = text("from the ", "spare")
CALLS_MAX = 2
SHORT_TIMEOUTS = Timeouts(connect_s=1.0, first_byte_s=0.15, idle_s=0.15, unary_total_s=5.0, stream_total_s=5.0)
STALLS: frozenset[FaultName] = frozenset({"hang_before_head", "head_then_hang", "stall_mid_body"})
"""Only these are asked for by a route with short deadlines, so that a busy machine is not taken for a fault."""
HEALTHY_A_RETRY = 4
RETRIES = Retries(attempts=CALLS_MAX, base_s=0.001, factor=1.0, cap_s=0.002)


class Expected(msgspec.Struct, frozen=True):
    """What must come of a fault that always strikes, without a spare. `ends`: how it may end. `status` and `calls` are for "status"."""

    ends: tuple[Ending, ...]
    status: int = 0
    calls: int = CALLS_MAX
    kinds: tuple[FaultKind, ...] = ()


def fails(status: int, *kinds: FaultKind, calls: int = CALLS_MAX) -> Expected:
    return Expected(("status",), status, calls, kinds)


WHOLE = Expected(("whole",))
BROKEN_OFF = Expected(("event",))
NEARLY_WHOLE = Expected(("whole", "event"))
"""All the content came, but not the very end: both are honest."""
CUT = fails(502, FaultKind.upstream_cut, FaultKind.upstream_unreachable)
LATE = fails(504, FaultKind.upstream_timeout)
SENSELESS = fails(502, FaultKind.upstream_server, FaultKind.upstream_cut)
LIMITED = fails(429, FaultKind.upstream_rate, calls=1)
ILL = fails(503, FaultKind.upstream_overloaded)

UNARY: dict[FaultName, Expected] = {
    "rate_limited_seconds": LIMITED,
    "rate_limited_date": LIMITED,
    "status": ILL,
    "html_error": ILL,
    "empty_error": ILL,
    "early_reset": CUT,
    "reset_before_head": CUT,
    "close_before_head": CUT,
    "hang_before_head": LATE,
    "head_then_hang": LATE,
    "stall_mid_body": LATE,
    "cut": CUT,
    "cut_in_character": CUT,
    "reset_mid_body": CUT,
    "ended_early": SENSELESS,
    "missing_terminator": SENSELESS,
    "bad_json": SENSELESS,
    "bad_sse": WHOLE,
    "error_event": WHOLE,
    "short_content_length": SENSELESS,
    "long_content_length": CUT,
    **dict.fromkeys(HARMLESS, WHOLE),
}

STREAMED: dict[FaultName, Expected] = {
    **{name: UNARY[name] for name in FAULT_NAMES if UNARY[name].status in (429, 503) or "head" in name},
    "early_reset": CUT,
    "stall_mid_body": BROKEN_OFF,
    "cut": BROKEN_OFF,
    "cut_in_character": BROKEN_OFF,
    "reset_mid_body": BROKEN_OFF,
    "ended_early": BROKEN_OFF,
    "missing_terminator": NEARLY_WHOLE,
    "bad_json": NEARLY_WHOLE,
    "bad_sse": NEARLY_WHOLE,
    "error_event": BROKEN_OFF,
    "short_content_length": Expected(("whole", "event", "status"), 502, CALLS_MAX, SENSELESS.kinds),
    "long_content_length": NEARLY_WHOLE,
    **dict.fromkeys(HARMLESS, WHOLE),
}

AFTER_CONTENT: dict[DialectName, int] = {"openai_chat": 2, "anthropic": 4}
"""How many events of a stream come before its second text delta is due."""


class Wall:
    """The gateway and the upstreams of one dialect: the one that breaks, and a healthy spare."""

    def __init__(self, gateway: RunningGateway, dialect: DialectName, broken: FakeUpstream, spare: FakeUpstream) -> None:
        self.gateway = gateway
        self.dialect = dialect
        self.broken = broken
        self.spare = spare
        self.struck: FaultName | None = None

    def ask(self, surface: str, model: str, *, stream: bool) -> Received:
        if self.struck in STALLS:
            model += "-short"
        ask = (chat if surface == CHAT_PATH else messages)("hi", model=model, stream=stream)
        with RawClient(self.gateway.port) as client:
            return client.send(request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {self.gateway.key}")).receive()

    def strike(self, name: FaultName) -> None:
        """Break one upstream.

        It has no idle connection left, since a failure on a reused one is tried once more on a new one without being counted. And some
        healthy requests come first, because retries at one place are charged to a budget that requests fill.
        """
        self.struck = None
        self.broken.hang_up()
        self.spare.forget()
        for _ in range(HEALTHY_A_RETRY):
            assert self.ask(CHAT_PATH, "healthy", stream=False).status == 200
        self.broken.forget()
        self.spare.forget()
        self.broken.says(SAID)
        self.spare.says(SPARE)
        self.broken.breaks(WireFault(name, after_pieces=AFTER_CONTENT[self.dialect]))
        self.struck = name

    def heal(self) -> None:
        self.broken.breaks(None)
        self.struck = None


Pair = tuple[DialectName, FakeUpstream, FakeUpstream]


@pytest.fixture(scope="module", params=["openai_chat", "anthropic"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with FakeUpstream() as broken, FakeUpstream() as spare:
        yield request.param, broken, spare


@pytest.fixture(scope="module")
def wall(pair: Pair) -> Iterator[Wall]:
    dialect, broken, spare = pair
    upstreams = (fake(broken, "broken", dialect), fake(spare, "spare", dialect))
    routes = (
        route("healthy", "spare", target_model="fake-1"),
        route("alone", "broken", target_model="fake-1", retries=RETRIES),
        route("spared", "broken", "spare", target_model="fake-1", retries=RETRIES),
        route("alone-short", "broken", target_model="fake-1", timeouts=SHORT_TIMEOUTS, retries=RETRIES),
        route("spared-short", "broken", "spare", target_model="fake-1", timeouts=SHORT_TIMEOUTS, retries=RETRIES),
    )
    with running_gateway(plan(upstreams, routes)) as gateway:
        yield Wall(gateway, dialect, broken, spare)


def ending(answer: Received) -> Ending:
    """How an answer ended, checked to be one of the honest ways."""
    assert answer.complete, f"the client was left with half an answer: {answer}"
    if answer.status != 200:
        assert answer.json["error"]["message"]
        assert answer.headers["x-setpoint-error-code"]
        return "status"
    if "event-stream" not in answer.headers["content-type"]:
        assert heard_text(answer) == HEARD
        return "whole"
    error = sse_error(answer.body)
    if error is not None:
        assert not is_terminated(answer.body), "an error event must not be followed by the end of a good stream"
        assert answer.body.count(b'"error"') <= 2, "exactly one error event"
        return "event"
    return "whole"


def check_records(wall: Wall, seen_before: int, answer: Received) -> Record:
    """Exactly one END, which tells what the client was told; an ATTEMPT for each call but the last; a BEGIN for a stream."""
    request_id = bytes.fromhex(answer.headers["x-setpoint-request-id"])
    mine = [r for r in wall.gateway.records() if r.head.request_id == request_id]
    kinds = [r.head.kind for r in mine]
    assert kinds.count(RecordKind.end) == 1
    assert len(wall.gateway.ends()) == seen_before + 1
    end = next(r for r in mine if r.head.kind == RecordKind.end)
    assert end.head.status == answer.status
    assert kinds.count(RecordKind.attempt) == end.head.attempts - 1
    assert kinds.count(RecordKind.begin) == int(answer.status == 200 and end.head.streamed)
    return end


CASES = [(name, stream) for name in FAULT_NAMES for stream in (False, True)]
IDS = [f"{name}-{'stream' if stream else 'unary'}" for name, stream in CASES]


@pytest.mark.parametrize("surface", [CHAT_PATH, MESSAGES_PATH], ids=["chat", "messages"])
@pytest.mark.parametrize(("name", "stream"), CASES, ids=IDS)
def test_a_fault_ends_as_the_table_says(wall: Wall, surface: str, name: FaultName, stream: bool) -> None:
    expected = (STREAMED if stream else UNARY)[name]
    wall.strike(name)
    before = len(wall.gateway.ends())
    answer = wall.ask(surface, "alone", stream=stream)
    how = ending(answer)
    assert how in expected.ends, f"{answer.status} {answer.body!r}"
    end = check_records(wall, before, answer)
    if how == "whole":
        assert heard_text(answer) == HEARD or name in ("bad_json", "bad_sse")
        assert (end.head.outcome, end.head.fault) == (Outcome.ok, 0)
        assert end.head.attempts == 1 or "status" in expected.ends
    elif how == "event":
        assert HEARD.startswith(heard_text(answer))
        assert heard_text(answer)
        assert end.head.outcome == Outcome.fault
        assert end.head.attempts == 1 or "status" in expected.ends
        assert FAULT_CLASSES[FaultKind(end.head.fault)].blame == "upstream"
    else:
        assert (answer.status, end.head.attempts) == (expected.status, expected.calls)
        assert (end.head.outcome, FaultKind(end.head.fault) in expected.kinds) == (Outcome.fault, True), FaultKind(end.head.fault)
        assert len(wall.broken.seen) == expected.calls
    wall.heal()
    assert heard_text(wall.ask(surface, "alone", stream=stream)) == HEARD, "the next request must be served"


@pytest.mark.parametrize("surface", [CHAT_PATH, MESSAGES_PATH], ids=["chat", "messages"])
@pytest.mark.parametrize(("name", "stream"), CASES, ids=IDS)
def test_a_spare_takes_over_until_content_has_reached_the_client(wall: Wall, surface: str, name: FaultName, stream: bool) -> None:
    expected = (STREAMED if stream else UNARY)[name]
    wall.strike(name)
    before = len(wall.gateway.ends())
    answer = wall.ask(surface, "spared", stream=stream)
    how = ending_with_spare(answer)
    check_records(wall, before, answer)
    if "status" in expected.ends and ("event" not in expected.ends or wall.spare.seen):
        assert (how, heard_text(answer)) == ("whole", SPARE.text)
        assert answer.headers["x-setpoint-attempts"] == "2"
        assert (len(wall.broken.seen), len(wall.spare.seen)) == (1, 1)
    else:
        assert how in expected.ends
        assert not wall.spare.seen


def ending_with_spare(answer: Received) -> Ending:
    return "whole" if answer.status == 200 and heard_text(answer) == SPARE.text else ending(answer)


BEFORE_CONTENT: list[FaultName] = ["cut", "reset_mid_body", "stall_mid_body", "error_event"]


@pytest.mark.parametrize("name", BEFORE_CONTENT)
@pytest.mark.parametrize("surface", [CHAT_PATH, MESSAGES_PATH], ids=["chat", "messages"])
def test_a_stream_that_breaks_before_any_content_can_still_move(wall: Wall, surface: str, name: FaultName) -> None:
    """The head and the opening events alone commit nobody: the client has seen nothing yet."""
    wall.strike(name)
    wall.broken.breaks(WireFault(name, after_pieces=1))
    answer = wall.ask(surface, "spared", stream=True)
    assert heard_text(answer) == SPARE.text
    assert sse_error(answer.body) is None
    alone = wall.ask(surface, "alone", stream=True)
    assert alone.status in (502, 503, 504)


def test_the_tables_name_every_fault() -> None:
    assert set(UNARY) == set(STREAMED) == set(FAULT_NAMES)


def test_a_retry_after_in_seconds_reaches_the_client(wall: Wall) -> None:
    wall.strike("rate_limited_seconds")
    assert wall.ask(CHAT_PATH, "alone", stream=False).headers["retry-after"] == "2"


def test_no_connection_is_left_behind(wall: Wall) -> None:
    """After a broken exchange its connection is closed; what stays open is idle and reused."""
    for name in ("hang_before_head", "cut", "stall_mid_body", "reset_mid_body"):
        wall.strike(name)
        wall.ask(CHAT_PATH, "alone", stream=True)
    wall.heal()
    opened = wall.broken.connections
    for _ in range(5):
        wall.ask(CHAT_PATH, "alone", stream=True)
    assert wall.broken.connections <= opened + 1
    wall.broken.wait_for(lambda: wall.broken.connections_open <= 1)
