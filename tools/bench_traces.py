"""Whether the trace ids that clients were told are those that are stored: each once, none beside."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.bench_load import Ask
from tools.bench_running import Running

from tools import bench_load, bench_ours

CONNECTIONS = 32
LOAD_S = 30.0
STORED_S = 10.0
PAUSE_S = 0.1
TRACES_ASKED = 2000
PAGE = 1000


@dataclass(frozen=True)
class TraceSet:
    """The ids in the answers beside the ids stored."""

    answered: int
    equal: int
    missing: int
    extra: int
    doubled: int
    without_id: int
    failed: int
    seconds: float
    """Until all were there, or `STORED_S`."""


def compare_traces(setpoint: Running, kinds: Sequence[Ask]) -> TraceSet:
    """A load of all kinds at once, in a session of its own; then every page of that session, until all are there or time is up."""
    session = f"benchmark-{time.time_ns()}"
    inside = [replace(ask, headers={**ask.headers, "x-setpoint-session-id": session}) for ask in kinds]
    counts = bench_load.drive(setpoint.port, bench_ours.KEY, inside, CONNECTIONS, LOAD_S, TRACES_ASKED)
    began_s = time.monotonic()
    stored: list[str] = []
    while time.monotonic() - began_s < STORED_S:
        stored = stored_ids(setpoint, session)
        if set(stored) == set(counts.trace_ids):
            break
        time.sleep(PAUSE_S)
    return judged(counts, stored, time.monotonic() - began_s)


def judged(counts: bench_load.Counts, stored: Sequence[str], seconds: float) -> TraceSet:
    """The two sets beside each other."""
    answered, kept = set(counts.trace_ids), set(stored)
    doubled = len(stored) - len(kept) + len(counts.trace_ids) - len(answered)
    missing, extra = len(answered - kept), len(kept - answered)
    return TraceSet(counts.done, len(answered & kept), missing, extra, doubled, counts.without_id, counts.failed, seconds)


def stored_ids(setpoint: Running, session: str) -> list[str]:
    """The trace ids of one session, page by page."""
    ids: list[str] = []
    cursor = ""
    while True:
        status, body = setpoint.get(f"/api/v1/traces?session_id={session}&limit={PAGE}&fields=trace_id{cursor and '&cursor=' + cursor}")
        if status != 200:
            return ids
        page = json.loads(body)
        ids += [item["trace_id"] for item in page["data"]]
        if not (next_page := page["meta"].get("cursor")):
            return ids
        cursor = next_page
