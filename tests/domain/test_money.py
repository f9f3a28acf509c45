"""Money is integers; nothing is rounded twice."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.money import NANOUSD_PER_USD, Price, cost_nanousd, usd
from setpoint.domain.usage import Usage

tokens = st.integers(0, 10**6)
rate = st.integers(0, 10**9)
usages = st.builds(Usage, *[tokens] * 8)
full_prices = st.builds(Price, *[rate] * 9)
partial_prices = st.builds(Price, rate, rate, *[st.none() | rate] * 6)

FALLBACKS = {
    "cached_read": "input", "cache_write": "input", "reasoning": "output",
    "audio_input": "input", "audio_output": "output", "image_input": "input",
}  # fmt: skip


def test_one_dollar_a_million_tokens_is_a_million_picodollars_a_token() -> None:
    assert cost_nanousd(Price(input=1_000_000, output=0), Usage(input=1_000_000)) == NANOUSD_PER_USD


@given(full_prices, usages)
def test_the_cost_is_within_half_a_nanodollar_of_the_exact_sum(price: Price, usage: Usage) -> None:
    exact = price.request_picousd + sum(getattr(price, name) * getattr(usage, name) for name in ("input", "output", *FALLBACKS))
    assert abs(cost_nanousd(price, usage) * 1000 - exact) <= 500


@given(partial_prices, usages)
def test_a_class_without_a_rate_costs_what_its_parent_class_costs(price: Price, usage: Usage) -> None:
    filled = {name: getattr(price, parent) for name, parent in FALLBACKS.items() if getattr(price, name) is None}
    assert cost_nanousd(price, usage) == cost_nanousd(msgspec.structs.replace(price, **filled), usage)


def test_a_rate_of_zero_is_a_rate() -> None:
    assert cost_nanousd(Price(input=5_000_000, output=0, cached_read=0), Usage(cached_read=1000)) == 0


@given(partial_prices, usages, usages)
def test_more_tokens_never_cost_less(price: Price, usage: Usage, more: Usage) -> None:
    fields = [f for f in Usage.__struct_fields__ if f != "estimated"]
    both = Usage(**{f: getattr(usage, f) + getattr(more, f) for f in fields})
    assert cost_nanousd(price, both) >= cost_nanousd(price, usage)


def test_half_a_nanodollar_is_rounded_up() -> None:
    assert [cost_nanousd(Price(input=1, output=0), Usage(input=n)) for n in (499, 500, 1499, 1500)] == [0, 1, 1, 2]


@given(st.integers(-(10**18), 10**18))
def test_dollars_as_text_are_exact_and_short(nanousd: int) -> None:
    text = usd(nanousd)
    assert Decimal(text) == Decimal(nanousd) / NANOUSD_PER_USD
    assert "." not in text or not text.endswith(("0", "."))


def test_dollars_as_text_reads_as_people_write_it() -> None:
    assert [usd(n) for n in (0, 1_500_000, 2 * NANOUSD_PER_USD, -1)] == ["0", "0.0015", "2", "-0.000000001"]
