"""The price book says what the table says, and nothing where the table has no plain answer."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from genai_prices.data import providers as table

from setpoint.control.prices import price_book
from setpoint.domain.money import Price, cost_nanousd
from setpoint.domain.plan import PriceBook, PriceRule
from setpoint.domain.prices import find_price
from setpoint.domain.usage import Usage

AT = datetime(2026, 11, 1, tzinfo=UTC)
VENDORS = ("openai", "anthropic", "mistral", "google", "deepseek", "xai", "groq", "openrouter")
BOOK = price_book(VENDORS, AT)
SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.mark.parametrize(
    ("provider", "model", "input_usd_per_mtok", "output_usd_per_mtok"),
    [
        ("openai", "gpt-4o-mini", 0.15, 0.6),
        ("openai", "GPT-4o-mini-2024-07-18", 0.15, 0.6),
        ("openai", "text-embedding-3-small", 0.02, 0),
        ("anthropic", "claude-3-5-haiku-20241022", 0.8, 4),
        ("anthropic", "claude-3-opus-20240229", 15, 75),
    ],
)
def test_known_models_cost_what_their_vendors_say(provider: str, model: str, input_usd_per_mtok: float, output_usd_per_mtok: float) -> None:
    price = find_price(BOOK, provider, model)
    assert price is not None
    assert (price.input, price.output) == (round(input_usd_per_mtok * 1e6), round(output_usd_per_mtok * 1e6))
    assert price.source.startswith("genai-prices ")


def test_a_million_tokens_cost_the_dollars_a_million() -> None:
    price = find_price(BOOK, "openai", "gpt-4o-mini")
    assert price is not None
    assert cost_nanousd(price, Usage(input=1_000_000, output=1_000_000)) == 750_000_000
    assert cost_nanousd(price, Usage(cached_read=1_000_000)) == 75_000_000


@pytest.mark.parametrize(("provider", "model"), [("openai", "no-such-model"), ("nobody", "gpt-4o"), ("openai", "")])
def test_what_nobody_priced_is_unknown_and_not_free(provider: str, model: str) -> None:
    assert find_price(BOOK, provider, model) is None


def test_what_is_not_sold_by_the_token_is_unknown() -> None:
    assert find_price(BOOK, "openai", "whisper-1") is None


def test_a_tiered_price_is_its_base_tier_and_says_so() -> None:
    price = find_price(BOOK, "google", "gemini-2.5-pro")
    assert price is not None
    assert price.input == 1_250_000
    assert price.source.endswith("base tier")


def test_a_price_that_changes_with_the_hour_is_that_of_normal_hours() -> None:
    notes = {price.source.rpartition(", ")[2] for price in BOOK.exact["deepseek"].values()}
    noon, night = (price_book(["deepseek"], datetime(2026, 11, 1, hour, tzinfo=UTC)) for hour in (12, 20))
    assert noon == night
    assert notes


def test_every_name_the_table_spells_out_has_the_price_that_the_table_gives_it() -> None:
    """The table tries its models in order; our exact entries must not let a later model win."""
    compared = 0
    for provider in table:
        if provider.id not in BOOK.exact:
            continue
        for name in BOOK.exact[provider.id]:
            model = provider.find_model(name)
            price = find_price(BOOK, provider.id, name)
            assert model is not None
            assert price is not None
            assert price.source.split(": ", 1)[1].split(", ")[0] == model.id
            compared += 1
    assert compared > 300


def test_a_vendor_that_the_table_calls_otherwise_has_its_prices() -> None:
    assert find_price(BOOK, "xai", "grok-3") is not None


def test_only_the_named_providers_are_in_the_book() -> None:
    book = price_book(["openai", "nobody"], AT)
    assert set(book.exact) == set(book.rules) == {"openai"}


def test_rules_are_tried_in_order_and_after_exact_names() -> None:
    def rule(match: str, text: str, input_picousd: int) -> PriceRule:
        return PriceRule(match, text, Price(input_picousd, 0))  # type: ignore[arg-type]

    kinds = [("starts_with", "a"), ("ends_with", "z"), ("contains", "mm"), ("regex", "^q+$"), ("equals", "e")]
    rules = tuple(rule(match, text, number) for number, (match, text) in enumerate(kinds, 1))
    book = PriceBook("", {"p": {"abc": Price(9, 0)}}, {"p": rules})
    found = {name: find_price(book, "p", name) for name in ("ABC", "abz", "bz", "bmmb", "qqq", "e", "none")}
    assert {name: price.input if price else None for name, price in found.items()} == {
        "ABC": 9, "abz": 1, "bz": 2, "bmmb": 3, "qqq": 4, "e": 5, "none": None,
    }  # fmt: skip


def test_two_independent_tables_agree_on_most_models_of_two_vendors() -> None:
    """LiteLLM's table, kept by other people: where both name a model, four of five input prices are the same."""
    path = SHARED / "data/prices/litellm_model_prices.json.gz"
    if not path.exists():
        pytest.skip(f"1 comparison skipped: {path} is not there")
    other = json.loads(gzip.decompress(path.read_bytes()))
    same = different = 0
    for name, entry in other.items():
        vendor = entry.get("litellm_provider")
        ours = find_price(BOOK, vendor, name) if vendor in {"openai", "anthropic"} and entry.get("mode") == "chat" else None
        if ours is None or "input_cost_per_token" not in entry:
            continue
        if round(entry["input_cost_per_token"] * 1e12) == ours.input:
            same += 1
        else:
            different += 1
    assert same + different > 50
    assert same / (same + different) > 0.8


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("gemini", "gemini-2.5-flash"),
        ("moonshot", "kimi-k2-0905-preview"),
        ("vertex", "gemini-2.5-flash"),
        ("xai", "grok-3"),
    ],
)
def test_providers_that_the_table_calls_otherwise_are_found_in_it(provider: str, model: str) -> None:
    assert find_price(price_book((provider,), AT), provider, model) is not None
