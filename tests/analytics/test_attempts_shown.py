"""Calls of a trace as people see them: which key, when, and which of two at once."""

from typing import Any

import msgspec

from setpoint.analytics.trace_view import whole_trace
from setpoint.analytics.unsealed import attempt_of
from setpoint.domain.trace import Attempt, RecordHead, RecordKind, RecordTail
from setpoint.wire.spool import encode_head, encode_tail

START_NS = 1_700_000_000_000_000_000


def head(kind: RecordKind, **members: Any) -> RecordHead:
    given: dict[str, Any] = {
        "kind": kind, "outcome": 0, "surface": 1, "cache": 0, "status": 200, "attempts": 2, "request_id": bytes(16), "trace_id": bytes(16),
        "start_ns": START_NS, "duration_ns": 3 * 10**9, "ttft_ns": 0, "upstream_ns": 2 * 10**9, "cost_nanousd": 30_000, "input": 10,
        "cached_read": 0, "cache_write": 0, "output": 5, "reasoning": 0, "key_no": 1, "config_version": 1, "fault": 0, "streamed": False,
        **members,
    }  # fmt: skip
    return RecordHead(**given)


def attempt(head_members: dict[str, Any], **tail: Any) -> Attempt:
    packed = encode_tail(RecordTail(upstream="slow", provider="acme", model="m", **tail))
    return attempt_of(encode_head(head(RecordKind.attempt, **head_members), len(packed), 0, 0), packed)


def shown(tail: RecordTail, *attempts: Attempt) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = whole_trace(head(RecordKind.end), tail, list(attempts), b"", b"")["attempt_list"]
    return found


def test_the_slower_of_two_calls_is_shown_beside_the_one_that_answered() -> None:
    slower = attempt(
        {"status": 0, "cost_nanousd": 10_000, "duration_ns": 10**9}, attempt_no=2, hedged=True, estimated=True, began_ns=1_500_000_000
    )
    two, one = shown(RecordTail(upstream="quick", provider="acme", model="m", attempt_no=1, hedged=True, key="eu"), slower)
    assert (two["no"], two["upstream"], two["hedged"], two["cost"], two["error"]) == (2, "slow", True, "0.00001", None)
    assert (one["no"], one["upstream"], one["hedged"], one["key"], one["cost"]) == (1, "quick", True, "eu", None)
    assert (two["start_time"][17:23], one["start_time"][17:23]) == ("21.500", "20.000")


def test_a_failed_call_shows_its_key_and_when_it_began() -> None:
    failed = attempt({"status": 429, "fault": 1603, "cost_nanousd": -1, "duration_ns": 10**9}, attempt_no=1, key="us", began_ns=500_000_000)
    one, two = shown(RecordTail(upstream="u", provider="acme", model="m", key="eu"), failed)
    assert (one["no"], one["key"], one["hedged"], one["start_time"][17:23], one["error"]["kind"]) == (
        1,
        "us",
        False,
        "20.500",
        "upstream_rate",
    )
    assert (two["no"], two["key"], two["start_time"][17:23]) == (2, "eu", "21.500")


def test_a_target_that_could_not_express_the_request_is_shown_as_no_call() -> None:
    told = attempt({"status": 0, "fault": 1002, "cost_nanousd": -1}, attempt_no=0)
    assert [each["no"] for each in shown(RecordTail(upstream="u", provider="acme", model="m"), told)] == [0, 2]


def test_attempts_stored_before_keys_and_hedges_existed_can_be_read() -> None:
    old = b'{"no":1,"upstream":"u","provider":"p","model":"m","status":500,"fault":1605,"fault_message":"x","start_ns":1,"duration_ns":2}'
    assert msgspec.json.decode(old, type=Attempt).key == ""
