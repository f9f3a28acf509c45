"""The price table: genai-prices (MIT, kept by the Pydantic team), turned into the book that a plan carries.

What the book cannot say stays unknown, rather than being priced nearly right: a model that is billed by the hour or the image has no
entry. Two things are simplified, and `Price.source` says so: of tiered prices the base tier counts, and of prices that change with the
hour the one of normal hours.
"""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data import providers as table
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    TieredPrices,
    TimeOfDateConstraint,
)

from setpoint.domain.money import Price
from setpoint.domain.plan import PriceBook, PriceRule

PICOUSD_PER_TOKEN = 1_000_000
"""of one dollar a million tokens"""
PICOUSD_PER_REQUEST = 1_000_000_000
"""of one dollar a thousand requests"""

_TABLE_NAMES = {
    "bedrock": "aws",
    "gemini": "google",
    "moonshot": "moonshotai",
    "vertex": "google",
    "xai": "x-ai",
}
"""Providers that the table calls otherwise than we do."""
_CLASSES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_read",
    "cache_write_mtok": "cache_write",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
}
_BESIDE = frozenset(
    {
        "cache_write_1h_mtok",
        "cache_audio_read_mtok",
        "cache_image_read_mtok",
        "requests_kcount",
        "storage_searches_kcount",
        "web_searches_kcount",
    }
)
"""Charged beside the tokens, or a finer class than ours; their absence here leaves the price of plain tokens right."""


def price_book(providers: Collection[str], at: datetime) -> PriceBook:
    """Prices that hold at `at` of the named providers; names that the table does not have are left out."""
    source = f"genai-prices {version('genai-prices')}"
    by_id = {provider.id: provider for provider in table}
    chosen = {name: by_id[_TABLE_NAMES.get(name, name)] for name in sorted(providers) if _TABLE_NAMES.get(name, name) in by_id}
    return PriceBook(
        version=source,
        exact={name: dict(_exact(provider, at, source)) for name, provider in chosen.items()},
        rules={name: tuple(_rules(provider, at, source)) for name, provider in chosen.items()},
    )


def _exact(provider: Provider, at: datetime, table_name: str) -> Iterable[tuple[str, Price]]:
    """Full names. The table tries its models in order, so an earlier rule may own a name that a later model spells out."""
    for model in provider.models:
        for clause in _alternatives(model.match):
            if isinstance(clause, ClauseEquals):
                owner = provider.find_model(clause.equals)
                price = _price(owner, at, table_name) if owner else None
                if price is not None:
                    yield clause.equals.lower(), price


def _rules(provider: Provider, at: datetime, table_name: str) -> Iterable[PriceRule]:
    for model in provider.models:
        price = _price(model, at, table_name)
        for clause in _alternatives(model.match):
            rule = None if price is None else _rule(clause, price)
            if rule is not None:
                yield rule


def _alternatives(clause: MatchLogic) -> Iterable[MatchLogic]:
    if isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _alternatives(part)
    else:
        yield clause


def _rule(clause: MatchLogic, price: Price) -> PriceRule | None:
    """None for full names, which the exact entries hold."""
    match clause:
        case ClauseStartsWith():
            return PriceRule("starts_with", clause.starts_with.lower(), price)
        case ClauseEndsWith():
            return PriceRule("ends_with", clause.ends_with.lower(), price)
        case ClauseContains():
            return PriceRule("contains", clause.contains.lower(), price)
        case ClauseRegex() | ClauseAnd():
            return PriceRule("regex", _pattern(clause), price)
        case _:
            return None


def _pattern(clause: MatchLogic) -> str:
    """A regular expression for `re.search` on a lower-case name."""
    match clause:
        case ClauseRegex():
            return clause.regex
        case ClauseAnd():
            return "^" + "".join(f"(?=.*(?:{_pattern(part)}))" for part in clause.and_)
        case ClauseOr():
            return "|".join(f"(?:{_pattern(part)})" for part in clause.or_)
        case ClauseStartsWith():
            return "^" + re.escape(clause.starts_with.lower())
        case ClauseEndsWith():
            return re.escape(clause.ends_with.lower()) + "$"
        case ClauseContains():
            return re.escape(clause.contains.lower())
        case ClauseEquals():
            return f"^{re.escape(clause.equals.lower())}$"


def _price(model: ModelInfo, at: datetime, table_name: str) -> Price | None:
    found, notes = _standard(model, at)
    rates = {key: value for key, value in found.__dict__.items() if value is not None}
    if "input_mtok" not in rates or not rates.keys() <= _CLASSES.keys() | _BESIDE:
        return None
    if any(isinstance(value, TieredPrices) for value in rates.values()):
        notes.append("base tier")
    values = {_CLASSES[key]: _whole(_first_tier(value) * PICOUSD_PER_TOKEN) for key, value in rates.items() if key in _CLASSES}
    per_request = _whole(_first_tier(rates["requests_kcount"]) * PICOUSD_PER_REQUEST) if "requests_kcount" in rates else 0
    source = ", ".join([f"{table_name}: {model.id}", *notes])
    return Price(**({"output": 0} | values), request_picousd=per_request, source=source)


def _standard(model: ModelInfo, at: datetime) -> tuple[ModelPrice, list[str]]:
    """The price of normal hours: of those in force, the one that was added last."""
    if isinstance(model.prices, ModelPrice):
        return model.prices, []
    by_hour = [entry for entry in model.prices if isinstance(entry.constraint, TimeOfDateConstraint)]
    lasting = [entry for entry in model.prices if not isinstance(entry.constraint, TimeOfDateConstraint)]
    in_force = [entry for entry in lasting if entry.constraint is None or entry.constraint.active(at.astimezone(UTC))]
    chosen = (in_force or lasting or model.prices)[-1 if in_force else 0]
    return chosen.prices, ["normal hours"] if by_hour else []


def _first_tier(value: Decimal | TieredPrices) -> Decimal:
    return value.base if isinstance(value, TieredPrices) else value


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value())
