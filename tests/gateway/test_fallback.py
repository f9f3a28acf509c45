"""What is tried when a target turned a request away: by cause, in order, within the budget; and what it then all cost."""

from typing import Any

import msgspec
import pytest
from tests.gateway.network import Wire
from tests.gateway.world import (
    ANSWER,
    DONE,
    PRICES,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    ask,
    body_of,
    event,
    headers_of,
    plan_of,
    post,
    status_of,
    upstream,
    world,
)

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import Fallbacks, Plan, Retries, Route, Target
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.domain.usage import Usage
from setpoint.gateway.fallback import both
from setpoint.gateway.surfaces import CHAT
from setpoint.wire import gauge_page as at

TOO_LONG = b'{"error":{"message":"This model\'s maximum context length is 8 tokens.","code":"context_length_exceeded"}}'
FILTERED = (
    b'{"error":{"message":"The response was filtered.","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}'
)
REFUSED = msgspec.json.encode(
    {**ANSWER, "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"}]}
)


def plan(*names: str, attempts: int = 4, dialects: dict[str, Any] | None = None, **chains: tuple[str, ...]) -> Plan:
    """A route m-1 to `names`, with chains of targets by cause; upstreams a to d, all of provider acme, whose m-1 has a price."""
    listed = [upstream(name, dialect=(dialects or {}).get(name, "openai_chat")) for name in "abcd"]
    fallbacks = Fallbacks(**{cause: tuple(Target(name) for name in targets) for cause, targets in chains.items()})
    return plan_of(
        *listed,
        routes=(Route("m-1", tuple(Target(name) for name in names), retries=Retries(attempts=attempts), fallbacks=fallbacks),),
        prices=PRICES,
    )


def asked(w: World) -> list[str]:
    return [str(each["to"][0]).partition(".")[0] for each in w.loop.asked]


def serve(w: World, *replies: bytes, **members: Any) -> Wire:
    """Ask; each upstream that is asked gives the next reply."""
    client = w.client()
    client.says(ask(**members))
    for reply in replies:
        w.up().says(reply)
        w.loop.spin()
    return client


def decided(w: World) -> Any:
    return msgspec.json.decode(w.sink.ends()[-1].tail.decision)


# ---- faults


def test_a_prompt_that_is_too_long_goes_to_the_chain_for_that() -> None:
    with world(plan("a", "b", context_window=("c",), content_filter=("d",))) as w:
        client = serve(w, answer(TOO_LONG, 400), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "c"])
        found = headers_of(client.sent)
        assert (found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == ("2", "1")
        assert found["x-setpoint-decision"] == "strategy=failover; reason=configured; fallback=context_window"
        assert w.sink.kinds() == [RecordKind.attempt, RecordKind.end]
        failed = w.sink.records()[0]
        assert (failed.head.fault, failed.tail.upstream, failed.head.status) == (FaultKind.context_length, "a", 400)
        assert decided(w)["fallback"] == "context_window"
        assert w.page[at.FALLBACKS] == 1
        assert w.clean


def test_a_request_that_a_filter_refuses_goes_to_the_chain_for_that() -> None:
    with world(plan("a", context_window=("c",), content_filter=("d",))) as w:
        client = serve(w, answer(FILTERED, 400), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "d"])


def test_without_a_chain_for_it_a_fault_of_the_request_stands() -> None:
    with world(plan("a", "b", content_filter=("d",))) as w:
        client = serve(w, answer(TOO_LONG, 400))
        assert (status_of(client.sent), asked(w)) == (400, ["a"])


def test_a_chain_goes_on_while_the_cause_stays_the_same_and_asks_nobody_twice() -> None:
    with world(plan("a", context_window=("a", "b", "c", "d"))) as w:
        client = serve(w, *[answer(TOO_LONG, 400)] * 3, answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b", "c", "d"])
        assert headers_of(client.sent)["x-setpoint-fallback"] == "3"


def test_a_chain_that_ends_leaves_the_last_word() -> None:
    with world(plan("a", context_window=("b",))) as w:
        client = serve(w, answer(TOO_LONG, 400), answer(TOO_LONG, 400))
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-error-code"], asked(w)) == (400, "1007", ["a", "b"])


def test_one_cause_may_lead_to_another() -> None:
    with world(plan("a", context_window=("b",), content_filter=("c",))) as w:
        client = serve(w, answer(TOO_LONG, 400), answer(FILTERED, 400), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b", "c"])


@pytest.mark.parametrize(("attempts", "calls"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
def test_calls_of_chains_count_among_the_attempts(attempts: int, calls: list[str]) -> None:
    with world(plan("a", attempts=attempts, context_window=("b", "c", "d"))) as w:
        client = serve(w, *[answer(TOO_LONG, 400)] * attempts)
        assert (status_of(client.sent), asked(w)) == (400, calls)
        assert headers_of(client.sent)["x-setpoint-attempts"] == str(attempts)


def test_targets_for_errors_stand_behind_the_others() -> None:
    with world(plan("a", "b", error=("d",))) as w:
        client = serve(w, answer(b"{}", 500), answer(b"{}", 500), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b", "d"])
        assert decided(w)["order"] == [["a/m-1"], ["b/m-1"], ["d/m-1"]]
        assert decided(w)["fallback"] == "error"


def test_a_target_of_a_chain_that_fails_gives_way_to_the_next() -> None:
    with world(plan("a", context_window=("b", "c"))) as w:
        client = serve(w, answer(TOO_LONG, 400), answer(b"{}", 503), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b", "c"])


def test_further_models_of_a_request_help_against_long_prompts_and_filters() -> None:
    routes = (Route("m-1", (Target("a"),)), Route("big", (Target("b"),)))
    for fault in (TOO_LONG, FILTERED):
        with world(plan_of(*[upstream(name) for name in "ab"], routes=routes)) as w:
            client = serve(w, answer(fault, 400), answer(), fallbacks=["big"])
            assert (status_of(client.sent), asked(w)) == (200, ["a", "b"])


def test_a_stream_that_is_refused_before_its_head_goes_on_too() -> None:
    with world(plan("a", context_window=("b",))) as w:
        client = serve(w, answer(TOO_LONG, 400), STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END, stream=True)
        assert (status_of(client.sent), client.sent.count(b"hello"), asked(w)) == (200, 1, ["a", "b"])
        assert headers_of(client.sent)["x-setpoint-fallback"] == "1"


# ---- refusals


def test_an_answer_that_is_a_refusal_goes_to_the_chain_for_that_and_is_paid_for() -> None:
    with world(plan("a", refusal=("b",))) as w:
        client = serve(w, answer(REFUSED), answer())
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b"])
        assert b"hello" in client.sent
        assert headers_of(client.sent)["x-setpoint-cost-usd"] == "0.00004"
        (attempt, end) = w.sink.records()
        assert (attempt.head.fault, attempt.tail.upstream, attempt.head.status) == (FaultKind.content_filter, "a", 200)
        assert "content_filter" in attempt.tail.fault_message
        assert (end.head.input, end.head.output, end.head.cost_nanousd, end.head.outcome) == (20, 10, 40_000, Outcome.ok)
        assert end.tail.upstream == "b"


@pytest.mark.parametrize("last", [answer(b"{}", 400), answer(REFUSED)])
def test_when_nobody_says_more_the_refusal_is_the_answer(last: bytes) -> None:
    with world(plan("a", refusal=("b",))) as w:
        client = serve(w, answer(REFUSED), last)
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b"])
        assert msgspec.json.decode(body_of(client.sent))["choices"][0]["finish_reason"] == "content_filter"
        end = w.sink.ends()[0]
        assert end.tail.finish == "content_filter"
        assert end.head.cost_nanousd == (40_000 if last == answer(REFUSED) else 20_000)


def test_the_kept_refusal_is_told_as_of_who_said_it() -> None:
    with world(plan("a", refusal=("b",))) as w:
        client = serve(w, answer(REFUSED), answer(b'{"error":{"message":"no"}}', 400))
        end = w.sink.ends()[0]
        assert (end.tail.upstream, end.tail.model_served, end.head.fault) == ("a", "m-1-2026", 0)
        assert (end.head.input, end.head.output) == (10, 5)
        assert "x-setpoint-error-code" not in headers_of(client.sent)


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        ("anthropic", {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": "refusal",
                       "usage": {"input_tokens": 1, "output_tokens": 1}}),
        ("gemini", {"candidates": [{"finishReason": "SAFETY", "index": 0}], "usageMetadata": {"promptTokenCount": 1}}),
        ("gemini", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 1}}),
        ("bedrock_converse", {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "guardrail_intervened",
                              "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}),
        ("openai_responses", {"id": "r", "object": "response", "status": "incomplete", "incomplete_details": {"reason": "content_filter"},
                              "output": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}),
    ],
)  # fmt: skip
def test_every_vendors_word_for_it_is_known(dialect: str, reply: dict[str, Any]) -> None:
    with world(plan("a", dialects={"a": dialect}, refusal=("b",))) as w:
        client = serve(w, answer(msgspec.json.encode(reply)), answer())
        assert (asked(w), b"hello" in client.sent) == (["a", "b"], True)


def test_a_refusal_in_words_is_one() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    spoken = {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    with world(plan("a", refusal=("b",))) as w:
        assert b"hello" in serve(w, answer(msgspec.json.encode(spoken)), answer()).sent
    message["refusal"] = None
    with world(plan("a", refusal=("b",))) as w:
        assert status_of(serve(w, answer(msgspec.json.encode(spoken))).sent) == 200
        assert asked(w) == ["a"]


def test_a_refusal_in_words_to_a_client_of_responses_is_one() -> None:
    output = [
        {"type": "message", "id": "x", "role": "assistant", "status": "completed", "content": [{"type": "refusal", "refusal": "No."}]}
    ]
    said = {"id": "r", "object": "response", "status": "completed", "model": "x", "output": output,
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}  # fmt: skip
    with world(plan("a", dialects={"a": "openai_responses"}, refusal=("b",))) as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","input":"hi"}', "/v1/responses"))
        for reply in (answer(msgspec.json.encode(said)), answer()):
            w.up().says(reply)
            w.loop.spin()
        assert (asked(w), b"hello" in client.sent) == (["a", "b"], True)


def test_a_stream_that_ends_in_a_refusal_before_any_content_goes_on() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 0}
    with world(plan("a", refusal=("b",))) as w:
        refused = STREAM_HEAD + event() + event(finish="content_filter") + event(usage=usage) + DONE + STREAM_END
        told = STREAM_HEAD + event("hello") + event(finish="stop") + event(usage={"prompt_tokens": 10, "completion_tokens": 5}) + DONE
        client = serve(w, refused, told + STREAM_END, stream=True)
        assert (status_of(client.sent), client.sent.count(b"hello"), asked(w)) == (200, 1, ["a", "b"])
        assert w.sink.kinds() == [RecordKind.attempt, RecordKind.begin, RecordKind.end]
        end = w.sink.ends()[0]
        assert (end.head.input, end.head.output, end.head.cost_nanousd) == (20, 5, 30_000)
        assert w.clean


def test_a_refused_stream_that_nobody_says_more_to_is_an_error_that_says_so() -> None:
    with world(plan("a", refusal=("b",))) as w:
        refused = STREAM_HEAD + event() + event(finish="content_filter") + DONE + STREAM_END
        client = serve(w, refused, answer(b"{}", 400), stream=True)
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-error-code"]) == (400, "1008")
        assert w.sink.ends()[0].tail.upstream == "a"


def test_a_refused_stream_without_another_target_is_given_as_it_is() -> None:
    with world(plan("a", refusal=("a",))) as w:
        client = serve(w, STREAM_HEAD + event() + event(finish="content_filter") + DONE + STREAM_END, stream=True)
        assert (status_of(client.sent), b"content_filter" in client.sent, asked(w)) == (200, True, ["a"])


def test_a_refusal_after_content_was_forwarded_stands() -> None:
    with world(plan("a", refusal=("b",))) as w:
        client = serve(w, STREAM_HEAD + event("I") + event(finish="content_filter") + DONE + STREAM_END, stream=True)
        assert (asked(w), b"content_filter" in client.sent) == (["a"], True)


def test_a_client_that_leaves_has_used_what_was_refused() -> None:
    with world(plan("a", refusal=("b",))) as w:
        client = serve(w, answer(REFUSED))
        w.up()
        client.ends()
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.input, end.head.cost_nanousd) == (Outcome.client_gone, 10 + 5, 20_000 + 5_000)
        assert end.tail.estimated, "what the second call is billed for"
        assert w.clean


def test_a_part_of_unknown_cost_makes_the_whole_unknown() -> None:
    with world(plan("a", refusal=("b",))) as w:
        w.lane.published.resolve("m-1", CHAT).fallbacks["refusal"][0].price = None  # type: ignore[union-attr, index]
        client = serve(w, answer(REFUSED), answer())
        assert "x-setpoint-cost-usd" not in headers_of(client.sent)
        assert (w.sink.ends()[0].head.cost_nanousd, w.sink.ends()[0].head.input) == (-1, 20)


def test_usages_are_added_class_by_class() -> None:
    one, other = Usage(1, 2, 3, 4, 5, 6, 7, 8), Usage(10, 20, 30, 40, 50, 60, 70, 80, estimated=True)
    assert both(one, other) == Usage(11, 22, 33, 44, 55, 66, 77, 88, estimated=True)
    assert (both(None, one), both(one, None), both(None, None)) == (one, one, None)
