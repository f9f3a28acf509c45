"""Settings of keys, hedges, probes and deadlines, from the file to the plan."""

from pathlib import Path

import msgspec
import pytest

from setpoint.app.drafting import draft_of
from setpoint.app.settings import SettingsError, load_settings
from setpoint.control.compile import compile_plan, reseal
from setpoint.control.draft import Draft
from setpoint.domain.plan import HealthProbe, Hedge, Plan, PriceBook, Retries, SealedKey

ENVIRON = {"KEY_A": "sk-a", "KEY_B": "sk-b"}


def draft(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Draft:
    path = tmp_path / "setpoint.yaml"
    path.write_text("providers: {sim: {enabled: false}, " + text)
    return draft_of(load_settings(path, ENVIRON if environ is None else environ), "s", {})


def seal(name: str, key: str) -> bytes:
    return f"{name}|{key}".encode()


def plan(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Plan:
    found = compile_plan(draft(tmp_path, text, environ), 1, 1, 0, seal, PriceBook())
    assert isinstance(found, Plan), found
    return found


def problems(tmp_path: Path, text: str) -> list[str]:
    try:
        found = compile_plan(draft(tmp_path, text), 1, 1, 0, seal, PriceBook())
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    assert not isinstance(found, Plan)
    return [str(problem) for problem in found]


def test_keys_are_a_list_of_references_or_of_sections(tmp_path: Path) -> None:
    [upstream] = plan(tmp_path, "openai: {api_keys: [env.KEY_A, {key: env.KEY_B, label: us, weight: 2}]}}").upstreams
    assert upstream.keys == (SealedKey("1", b"openai|sk-a"), SealedKey("us", b"openai|sk-b", 2.0))
    assert (upstream.api_key_sealed, upstream.auth) == (None, "bearer")


def test_one_key_stays_what_it_was(tmp_path: Path) -> None:
    [upstream] = plan(tmp_path, "openai: {api_key: env.KEY_A}}").upstreams
    assert (upstream.api_key_sealed, upstream.keys) == (b"openai|sk-a", ())


def test_the_vendors_variable_is_not_added_to_keys_that_are_written(tmp_path: Path) -> None:
    [upstream] = plan(tmp_path, "openai: {api_keys: [env.KEY_A]}}", ENVIRON | {"OPENAI_API_KEY": "sk-env"}).upstreams
    assert [key.sealed for key in upstream.keys] == [b"openai|sk-a"]


def test_keys_that_did_not_change_keep_their_seals_in_any_order(tmp_path: Path) -> None:
    before = plan(tmp_path, "openai: {api_keys: [env.KEY_A, env.KEY_B]}}")
    sealed = reseal(before, lambda name, key: f"{name}|again|{key}".encode(), lambda _, seal: seal.decode().rpartition("|")[2])
    assert [sealed("openai", key) for key in ("sk-b", "sk-a", "sk-c")] == [b"openai|sk-b", b"openai|sk-a", b"openai|again|sk-c"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("openai: {api_key: env.KEY_A, api_keys: [env.KEY_B]}}", "stands beside api_key"),
        ("openai: {api_keys: [env.KEY_A, env.KEY_A]}}", "api_keys[1]: is the same key as another one"),
        ("openai: {api_keys: [{label: eu}]}}", "api_keys[0]: has no key"),
        ("openai: {api_keys: [{key: env.KEY_A, label: 'e u'}]}}", "api_keys[0].label: is letters"),
        ("openai: {api_keys: [{key: env.KEY_A, label: '2'}, env.KEY_B]}}", "api_keys[1].label: '2' is given twice"),
        ("openai: {api_keys: [{key: env.KEY_A, weight: 0}]}}", "api_keys[0].weight: must be more than 0"),
        ('openai: {api_keys: [env.KEY_A, "sk\\nb"]}}', "api_keys[1]: holds a character that no HTTP header may hold"),
        ("openai: {api_keys: [1]}}", "api_keys[0]"),
        ("openai: {api_key: env.KEY_A, probe: {every_s: 0.5}}}", "providers.openai.probe: is like"),
        ("openai: {api_key: env.KEY_A, probe: {path: models}}}", "providers.openai.probe: is like"),
        ("openai: {api_key: env.KEY_A}}\nroutes: {m: {targets: [openai/x], hedge: {after_s: 0}}}", "hedge.after_s: must be more than 0"),
        ("openai: {api_key: env.KEY_A}}\nroutes: {m: {targets: [openai/x], hedge: {after_s: p96}}}", "hedge.after_s: expected one of p50"),
        ("openai: {api_key: env.KEY_A}}\nroutes: {m: {targets: [openai/x], hedge: {max_ratio: 2}}}", "hedge.max_ratio: must be"),
        ("openai: {api_key: env.KEY_A}}\nroutes: {m: {targets: [openai/x], hedge: {}, retries: none}}", "hedge: needs retries.attempts"),
        (
            "openai: {api_key: env.KEY_A}}\nroutes: {m: {targets: [openai/x], retries: {total_s: 0}}}",
            "total_s: must be more than 0",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    found = problems(tmp_path, text)
    assert [each for each in found if says in each], found
    assert "sk-" not in "".join(found)


def test_too_many_keys_are_refused(tmp_path: Path) -> None:
    keys = ", ".join(f"k{number}" for number in range(65))
    assert "has 65 entries; the limit is 64" in problems(tmp_path, f"openai: {{api_keys: [{keys}]}}}}")[0]


def test_hedge_probe_and_deadline_reach_the_plan(tmp_path: Path) -> None:
    text = """openai: {api_key: env.KEY_A, probe: {every_s: 5, path: /health}}}
routes:
  fast: {targets: [openai/x], hedge: {after_s: p95}, retries: {attempts: 4, total_s: 20}}
  slow: {targets: [openai/x], hedge: {after_s: 2, max_ratio: 0.5}}
  plain: {targets: [openai/x]}
"""
    made = plan(tmp_path, text)
    fast, slow, plain, *_ = made.routes
    assert (fast.hedge, slow.hedge, plain.hedge) == (Hedge("p95", 0.1), Hedge(2.0, 0.5), None)
    assert (fast.retries, plain.retries) == (Retries(attempts=4, total_s=20.0), Retries())
    assert made.upstreams[0].probe == HealthProbe(5.0, "/health")


def test_a_plan_of_before_still_loads_and_this_one_survives_its_file(tmp_path: Path) -> None:
    made = plan(tmp_path, "openai: {api_keys: [env.KEY_A], probe: {}}}\nroutes: {m: {targets: [openai/x], hedge: {after_s: p50}}}")
    packed = msgspec.msgpack.encode(made)
    assert msgspec.msgpack.decode(packed, type=Plan) == made
    old = msgspec.msgpack.decode(packed)
    for upstream in old["upstreams"]:
        del upstream["keys"], upstream["probe"]
    for route in old["routes"]:
        del route["hedge"], route["retries"]["total_s"]
    loaded = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Plan)
    assert (loaded.upstreams[0].keys, loaded.upstreams[0].probe, loaded.routes[0].hedge) == ((), None, None)


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    assert "sk-" not in repr(draft(tmp_path, "openai: {api_keys: [env.KEY_A, {key: env.KEY_B, label: us}]}}"))
