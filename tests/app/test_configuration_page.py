"""docs/configuration.md names every setting and every preset, and its figures are the real ones."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec

from setpoint.app import vendor_variables
from setpoint.app.presets import PRESETS
from setpoint.app.settings import Provider, RouteSettings, Sections, Settings, StatedPrice
from setpoint.domain.capabilities import Capabilities
from setpoint.domain.plan import BreakerLimits, Retries, Timeouts

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
WORDS = set(re.findall(r"[a-z0-9_.-]+", PAGE))
ALIASES = {
    "AWS_REGION_NAME", "CO_API_URL", "COHERE_API_BASE", "DASHSCOPE_API_BASE", "LM_STUDIO_API_BASE", "NVIDIA_NIM_API_BASE",
    "NVIDIA_NIM_API_KEY",
}  # fmt: skip
"""Second names, kept for those who have them set already."""


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


def test_every_capability_is_named_with_all_its_words() -> None:
    rows = {
        name: words
        for names, words in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", names)
    }
    for member in msgspec.structs.fields(Capabilities):
        words = {"true", "false"} if member.type is bool else {word for word in get_args(member.type) if isinstance(word, str)}
        assert words <= set(re.findall(r"\w+", rows[member.name])), member.name


def test_every_variable_that_is_read_is_named() -> None:
    read = {variable for preset in PRESETS.values() for variable in (*preset.key_variables, *preset.base_variables)}
    derived = re.compile("|".join(rf"{name.upper()}_(?:API_KEY|API_BASE|BASE_URL)" for name in PRESETS))
    source = Path(vendor_variables.__file__).read_text()
    read |= set(re.findall(r'"((?:AZURE|AWS|OPENAI|GOOGLE|VERTEXAI)_[A-Z_]+)"', source))
    assert len(read) > 50
    assert sorted(name for name in read if f"`{name}`" not in PAGE and not derived.fullmatch(name) and name not in ALIASES) == []


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
