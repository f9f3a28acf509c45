"""Records go through the spool format and come back as what happened."""

from typing import Any

import msgspec
import pytest
from tests.gateway.world import ANSWER, DONE, STREAM_END, STREAM_HEAD, answer, ask, chat_body, event, plan_of, status_of, world

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import Capture
from setpoint.domain.trace import CacheTier, Outcome, RecordKind, Surface
from setpoint.gateway.records import TEXT_MAX
from setpoint.wire import gauge_page as at

SAID = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x-request-id": "mine-1",
    "x-setpoint-session-id": "s-1",
    "x-setpoint-tags": "a,b",
}


def test_an_end_record_has_everything_that_is_known() -> None:
    with world() as w:
        client = w.client()
        client.says(ask(headers=SAID, user="u-1"))
        w.loop.advance(0.5)
        w.up().says(answer())
        w.loop.spin()
        (end,) = w.sink.records()
        head, tail = end.head, end.tail
        assert (head.kind, head.outcome, head.surface, head.cache, head.status) == (
            RecordKind.end, Outcome.ok, Surface.openai_chat, CacheTier.bypass, 200,
        )  # fmt: skip
        assert head.trace_id.hex() == SAID["traceparent"][3:35]
        assert head.request_id.hex() in client.sent.decode()
        assert abs(head.duration_ns - 500_000_000) < 1_000_000
        assert head.upstream_ns == head.duration_ns
        assert (head.cost_nanousd, head.input, head.output, head.key_no, head.config_version) == (20_000, 10, 5, 7, 1)
        assert (tail.route, tail.upstream, tail.provider, tail.model, tail.model_served) == ("m-1", "one", "acme", "m-1", "m-1-2026")
        assert (tail.client_request_id, tail.session_id, tail.tags, tail.user) == ("mine-1", "s-1", "a,b", "u-1")
        assert (tail.project, tail.role, tail.public_id, tail.parent_span) == ("default", "developer", "pub7", "00f067aa0ba902b7")
        assert (end.prompt, msgspec.json.decode(end.answer)) == (chat_body(user="u-1"), ANSWER)
        assert (tail.prompt_bytes, tail.answer_bytes) == (len(end.prompt), len(end.answer))


def test_a_fault_is_recorded_with_its_words() -> None:
    with world() as w:
        w.client().says(ask())
        w.up().says(answer(b'{"error":{"message":"boom"}}', 500))
        w.loop.spin()
        (end,) = w.sink.records()
        assert (end.head.outcome, end.head.status, end.head.fault) == (Outcome.fault, 502, FaultKind.upstream_server)
        assert end.tail.fault_message


@pytest.mark.parametrize(
    ("capture", "prompt", "reply"), [(Capture(prompts=False), 0, 222), (Capture(answers=False), 59, 0), (Capture(bytes_max=10), 10, 10)]
)
def test_capture_keeps_what_it_should_and_the_lengths_of_all(capture: Capture, prompt: int, reply: int) -> None:
    with world(plan_of(capture=capture)) as w:
        w.client().says(ask())
        w.up().says(answer())
        w.loop.spin()
        (end,) = w.sink.records()
        assert (len(end.prompt), len(end.answer)) == (prompt, reply)
        assert (end.tail.prompt_bytes, end.tail.answer_bytes) == (59, 222)


def test_texts_a_client_chooses_are_cut() -> None:
    long = "x" * 5_000
    with world(plan_of(capture=Capture(prompts=False))) as w:
        said = {"x-request-id": long, "x-setpoint-session-id": long, "x-setpoint-tags": long}
        w.client().says(ask(long[:500], headers=said, user=long))
        w.loop.spin()
        tail = w.sink.records()[0].tail
        assert {len(tail.client_request_id), len(tail.session_id), len(tail.tags), len(tail.user)} == {TEXT_MAX}


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 5_000_000_000, "completion_tokens": 1},
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 2**63, "completion_tokens": 2**63},
        {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -9}},
        {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 2**40}},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_absurd_figures_of_an_upstream_cost_neither_the_answer_nor_the_record(usage: dict[str, Any], stream: bool) -> None:
    with world() as w:
        client = w.client()
        client.says(ask(stream=stream))
        if stream:
            w.up().says(STREAM_HEAD + event("a") + event(finish="stop") + event(usage=usage) + DONE + STREAM_END)
        else:
            w.up().says(answer(msgspec.json.encode({**ANSWER, "usage": usage})))
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert len(w.sink.ends()) == 1
        assert w.clean


def test_a_spool_that_refuses_loses_records_and_counts_them_but_no_answer() -> None:
    with world() as w:
        w.sink.refusing = True
        client = w.client()
        client.says(ask())
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert (w.page[at.TRACE_DROPS], w.page[at.TRACE_RECORDS]) == (1, 0)


def test_what_is_counted_agrees_with_what_is_recorded() -> None:
    with world() as w:
        client = w.client()
        for _ in range(3):
            client.says(ask())
            w.up().says(answer())
            w.loop.spin()
        assert w.page[at.TRACE_RECORDS] == len(w.sink.records()) == 3
        assert w.page[at.REQUESTS + Surface.openai_chat * at.STATUS_CLASSES + 2] == 3
        assert (w.page[at.TOKENS_INPUT], w.page[at.COST_NANOUSD], w.page[at.IN_FLIGHT]) == (30, 60_000, 0)
