"""Whether a story went as it must: each request ended in one honest way, its record says so, and nothing is left."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

from tests.simulation.clients import Told
from tests.simulation.honest import answered, brief, client_of, left
from tests.simulation.story import Filed, Story
from tests.simulation.upstreams import CallSeen

from setpoint.domain.faults import FaultKind
from setpoint.domain.trace import Outcome, RecordKind, Surface
from setpoint.wire import gauge_page as at

WAITS = frozenset({"429 and wait", "503 and wait"})


def verdict(story: Story) -> list[str]:
    """Everything that was wrong; nothing means that the schedule holds."""
    wrong = list(story.wrong)
    if not story.in_time:
        late = [told.ask.no for told in story.told if not told.over]
        return [*wrong, f"no end in time of asks {late}"]
    for told in story.told:
        wrong += [
            f"ask {told.ask.no} ({told.ask.surface}{', stream' if told.ask.streamed else ''}): {what}" for what in _of_one(story, told)
        ]
    return [*wrong, *_bookkeeping(story), *_left_behind(story)]


# ---- one request


def _of_one(story: Story, told: Told) -> Iterator[str]:
    ends = story.book.of(told.ask.no, RecordKind.end)
    calls = story.calls_of(told.ask.no)
    if len(ends) > 1:
        yield f"{len(ends)} END records"
        return
    if calls and not ends:
        yield "a call was made, and there is no END record"
        return
    if ends:
        yield from _record_alone(story, told, ends[0], calls)
        yield from _calls(story, told, ends[0], calls)
    match told.ended:
        case "answered":
            if not ends:
                yield "answered without an END record"
            else:
                if not told.recorded_in_time:
                    yield "the answer's last bytes left before its END record was written"
                yield from answered(story, told, ends[0], calls)
        case "left":
            yield from left(story, told, ends, calls)
        case "never asked" | "refused":
            if ends:
                yield "an END record for what nobody asked"
        case _:
            if not _may_be_cut(story, told):
                got = told.got
                yield f"the connection was {told.ended}: status {got.status}, {got.body[:100]!r} {got.headers.get('trouble', '')}"


def _may_be_cut(story: Story, told: Told) -> bool:
    """A drain ends in cutting what is left; a client that takes nothing for half a minute is cut off."""
    session = client_of(story, told).session
    return told.done_s >= story.drain_ends_s or session.stalls_s[1] > 30


# ---- records and calls


def _record_alone(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    head, route = end.record.head, story.schedule.setting.route(told.ask.route)
    if head.attempts > route.retries.attempts:
        yield f"{head.attempts} attempts on a route that allows {route.retries.attempts}"
    begun = story.book.of(told.ask.no, RecordKind.begin)
    if len(begun) != head.streamed:
        yield f"{len(begun)} BEGIN records of {'a stream' if head.streamed else 'what was no stream'}"
    failed = [filed.record.tail.attempt_no for filed in story.book.of(told.ask.no, RecordKind.attempt)]
    ended_between = head.fault in {FaultKind.no_target, FaultKind.client_gone, FaultKind.draining} or story.schedule.setting.breaks
    least, most = max(0, head.attempts - 1), head.attempts if ended_between else max(0, head.attempts - 1)
    if failed != list(range(1, len(failed) + 1)) or not least <= len(failed) <= most:
        yield f"ATTEMPT records {failed} for {head.attempts} attempts"
    if head.upstream_ns > head.duration_ns + 1_000:
        yield f"{head.upstream_ns} ns of {head.duration_ns} were spent upstream"
    known = [version for at_s, version in story.versions if at_s <= end.at_s]
    if head.config_version not in known:
        yield f"version {head.config_version} of the plan was not there yet"
    if (head.outcome == Outcome.ok) != (head.fault == 0):
        yield f"recorded as {Outcome(head.outcome).name} with fault {head.fault}"


def _calls(story: Story, told: Told, end: Filed, calls: list[CallSeen]) -> Iterator[str]:
    ask, head = told.ask, end.record.head
    ours = [sent for sent in story.sent if sent.ask == ask.no]
    if len(ours) > head.attempts:
        yield f"{len(ours)} calls are {head.attempts} attempts in the record"
    for sent in ours:
        again = len(sent.seen) - 1
        if again > 0 and not all(seen.bare for seen in sent.seen[:-1]):
            yield f"one attempt reached its upstream {len(sent.seen)} times: {brief(sent.seen)}"
    for before, after in pairwise(calls):
        told_class = before.play.fault_class(streamed=ask.streamed)
        if told_class == "refused":
            yield f"a refused request was sent again ({before.play.name})"
        elif told_class == "credential" and before.upstream == after.upstream:
            yield f"a refused credential was used again ({before.play.name})"
        elif before.play.name in WAITS and before.upstream == after.upstream and before.ended == "answered":
            if after.at_s - before.ended_s < before.play.wait_s - 1e-6:
                yield f"{before.upstream} said to wait {before.play.wait_s:g} s and was asked after {after.at_s - before.ended_s:.2f} s"
        elif told_class == "harmless" and before.ended == "answered":
            yield f"a good answer was thrown away: {brief(calls)}"
    if told.begun_s and told.got.status == 200 and head.streamed:
        late = [call for call in calls if call.at_s > told.begun_s]
        if late:
            yield f"a call after content was forwarded: {brief(late)}"


# ---- the worker


def _bookkeeping(story: Story) -> Iterator[str]:
    """The counters of the worker's page are the sums of its records."""
    ends = [filed.record.head for listed in story.book.by_ask.values() for filed in listed if filed.record.head.kind == RecordKind.end]
    page = story.world.page
    requests = sum(page[at.REQUESTS : at.REQUESTS + len(Surface) * at.STATUS_CLASSES])
    fresh = [head for head in ends if head.cache != 2]
    for name, counted, recorded in (
        ("requests", requests, len(ends)),
        ("attempts", page[at.ATTEMPTS], sum(head.attempts for head in ends)),
        ("input tokens", page[at.TOKENS_INPUT], sum(head.input for head in fresh)),
        ("output tokens", page[at.TOKENS_OUTPUT], sum(head.output for head in fresh)),
        ("cost", page[at.COST_NANOUSD], sum(head.cost_nanousd for head in fresh if head.cost_nanousd > 0)),
        ("records", page[at.TRACE_RECORDS], story.book.number),
    ):
        if counted != recorded:
            yield f"the page counts {counted} {name}, the records {recorded}"
    for ask, listed in story.book.by_ask.items():
        if ask < 0:
            yield f"records of nobody's request: {listed[0].record}"


def _left_behind(story: Story) -> Iterator[str]:
    """Nothing is under way, and after the last connection is gone nothing is left."""
    world, loop = story.world, story.loop
    if not world.clean:
        yield f"{world.lane.in_flight} exchanges and {world.lane.body_bytes_held} bytes of bodies are left"
    if calls := story.upstreams.open_calls():
        yield f"calls are left open: {brief(calls)}"
    page = world.page
    if page[at.IN_FLIGHT] or page[at.OPEN_STREAMS]:
        yield f"the page says {page[at.IN_FLIGHT]} in flight, {page[at.OPEN_STREAMS]} streams"
    busy = [line.upstream.name for line in story._lines if line.pool.busy]
    if busy:
        yield f"connections to {busy} are busy, or waited for"
    used = [published.in_use for published in (*world.lane._older, world.lane.published)]
    if any(used):
        yield f"plans are still in use: {used}"
    if len(world.cache._flights._flights):
        yield "somebody still waits for an equal request"
    world.lane.abort_all()
    world.workshop.abort()
    world.engine.abort()
    loop.run_until(lambda: not len(world.deadlines), loop.now_s + 30.0)
    if len(world.deadlines):
        yield f"{len(world.deadlines)} deadlines are left"
    if tasks := asyncio.all_tasks(loop):
        yield f"tasks are left: {tasks}"
    if loop.errors:
        yield f"a callback raised: {loop.errors[0].get('exception')!r}"
    yield from (f"logged: {line}" for line in world.log if "bug" in line)
