"""docs/configuration.md names every setting and every preset, and its figures are the real ones."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from setpoint.app.presets import PRESETS
from setpoint.app.settings import Provider, RouteSettings, Sections, Settings, StatedPrice
from setpoint.domain.plan import BreakerLimits, Retries, Timeouts

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
WORDS = set(re.findall(r"[a-z0-9_.-]+", PAGE))


def paths(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for member in msgspec.structs.fields(kind):
        nested = isinstance(member.type, type) and issubclass(member.type, msgspec.Struct)
        if nested:
            yield from paths(member.type, f"{prefix}{member.name}.")
        else:
            yield f"{prefix}{member.name}"


def test_every_setting_is_named() -> None:
    free = {"providers", "routes", "limits.roles"}
    assert [path for path in paths(Sections) if path not in WORDS | free] == []
    assert free - {"limits.roles"} <= WORDS


def test_every_member_of_a_provider_and_a_route_is_named() -> None:
    for kind in (Provider, RouteSettings, StatedPrice, BreakerLimits, Timeouts, Retries):
        assert [name for name in kind.__struct_fields__ if name not in WORDS] == []


def test_every_preset_is_named() -> None:
    assert [name for name in PRESETS if f"`{name}`" not in PAGE] == []


def test_the_figures_are_the_real_ones() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ([0-9]+) \|", PAGE, re.MULTILINE))
    real = Settings()
    assert len(rows) > 10
    for path, figure in rows.items():
        value: object = Provider() if path in Provider.__struct_fields__ else real
        for name in path.split("."):
            value = getattr(value, name)
        assert float(figure) == value, path
