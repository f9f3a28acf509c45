"""The simulated models and what each one promises: latency, speed, price, failures, quality.

docs/sim-models.md is this table for readers; a test compares the two.
"""

from typing import Literal

import msgspec

from setpoint.domain.money import Price

PROVIDER = "sim"
PRICE_SOURCE = "simulated"


class SimModel(msgspec.Struct, frozen=True):
    """One simulated model.

    `ttft_ms` is the wait before the first token and `tokens_per_s` the pace after it (0: no pacing); a unary answer takes the sum.
    `failures_percent` of all different requests fail, always the same ones. `right_percent` of arithmetic questions are
    answered correctly, so that comparing models has something to find.
    """

    name: str
    kind: Literal["chat", "embedding"]
    ttft_ms: int
    tokens_per_s: int
    price: Price
    failures_percent: int = 0
    right_percent: int = 100
    dimensions: int = 0
    about: str = ""


def _price(input_picousd: int, output_picousd: int) -> Price:
    return Price(input_picousd, output_picousd, source=PRICE_SOURCE)


SIM_MODELS: tuple[SimModel, ...] = (
    SimModel("sim/echo", "chat", 0, 0, _price(100_000, 100_000), about="repeats the last user message, at once"),
    SimModel("sim/fast", "chat", 20, 500, _price(150_000, 600_000), right_percent=70, about="quick and cheap, often wrong"),
    SimModel("sim/slow", "chat", 800, 20, _price(500_000, 1_500_000), right_percent=80, about="takes its time"),
    SimModel("sim/flaky", "chat", 20, 500, _price(150_000, 600_000), 20, 70, about="one request in five fails: 429, 500 or 503"),
    SimModel("sim/smart", "chat", 150, 80, _price(3_000_000, 15_000_000), right_percent=98, about="dear and nearly always right"),
    SimModel("sim/embed", "embedding", 5, 0, _price(20_000, 0), dimensions=256, about="unit vectors; texts that share words are near"),
)

_BY_NAME = {model.name: model for model in SIM_MODELS}


def find_model(name: str) -> SimModel | None:
    """By full name or without the `sim/` in front, as a wildcard route sends it."""
    return _BY_NAME.get(name) or _BY_NAME.get(f"{PROVIDER}/{name}")


def prices() -> dict[str, Price]:
    """Model name, without the provider, to its price: the `sim` part of a price book."""
    return {model.name.removeprefix(f"{PROVIDER}/"): model.price for model in SIM_MODELS}
