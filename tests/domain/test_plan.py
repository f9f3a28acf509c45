"""A plan is a document: it survives its codec unchanged, defaults included."""

import msgspec
import pytest

from setpoint.domain.money import Price
from setpoint.domain.plan import LONG_TIMEOUTS, RETRY_PRESETS, Plan, PriceBook, PriceRule, Route, Target, Timeouts, Upstream


def test_a_plan_survives_msgpack() -> None:
    rule = PriceRule("starts_with", "gpt-", Price(1, 2))
    plan = Plan(
        epoch=1, version=2, created_ns=3,
        upstreams=(Upstream("a", "openai", "openai_chat", "h", 443, True, "/v1", "bearer", b"sealed", headers=(("x", "y"),)),),
        routes=(Route("m", (Target("a"),), timeouts=LONG_TIMEOUTS),),
        prices=PriceBook("v", {"openai": {"m": Price(1, 2)}}, {"openai": (rule,)}),
    )  # fmt: skip
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=Plan) == plan


def test_a_plan_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Plan(1, 1, 0, (), ()).version = 2  # type: ignore[misc]


def test_the_long_preset_is_nowhere_shorter_than_the_default() -> None:
    usual = Timeouts()
    set_in_both = [f for f in Timeouts.__struct_fields__ if getattr(usual, f) is not None]
    assert len(set_in_both) > 5
    assert all(getattr(LONG_TIMEOUTS, f) >= getattr(usual, f) for f in set_in_both)


def test_retry_presets_are_sane() -> None:
    assert RETRY_PRESETS["none"].attempts == 1
    assert all(r.attempts >= 1 and r.base_s <= r.cap_s and r.factor >= 1 for r in RETRY_PRESETS.values())
