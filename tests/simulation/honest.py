"""Whether the end of one request was honest: what its client got follows from what its last call said.

The rules of the fault wall say what a client must get for a class of fault; here they are asked of the last call that was made. What only
the bytes can tell (an answer cut anywhere) may be a whole answer if all of it came, else an error.
"""

from collections.abc import Iterator
from typing import Literal

from tests.gateway.world import PRICES
from tests.simulation.clients import Client, Told
from tests.simulation.schedule import MODEL, Ask
from tests.simulation.story import Filed, Story
from tests.simulation.upstreams import CallSeen

from setpoint.domain.faults import FaultKind
from setpoint.domain.money import cost_nanousd
from setpoint.domain.trace import Outcome
from setpoint.domain.usage import Usage
from setpoint.testing.fault_wall.judge import Heard, judge
from setpoint.testing.fault_wall.modes import FaultClass
from setpoint.testing.fault_wall.rules import RULES
from setpoint.testing.fault_wall.verdict import VECTORS

LET_GO_S = 0.1
"""How soon after the gateway knows that a client left its upstream must be let go of."""
TICK_S = 0.06
BEGIN_S = 1_000.0
"""What the virtual clock shows when a story begins."""
BAD_STATUS = {"bad_key": 401, "no_key": 401, "no_model": 404, "not_json": 400, "no_body": 400}
FULL = {FaultKind.overloaded, FaultKind.no_target, FaultKind.draining}
"""Faults of the gateway itself that some schedules bring about."""
AGAIN = frozenset({"failed", "busy", "told_to_wait", "credential"})
"""Classes after which another target has to be tried."""


def answered(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    ask, got, head = told.ask, told.got, end.record.head
    if "trouble" in got.headers:
        yield f"the answer is no HTTP: {got.headers['trouble']}"
        return
    if got.headers.get("x-setpoint-request-id") != head.request_id.hex():
        yield "the request id of the answer is not that of its record"
    streamed = ask.streamed and got.status == 200
    heard = judge(ask.surface, got, _said(story, ask), streamed=streamed)
    match heard.ending:
        case "whole":
            yield from _whole(story, told, end, calls, heard)
        case "status":
            yield from _refused(story, told, end, calls)
        case "event":
            yield from _broken(story, told, end, calls, heard)
        case "raises" if calls and calls[-1].play.fault_class(streamed=True) == "garbled":
            pass
        case _:
            yield f"it ended as {heard.ending}: {heard.why}; calls {brief(calls)}"


def _said(story: Story, ask: Ask) -> frozenset[str]:
    texts = {call.reply.text for call in story.upstreams.calls if call.mark == ask.mark}
    return frozenset(texts | {VECTORS}) if ask.surface == "embeddings" else frozenset(texts)


def _whole(story: Story, told: Told, end: Filed, calls: list[CallSeen], heard: Heard) -> Iterator[str]:
    ask, head = told.ask, end.record.head
    if ask.bad:
        yield f"a bad request ({ask.bad}) was answered"
    if (head.outcome, head.status, head.fault) != (Outcome.ok, 200, 0):
        yield f"a whole answer is recorded as {Outcome(head.outcome).name}, {head.status}, fault {head.fault}"
    if head.attempts == 0:
        yield from _again(story, ask, end)
    elif not calls:
        yield "a whole answer without a call"
    else:
        yield from _said_by(story, ask, end, calls[-1], heard)


def _again(story: Story, ask: Ask, end: Filed) -> Iterator[str]:
    """From the cache, or shared with an equal request."""
    head = end.record.head
    counted = {_tokens(call) for call in story.upstreams.calls if call.mark == ask.mark}
    if (head.input, head.output) not in counted and ask.surface != "embeddings" and not end.record.tail.estimated:
        yield f"an answer of the cache has {head.input} and {head.output} tokens, which nobody counted"
    if head.cost_nanousd > 0 or (story.schedule.setting.route(ask.route).cache.mode == "off" and not ask.cache):
        yield "it was not to be cached"


def _said_by(story: Story, ask: Ask, end: Filed, last: CallSeen, heard: Heard) -> Iterator[str]:
    """A whole answer is all that the last call said, and its tokens are that call's."""
    if ask.surface != "embeddings" and heard.text != last.reply.text:
        yield f"it says {heard.text!r}, but the last call said {last.reply.text!r}"
    told_class = _class(last, ask)
    if told_class != "cut anywhere" and "whole" not in RULES[told_class].ends:
        yield f"a whole answer although the last call was {last.play.name}"
    if told_class == "harmless":
        if not heard.terminal:
            yield "the surface's own end is missing"
        yield from _counted(ask, end, last, heard)


def _counted(ask: Ask, end: Filed, last: CallSeen, heard: Heard) -> Iterator[str]:
    head = end.record.head
    if ask.surface == "embeddings":
        if head.input == 0:
            yield "no tokens are recorded for embeddings"
        return
    if heard.usage is not None and heard.usage != _tokens(last):
        yield f"it states {heard.usage} tokens, not {_tokens(last)}"
    if (head.input, head.output) != _tokens(last) or end.record.tail.estimated:
        yield f"{head.input} and {head.output} tokens are recorded, not {_tokens(last)}"
    cost = cost_nanousd(PRICES.exact["acme"][MODEL], Usage(input=head.input, output=head.output))
    if head.cost_nanousd != cost:
        yield f"a cost of {head.cost_nanousd} is recorded, not {cost}"


def _class(call: CallSeen, ask: Ask) -> FaultClass | Literal["cut anywhere"]:
    """What a call came to; one that was hung up on in the middle came as far as it came."""
    told_class = call.play.fault_class(streamed=ask.streamed)
    return "cut anywhere" if told_class == "harmless" and call.ended != "answered" else told_class


def _tokens(call: CallSeen) -> tuple[int, int]:
    return call.reply.input_tokens, call.reply.output_tokens


def _refused(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    ask, got, head = told.ask, told.got, end.record.head
    if (head.outcome, head.status) != (Outcome.fault, got.status):
        yield f"an answer of status {got.status} is recorded as {Outcome(head.outcome).name}, {head.status}"
    if got.headers.get("x-setpoint-error-code") != str(head.fault):
        yield f"the answer's error code is {got.headers.get('x-setpoint-error-code')}, its record's {head.fault}"
    if got.headers.get("x-setpoint-attempts", "0") != str(head.attempts):
        yield f"the answer says {got.headers.get('x-setpoint-attempts')} attempts, its record {head.attempts}"
    if head.input or head.output:
        yield f"{head.input} and {head.output} tokens are charged for an answer that never came"
    kind = FaultKind(head.fault)
    if ask.bad:
        if got.status != BAD_STATUS[ask.bad] and kind not in FULL:
            yield f"a bad request ({ask.bad}) got {got.status}"
        if calls:
            yield f"a bad request ({ask.bad}) was sent to an upstream"
        return
    if kind is FaultKind.internal:
        yield "a bug of the gateway's own"
    if kind in FULL:
        yield from _own_fault(story, told, end, kind)
    else:
        yield from _upstreams_fault(story, told, end, calls)


def _own_fault(story: Story, told: Told, end: Filed, kind: FaultKind) -> Iterator[str]:
    setting = story.schedule.setting
    if kind is FaultKind.draining and end.at_s < story.drain_ends_s:
        yield "ended as draining before the worker's time was up"
    if kind is FaultKind.overloaded and setting.in_flight_max > 100 and setting.connections_max > 2:
        yield "ended as overloaded by a worker with nothing to do"
    if kind is FaultKind.no_target and not setting.breaks:
        yield "every circuit is said to be open, and there are none"
    if "retry-after" not in told.got.headers:
        yield f"{kind.name} without a word on when to come back"


def _upstreams_fault(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    ask, got, head = told.ask, told.got, end.record.head
    route = story.schedule.setting.route(ask.route)
    unreached = story.upstreams.connects_failed > 0
    if not calls:
        if not unreached:
            yield f"status {got.status} ({FaultKind(head.fault).name}) without a call"
        return
    last = calls[-1]
    told_class = last.play.fault_class(streamed=ask.streamed)
    if told_class == "harmless" and last.ended == "answered" and not unreached:
        yield f"a good answer became status {got.status} ({FaultKind(head.fault).name}: {end.record.tail.fault_message})"
    patience_s = min(route.timeouts.first_byte_s, route.timeouts.idle_s, route.timeouts.unary_total_s)
    if told_class == "harmless" and last.ended == "hung up" and last.ended_s - last.at_s < patience_s - TICK_S:
        yield f"a good upstream was hung up on after {last.ended_s - last.at_s:.2f} s"
    if told_class != "cut anywhere" and not unreached and last.ended == "answered":
        rule = RULES[told_class]
        first, final = rule.statuses
        if told_class != "harmless" and not first <= got.status <= final:
            yield f"status {got.status} for {last.play.name}"
    if told_class == "told_to_wait" and not unreached and not {"retry-after", "retry-after-ms"} & got.headers.keys():
        yield "the client is not told when to come back"
    yield from _gave_up_early(story, told, end, calls)


def _gave_up_early(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    """Another target was left to try, and it was not tried."""
    ask, setting = told.ask, story.schedule.setting
    route = setting.route(ask.route)
    if setting.breaks or story.schedule.drains or end.record.head.attempts >= route.retries.attempts:
        return
    budget_s = route.timeouts.stream_total_s if ask.streamed else route.timeouts.unary_total_s
    elapsed_s = end.record.head.duration_ns / 1e9
    tried = {sent.line.upstream.name for sent in story.sent if sent.ask == ask.no}
    classes = {call.play.fault_class(streamed=ask.streamed) for call in calls}
    if elapsed_s < budget_s and classes <= AGAIN and any(target.upstream not in tried for target in route.targets):
        yield f"it gave up after {end.record.head.attempts} of {route.retries.attempts} attempts, with a target left; calls {brief(calls)}"


def _broken(story: Story, told: Told, end: Filed, calls: list[CallSeen], heard: Heard) -> Iterator[str]:
    head, ask = end.record.head, told.ask
    if head.outcome != Outcome.fault or head.status != 200 or not head.fault:
        yield f"a stream with an error event is recorded as {Outcome(head.outcome).name}, {head.status}, fault {head.fault}"
    if not calls:
        yield "a broken stream without a call"
        return
    last = calls[-1]
    told_class = last.play.fault_class(streamed=True)
    client_slow = head.fault in (FaultKind.upstream_timeout, FaultKind.upstream_cut) and _slow(story, told)
    if told_class == "harmless" and last.ended == "answered" and not client_slow and head.fault != FaultKind.draining:
        yield f"a good stream ended in an error ({end.record.tail.fault_message})"
    if told_class == "failed":
        yield f"content was let through of a call that failed before it ({last.play.name})"
    if not heard.text and told_class in ("broken_off", "garbled"):
        yield f"an error event without content; another call could have been made ({heard.why})"
    if heard.text and not head.input:
        yield "content was delivered, and nothing is charged"
    if ask.surface == "embeddings":
        yield "embeddings are no stream"


def _slow(story: Story, told: Told) -> bool:
    """The client took so long to read that the time of its stream was up."""
    session = client_of(story, told).session
    return bool(session.pace_s or session.stalls_s[1])


def left(story: Story, told: Told, ends: list[Filed], calls: list[CallSeen]) -> Iterator[str]:
    links = [link for link in story.client_links if link.noticed_s and link.far is client_of(story, told)]
    noticed_s = max((link.noticed_s for link in links), default=0.0)
    if noticed_s:
        late = [call for call in calls if (call.ended_s or 1e12) > noticed_s + LET_GO_S]
        if late:
            yield f"the client left, and its upstream was not let go of: {brief(late)}"
    if not ends:
        return
    head = ends[0].record.head
    if noticed_s and ends[0].at_s > noticed_s + TICK_S:
        yield "its END was written long after the client had left"
    if head.outcome == Outcome.client_gone and head.status != 499:
        yield f"a client that left is recorded with status {head.status}"
    if (
        noticed_s
        and ends[0].at_s > noticed_s
        and head.outcome != Outcome.client_gone
        and not (head.outcome == Outcome.ok and head.streamed)
    ):
        yield f"a client that left is recorded as {Outcome(head.outcome).name}, {head.status}"


def client_of(story: Story, told: Told) -> Client:
    return next(client for client in story.clients if told.ask.no in client.told)


def brief(calls: list[CallSeen]) -> str:
    """Calls in a line."""
    return ", ".join(
        f"{call.upstream} {call.play.name} {call.ended or 'open'} {call.at_s - BEGIN_S:.2f}-{call.ended_s - BEGIN_S:.2f}" for call in calls
    )
