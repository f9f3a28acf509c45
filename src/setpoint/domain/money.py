"""Money as integers: one nano-dollar is 10^-9 US dollars.

A model whose price is not known costs `None`, never 0: unknown is not free.
"""

import msgspec

from setpoint.domain.usage import Usage

NANOUSD_PER_USD = 1_000_000_000


class Price(msgspec.Struct, frozen=True):
    """Pico-dollars (10^-12 USD) per token of each class; one dollar a million tokens is 1,000,000.

    Pico, because cached classes cost fractions of a nano-dollar a token; a whole answer is rounded to nano-dollars once.
    A class without its own rate falls back: cached_read and cache_write to input, reasoning to output, audio and image to input
    or output. `request_picousd` is charged once an answer. `source` says which table and version it came from.
    """

    input: int
    output: int
    cached_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    request_picousd: int = 0
    source: str = ""


def cost_nanousd(price: Price, usage: Usage) -> int:
    """What `usage` costs at `price`, rounded half up to a whole nano-dollar, once, at the end."""
    total = price.request_picousd + price.input * usage.input + price.output * usage.output
    if usage.cached_read:
        total += usage.cached_read * (price.input if price.cached_read is None else price.cached_read)
    if usage.cache_write:
        total += usage.cache_write * (price.input if price.cache_write is None else price.cache_write)
    if usage.reasoning:
        total += usage.reasoning * (price.output if price.reasoning is None else price.reasoning)
    if usage.audio_input:
        total += usage.audio_input * (price.input if price.audio_input is None else price.audio_input)
    if usage.audio_output:
        total += usage.audio_output * (price.output if price.audio_output is None else price.audio_output)
    if usage.image_input:
        total += usage.image_input * (price.input if price.image_input is None else price.image_input)
    return (total + 500) // 1000


def usd(nanousd: int) -> str:
    """Decimal string of dollars, exact, without trailing zeros: 1_500_000 → "0.0015"."""
    sign, whole = ("-", -nanousd) if nanousd < 0 else ("", nanousd)
    dollars, rest = divmod(whole, NANOUSD_PER_USD)
    text = f"{rest:09d}".rstrip("0")
    return f"{sign}{dollars}.{text}" if text else f"{sign}{dollars}"
