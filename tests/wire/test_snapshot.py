"""A plan and CURRENT read back as written, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.money import Price
from setpoint.domain.plan import Plan, PriceBook, PriceRule, Route, Target, Upstream
from setpoint.domain.snapshot import Current
from setpoint.wire.snapshot import SnapshotDamaged, decode_current, decode_plan, encode_current, encode_plan, plan_sha256

PLAN = Plan(
    epoch=1,
    version=7,
    created_ns=1_700_000_000_000_000_000,
    upstreams=(Upstream("a", "openai", "openai_chat", "api.example", 443, True, "/v1", "bearer", b"sealed"),),
    routes=(Route("fast", (Target("a", "m"),)),),
    prices=PriceBook("v", {"openai": {"m": Price(1, 2)}}, {"openai": (PriceRule("starts_with", "m-", Price(3, 4)),)}),
)
CURRENT = Current(1, 7, bytes(32), 3, bytes(32), 40, 123)


def test_a_plan_reads_back_as_written() -> None:
    assert decode_plan(encode_plan(PLAN)) == PLAN


def test_a_plan_file_says_its_own_hash() -> None:
    assert plan_sha256(encode_plan(PLAN)) != plan_sha256(encode_plan(Plan(1, 8, 0, (), ())))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_of_a_plan_is_noticed(at: int, flip: int) -> None:
    data = bytearray(encode_plan(PLAN))
    data[at % len(data)] ^= flip
    with pytest.raises(SnapshotDamaged):
        decode_plan(bytes(data))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_of_current_is_noticed(at: int, flip: int) -> None:
    data = bytearray(encode_current(CURRENT))
    data[at % len(data)] ^= flip
    with pytest.raises(SnapshotDamaged):
        decode_current(bytes(data))


def test_current_cut_short_is_noticed() -> None:
    data = encode_current(CURRENT)
    assert decode_current(data) == CURRENT
    for end in range(len(data)):
        with pytest.raises(SnapshotDamaged):
            decode_current(data[:end])


def test_order_grows_with_epoch_version_generation_and_log() -> None:
    steps = [(1, 7, 3, 40), (1, 7, 3, 80), (1, 7, 4, 0), (1, 8, 4, 0), (2, 1, 1, 0)]
    orders = [Current(e, v, b"", g, b"", d).order for e, v, g, d in steps]
    assert orders == sorted(orders)
    assert CURRENT.name == "1-7"
