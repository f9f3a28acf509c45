"""How each upstream stands with a worker: its keys, its open circuits, its health; one integer of the gauge page each.

Names of upstreams are not known beforehand, so there is no family for them. The place of an upstream is its number in the plan, and a
page counts only while its worker serves by the plan that the reader has.

    bits 0-7 keys ready | 8-15 limited | 16-23 refused | 24-25 health: 0 not looked at, 1 good, 2 bad | 32-47 open circuits
"""

from collections.abc import Iterable, Iterator

import msgspec

from setpoint.wire.gauge_page import CONFIG_EPOCH, CONFIG_VERSION, STANDINGS, STANDINGS_MAX, Seen

BREAKERS_MAX = 0xFFFF
KEYS_MAX = 0xFF
UNSEEN, GOOD, BAD = 0, 1, 2


class Standing(msgspec.Struct, frozen=True):
    """`keys` are how many are ready, limited and refused; all 0 where the upstream has no several."""

    keys: tuple[int, int, int] = (0, 0, 0)
    health: int = UNSEEN
    breakers_open: int = 0

    def packed(self) -> int:
        ready, limited, refused = (min(count, KEYS_MAX) for count in self.keys)
        return ready | limited << 8 | refused << 16 | self.health << 24 | min(self.breakers_open, BREAKERS_MAX) << 32


def unpacked(number: int) -> Standing:
    return Standing((number & KEYS_MAX, number >> 8 & KEYS_MAX, number >> 16 & KEYS_MAX), number >> 24 & 3, number >> 32 & BREAKERS_MAX)


def worst(seen: Iterable[Standing]) -> Standing:
    """Of several workers: the keys of the one with fewest ready, the most open circuits, bad health if anybody sees it so."""
    each = list(seen) or [Standing()]
    return Standing(min(one.keys for one in each), max(one.health for one in each), max(one.breakers_open for one in each))


def render_standings(pages: Iterable[Seen], upstreams: Iterable[tuple[str, str]], epoch: int, version: int) -> str:
    """Prometheus text. `upstreams` are (name, provider) in the plan's order, of which the first STANDINGS_MAX are shown."""
    current = [seen.page for seen in pages if seen.live and (seen.page[CONFIG_EPOCH], seen.page[CONFIG_VERSION]) == (epoch, version)]
    rows = [
        (name, provider, worst(unpacked(page[STANDINGS + place]) for page in current))
        for place, (name, provider) in zip(range(STANDINGS_MAX), upstreams, strict=False)
    ]
    return "\n".join([*_keys(rows), *_health(rows), *_breakers(rows)]) + "\n"


Row = tuple[str, str, Standing]


def _keys(rows: list[Row]) -> Iterator[str]:
    yield "# HELP setpoint_provider_keys Keys of providers that have several, in the worker that has fewest ready."
    yield "# TYPE setpoint_provider_keys gauge"
    for name, _, standing in rows:
        for state, count in zip(("ready", "limited", "refused"), standing.keys if any(standing.keys) else (), strict=False):
            yield f'setpoint_provider_keys{{upstream="{name}",state="{state}"}} {count}'


def _health(rows: list[Row]) -> Iterator[str]:
    yield "# HELP setpoint_provider_health 1 while the health probe of a provider is answered, 0 when a worker finds it failing."
    yield "# TYPE setpoint_provider_health gauge"
    for name, provider, standing in rows:
        if standing.health:
            yield f'setpoint_provider_health{{provider="{provider}",upstream="{name}"}} {int(standing.health == GOOD)}'


def _breakers(rows: list[Row]) -> Iterator[str]:
    yield "# HELP setpoint_provider_breakers_open Endpoints whose circuit is not closed, in the worker that has most."
    yield "# TYPE setpoint_provider_breakers_open gauge"
    for name, _, standing in rows:
        yield f'setpoint_provider_breakers_open{{upstream="{name}"}} {standing.breakers_open}'
