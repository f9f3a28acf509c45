"""Request parameters become a query, or the first thing wrong with them is named."""

import pytest

from setpoint.domain.faults import Fault
from setpoint.domain.trace_query import LIST_FIELDS, PARAMETERS, Position, TraceQuery, cursor_of, query_from


def good(**parameters: str) -> TraceQuery:
    query = query_from(parameters)
    assert isinstance(query, TraceQuery), query
    return query


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "1001"), ("limit", "ten"), ("limit", "5000"), ("fields", "id,nope"), ("fields", ","), ("sort", "price"),
        ("status", "abc"), ("outcome", "bad"), ("cache", "x"), ("surface", "x"), ("min_cost", "-1"), ("max_cost", "NaN"),
        ("min_latency_ms", "x"), ("from", "yesterday"), ("to", "2026-13-01"), ("cursor", "!!"), ("cursor", "AAAA"), ("colour", "red"),
        ("fields", "attributes.nope"), ("model", ",".join(map(str, range(101)))),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    found = query_from({name: value})
    assert isinstance(found, Fault)
    assert found.param == name
    assert found.http_status == 400


def test_values_get_their_units() -> None:
    query = good(min_cost="0.5", max_latency_ms="1.5", outcome="ok,fault", status="200, 429", model="a,b,a")
    assert query.cost_min_nanousd == 500_000_000
    assert query.latency_max_ns == 1_500_000
    assert query.numbers == {"outcome": (0, 1), "status": (200, 429)}
    assert query.texts == {"model": ("a", "b")}


@pytest.mark.parametrize("text", ["1970-01-02", "1970-01-02T00:00:00Z", "1970-01-02T01:00:00+01:00", "1970-01-02T01:00:00 01:00"])
def test_times_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert good(**{"from": text}).from_ns == 86_400 * 10**9


def test_no_fields_means_all_and_attributes_can_be_picked() -> None:
    assert good().fields == LIST_FIELDS
    assert good(fields="trace_id,model,cost").fields == ("trace_id", "model", "cost")
    assert good(fields="attributes.gen_ai.request.model").fields == ("attributes.gen_ai.request.model",)


def test_a_cursor_goes_on_with_the_same_filters_only() -> None:
    position = Position(5, b"x" * 16)
    cursor = cursor_of(good(model="a"), position)
    assert good(model="a", cursor=cursor).after == position
    assert good(model="a", cursor=cursor, limit="7", fields="id").after == position
    other = query_from({"model": "b", "cursor": cursor})
    assert isinstance(other, Fault)
    assert "other filters" in other.message


def test_the_filter_by_key_has_a_spelling_that_is_no_credential() -> None:
    query = query_from({"key_id": "public"})
    assert isinstance(query, TraceQuery)
    assert query.texts == {"key": ("public",)}
    assert "key" not in PARAMETERS


@pytest.mark.parametrize(("text", "expected"), [("0001-01-01T00:00:00+14:00", 0), ("9999-12-31T23:59:59-14:00", 2**63 - 1)])
def test_times_that_no_trace_can_have_stay_within_what_the_stores_can_hold(text: str, expected: int) -> None:
    assert good(to=text).to_ns == expected
