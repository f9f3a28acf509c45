"""Whatever is in a configuration file, the answer is settings or a list of problems, never a traceback, and never a secret."""

import tempfile
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.app.drafting import draft_of
from setpoint.app.presets import PRESETS
from setpoint.app.settings import Sections, SettingsError, load_settings
from setpoint.control.compile import compile_plan
from setpoint.domain.plan import DialectName, Hosting, PriceBook

WORDS = ["", "a", "sim/fast", "env.NOPE", "env.KEY", "${KEY}", "${", "file:absent", "vault:x#y", "http://h/v1", "long", "off", "none", "5"]
words = st.sampled_from(WORDS)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(allow_nan=True), words, st.text(max_size=5))
trees = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)), max_leaves=6)


def struct_tree(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Sections that look right more often than chance would make them."""
    members: dict[str, st.SearchStrategy[Any]] = {}
    for member in msgspec.structs.fields(kind):
        nested = member.type if isinstance(member.type, type) and issubclass(member.type, msgspec.Struct) else None
        plain = st.just(member.default) if isinstance(member.default, str | int | float | bool) else st.nothing()
        members[member.name] = st.one_of(trees, plain, struct_tree(nested) if nested else st.nothing())
    return st.fixed_dictionaries({}, optional=members)


providers = st.dictionaries(
    st.sampled_from([*PRESETS, "mine"]),
    st.one_of(
        trees,
        st.fixed_dictionaries(
            {},
            optional={
                "preset": st.one_of(trees, st.sampled_from([*PRESETS])),
                "base_url": st.one_of(words, st.just("http://[::1")),
                "api_key": words,
                "headers": st.one_of(trees, st.dictionaries(words, words, max_size=2)),
                "enabled": scalars,
                "auth": words,
                "access_key_id": words,
                "secret_access_key": words,
                "dialect": st.sampled_from(get_args(DialectName)),
                "also": st.one_of(trees, st.lists(st.sampled_from(get_args(DialectName)), max_size=2)),
                "hosting": st.one_of(words, st.sampled_from(get_args(Hosting))),
                "region": words,
                "project": scalars,
                "capabilities": st.one_of(trees, st.dictionaries(st.sampled_from(["top_k", "images", "stops_max", "x"]), scalars)),
                "prices": trees,
            },
        ),
    ),
    max_size=3,
)
routes = st.dictionaries(words, trees, max_size=3)
GOOD_DEPLOYMENT = {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}
parameter_names = st.sampled_from(
    ["model", "api_base", "api_key", "weight", "order", "timeout", "rpm", "aws_region_name", "vertex_credentials"]
)
MODELS = ["openai/gpt-4o", "bedrock/invoke/us-west-2/x", "vertex_ai/claude-x", "azure/", "bedrock/"]
parameters = st.dictionaries(parameter_names, st.one_of(scalars, trees, st.sampled_from(MODELS)), max_size=4)
deployment = st.fixed_dictionaries({"model_name": st.one_of(words, scalars), "litellm_params": st.one_of(trees, parameters)})
fallbacks = st.lists(st.dictionaries(words, st.one_of(trees, st.lists(words, max_size=2)), max_size=2), max_size=2)
SETTINGS = ["fallbacks", "num_retries", "timeout", "stream_timeout", "cache", "cache_params", "master_key", "other"]
sections = st.fixed_dictionaries({}, optional={name: st.one_of(scalars, trees, fallbacks) for name in SETTINGS})
litellm = st.fixed_dictionaries(
    {"model_list": st.lists(st.one_of(trees, deployment), max_size=3).map(lambda found: [*found, GOOD_DEPLOYMENT])},
    optional={"router_settings": sections, "litellm_settings": sections, "general_settings": sections},
)


names = st.sampled_from(["SERVER", "PORT", "PROVIDERS", "OPENAI", "ROUTES", "X", "", "KEYS", "ADMIN", "TLS"])
variables = st.lists(names, max_size=4).map(lambda parts: "SETPOINT_" + "__".join(parts))


def outcome(tree: object, environ: dict[str, str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "setpoint.yaml"
        path.write_text(yaml.safe_dump(tree))
        try:
            found = load_settings(path, environ)
        except SettingsError as error:
            return str(error)
    return str(compile_plan(draft_of(found, "s", {}), 1, 1, 0, lambda _name, key: key.encode(), PriceBook()))


@settings(max_examples=150)
@given(st.one_of(trees, struct_tree(Sections), st.fixed_dictionaries({"providers": providers, "routes": routes})))
def test_any_file_gives_settings_or_problems(tree: object) -> None:
    outcome(tree, {"KEY": "k"})


@settings(max_examples=150)
@given(litellm)
def test_any_litellm_file_gives_settings_or_problems(tree: object) -> None:
    outcome(tree, {"KEY": "k"})


@settings(max_examples=50)
@given(struct_tree(Sections))
def test_no_complaint_repeats_what_a_reference_stood_for(tree: dict[str, Any]) -> None:
    assert "very-secret" not in outcome(tree, {"KEY": "very-secret"})


@settings(max_examples=100)
@given(st.dictionaries(variables, st.one_of(words, st.text(max_size=6)), max_size=4))
def test_any_environment_gives_settings_or_problems(environ: dict[str, str]) -> None:
    outcome({}, environ)
