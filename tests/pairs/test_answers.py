"""Every recorded answer, unary and streamed, reaches the clients of every other dialect whole.

What the answer says is worked out from the recorded JSON by hand (`told`), what the client sees by its vendor's own SDK (`vendors`).
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import pytest
from tests.pairs.recordings import CORPUS, SKIPPED, Recorded, answers
from tests.pairs.registry import SURFACES, Surface, differences
from tests.pairs.said import Said
from tests.pairs.told.events import NotOneAnswerError

from setpoint.domain.chat import ChatAnswer
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Failed, StreamEvent
from setpoint.wire.dialect import Dialect

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=SKIPPED)

EXCEPTIONS_MAX = 0.01
"""The part of a pair's answers that may be named exceptions."""

EXCEPTIONS: dict[tuple[str, str, str], str] = {}
"""(recording, source, target): why the target's API has no place for what it says."""

PAIRS = [(source, target) for source in SURFACES for target in SURFACES if source != target]


@dataclass
class Counted:
    """The score of one pair."""

    tried: int = 0
    passed: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    not_tried: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Read:
    """A recorded answer, what it tells, and what the code under test made of it."""

    recorded: Recorded
    told: Said
    answer: ChatAnswer | None = None
    events: tuple[StreamEvent, ...] = ()


def events_of(dialect: Dialect, stream: bytes) -> tuple[StreamEvent, ...]:
    decoder = dialect.stream_decoder()
    return (*decoder.feed(stream), *decoder.finish())


def rendered(dialect: Dialect, events: tuple[StreamEvent, ...]) -> bytes:
    renderer = dialect.stream_renderer("shown", 1, include_usage=True)
    return b"".join(map(renderer.render, events)) + renderer.finish()


@cache
def read_of(source: Surface) -> tuple[list[Read], Counter[str], list[str]]:
    """Recorded answers as nouns; what is no answer, counted; what should have been read and was not."""
    found, set_aside, failures = [], Counter[str](), []
    for recorded in [*answers(source.name, False), *answers(source.name, True)]:
        try:
            told = (source.told_stream if recorded.streaming else source.told_answer)(recorded.body)
        except NotOneAnswerError as reason:
            set_aside[str(reason)] += 1
            continue
        if recorded.streaming:
            events = events_of(source.dialect, recorded.body)
            fault = last.fault if isinstance(last := events[-1], Failed) else None
            read = Read(recorded, told, events=events)
        else:
            answer = source.dialect.decode_answer(recorded.body)
            fault = answer if isinstance(answer, Fault) else None
            read = Read(recorded, told, None if isinstance(answer, Fault) else answer)
        if fault is None:
            found.append(read)
        elif told.stop == "content_filter" and not told.text and fault.kind is FaultKind.content_filter:
            set_aside["blocked by the provider, as recorded"] += 1
        else:
            failures.append(f"{recorded.id} ({recorded.provider}): not read: {fault.message}")
    return found, set_aside, failures


def shown(read: Read, target: Surface) -> Said:
    if read.answer is None:
        return target.read_stream(rendered(target.dialect, read.events))
    return target.read_answer(target.dialect.encode_answer(read.answer, "shown", 1))


@cache
def tried(source_name: str, target_name: str) -> Counted:
    source, target = SURFACES[source_name], SURFACES[target_name]
    counted = Counted()
    reads, set_aside, failures = read_of(source)
    counted.not_tried.update(set_aside)
    counted.failures += failures
    counted.tried = len(failures)
    for read in reads:
        if reason := target.cannot(read.told):
            counted.not_tried[reason] += 1
            continue
        counted.tried += 1
        found = _problems(read, target)
        if not found:
            counted.passed += 1
        elif named := EXCEPTIONS.get((read.recorded.id, source_name, target_name)):
            counted.exceptions[named] += 1
        else:
            way = "streamed" if read.recorded.streaming else "unary"
            counted.failures.append(f"{read.recorded.id} ({read.recorded.provider}, {way}): {'; '.join(found)[:800]}")
    return counted


def _problems(read: Read, target: Surface) -> list[str]:
    try:
        return differences(read.told, shown(read, target), target)
    except Exception as error:  # noqa: BLE001  the SDKs raise what they like; any of it is a defect
        return [f"the client fails: {type(error).__name__}: {error}"]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=[f"{source}-{target}" for source, target in PAIRS])
def test_recorded_answers_reach_the_client_whole(source: str, target: str) -> None:
    counted = tried(source, target)
    print(f"\n{source} → {target}: {counted.passed} of {counted.tried}, {dict(counted.exceptions)}, not tried {dict(counted.not_tried)}")
    assert not counted.failures, f"{len(counted.failures)} of {counted.tried} differ:\n" + "\n".join(counted.failures[:20])
    assert counted.exceptions.total() <= EXCEPTIONS_MAX * counted.tried
    assert counted.passed


def test_the_table_of_answers() -> None:
    """Passed of tried, for each source and target; run with -s to see it."""
    names = list(SURFACES)
    lines = ["source \\ target".ljust(20) + "".join(name[:18].rjust(19) for name in names)]
    for source in names:
        cells = []
        for target in names:
            counted = tried(source, target) if source != target else None
            cells.append(f"{counted.passed}/{counted.tried}" if counted else "-")
        lines.append(source.ljust(20) + "".join(cell.rjust(19) for cell in cells))
    lines += [f"{source}: set aside {dict(read_of(SURFACES[source])[1])}" for source in names]
    print("\n" + "\n".join(lines))
    total = [tried(source, target) for source, target in PAIRS]
    print(f"{sum(one.passed for one in total)} of {sum(one.tried for one in total)} answers reach the other client whole")
    assert all(one.passed for one in total)
