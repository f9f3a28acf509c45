"""What a worker answers by itself: health, models, metrics, version."""

from typing import Any

import msgspec
import ollama
import pytest
from cohere.types import GetModelResponse
from tests.gateway.network import Wire
from tests.gateway.world import TOKEN, World, body_of, headers_of, key_table, plan_of, status_of, upstream, world

from setpoint import __version__
from setpoint.domain.money import Price
from setpoint.domain.plan import PriceBook, Route, Target
from setpoint.domain.principal import Principal
from setpoint.gateway import local as local_module
from setpoint.gateway.elsewhere import without_key
from setpoint.gateway.local import HEALTH_PATHS, READY_PATHS, internal_peer, model_names


def get(w: World, path: str, method: str = "GET", purpose: str = "main", token: str = "", **headers: str) -> Wire:
    client = w.client(purpose)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if token:
        lines.append(f"authorization: Bearer {token}")
    client.says("\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "", ""]).encode())
    w.loop.spin()
    return client


def json_of(client: Wire) -> Any:
    return msgspec.json.decode(body_of(client.sent))


@pytest.mark.parametrize("path", sorted(HEALTH_PATHS))
@pytest.mark.parametrize(
    ("engine_up", "draining", "status"), [(True, False, "healthy"), (False, False, "degraded"), (True, True, ""), (False, True, "")]
)
def test_a_worker_is_alive_while_it_answers_and_ready_while_it_does_not_drain(
    path: bytes, engine_up: bool, draining: bool, status: str
) -> None:
    with world() as w:
        w.engine_up = engine_up
        w.lane.draining = draining
        client = get(w, path.decode())
        expected = status or ("unhealthy" if path in READY_PATHS else "healthy" if engine_up else "degraded")
        body = json_of(client)
        assert (status_of(client.sent), body["status"]) == (503 if expected == "unhealthy" else 200, expected)
        assert (body["version"], body["config_version"], body["uptime_secs"]) == (__version__, "1-1", 1.5)
        assert body["services"] == {"gateway": "draining" if draining else "healthy", "engine": "healthy" if engine_up else "unavailable"}


def test_head_has_the_length_of_the_body_it_leaves_out() -> None:
    with world() as w:
        full, head = get(w, "/health"), get(w, "/health", "HEAD")
        assert body_of(head.sent) == b""
        assert headers_of(head.sent)["content-length"] == headers_of(full.sent)["content-length"]


def test_metrics_and_version_need_no_key() -> None:
    with world() as w:
        metrics = get(w, "/metrics")
        assert (body_of(metrics.sent), headers_of(metrics.sent)["content-type"]) == (
            b"setpoint_up 1\n", "text/plain; version=0.0.4; charset=utf-8",
        )  # fmt: skip
        assert json_of(get(w, "/version")) == {"version": __version__, "config_version": "1-1"}


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/health", 200), ("/v1/models", 404), ("/api/v1/keys", 404), ("/", 404)])
def test_the_metrics_port_has_nothing_else(path: str, status: int) -> None:
    with world() as w:
        assert status_of(get(w, path, purpose="metrics", token=TOKEN).sent) == status
        assert w.loop.asked == []


def test_the_metrics_port_serves_no_model_either() -> None:
    with world() as w:
        client = w.client("metrics")
        client.says(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
        w.loop.spin()
        assert (status_of(client.sent), w.sink.ends()) == (404, [])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_an_inference_path_takes_post_only(method: str) -> None:
    with world() as w:
        client = get(w, "/v1/chat/completions", method)
        assert (status_of(client.sent), headers_of(client.sent)["allow"]) == (405, "POST")


# ---- models


PLAN = plan_of(
    upstream("a"),
    upstream("b", provider="other"),
    routes=(
        Route("one", (Target("a", "x"),)),
        Route("both", (Target("a"), Target("b"))),
        Route("acme/*", (Target("a"),)),
        Route("gpt-*", (Target("b"),)),
    ),
    prices=PriceBook("p", {"acme": {"m-1": Price(1, 1), "m-2": Price(1, 1)}, "other": {"gpt-5": Price(1, 1), "o3": Price(1, 1)}}),
)
NAMES = [("one", "acme"), ("both", "setpoint"), ("acme/m-1", "acme"), ("acme/m-2", "acme"), ("gpt-5", "other")]


def test_the_list_is_routes_and_the_priced_models_of_wildcards() -> None:
    with world(PLAN) as w:
        assert model_names(w.lane.published) == NAMES


def test_the_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "MODELS_MAX", 3)
    with world(PLAN) as w:
        assert len(model_names(w.lane.published)) == 3


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_has_the_shape_the_client_knows(path: str) -> None:
    with world(PLAN) as w:
        openai = json_of(get(w, path, token=TOKEN))
        assert openai["object"] == "list"
        assert openai["data"][0] == {"id": "one", "object": "model", "created": 1_700_000_000, "owned_by": "acme"}
        anthropic = json_of(get(w, path, x_api_key=TOKEN, anthropic_version="2023-06-01"))
        assert anthropic["data"][0] == {"type": "model", "id": "one", "display_name": "one", "created_at": "2023-11-14T22:13:20.000Z"}
        assert (anthropic["first_id"], anthropic["last_id"], anthropic["has_more"]) == ("one", "gpt-5", False)


@pytest.mark.parametrize(("name", "status"), [("one", 200), ("acme/m-1", 200), ("acme/m-9", 404), ("none", 404)])
@pytest.mark.parametrize("headers", [{}, {"anthropic_version": "2023-06-01"}])
def test_one_model_of_the_list(name: str, status: int, headers: dict[str, str]) -> None:
    with world(PLAN) as w:
        client = get(w, f"/v1/models/{name}", token=TOKEN, **headers)
        assert status_of(client.sent) == status
        assert name in str(json_of(client))


def test_google_coheres_and_ollamas_clients_find_the_list_in_their_own_shape() -> None:
    names = [name for name, _ in NAMES]
    with world(PLAN) as w:
        google = json_of(get(w, "/v1beta/models", token=TOKEN))
        assert [model["name"] for model in google["models"]] == [f"models/{name}" for name in names]
        cohere = json_of(get(w, "/v1/models", token=TOKEN, x_fern_sdk_name="cohere"))
        assert [GetModelResponse.model_validate(model).name for model in cohere["models"]] == names
        tags = ollama.ListResponse.model_validate(json_of(get(w, "/api/tags", token=TOKEN)))
        assert [model.model for model in tags.models] == names
        assert json_of(get(w, f"/v1beta/models/{names[0]}", token=TOKEN))["name"] == f"models/{names[0]}"


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 401), (TOKEN, 200)])
def test_models_are_for_holders_of_a_key_even_of_one_that_only_reads(token: str, status: int) -> None:
    with world(PLAN, key_table(Principal(7, "p", "viewer"))) as w:
        assert status_of(get(w, "/v1/models", token=token).sent) == status


def test_no_routes_is_an_empty_list() -> None:
    plan = msgspec.structs.replace(PLAN, routes=())
    with world(plan) as w:
        assert json_of(get(w, "/v1/models", token=TOKEN, anthropic_version="x"))["first_id"] is None


# ---- small things


@pytest.mark.parametrize(
    ("query", "left"),
    [(b"a=1", b"a=1"), (b"key=s", b""), (b"key=s&a=1", b"a=1"), (b"a=1&key=s&b=2", b"a=1&b=2"), (b"monkey=1", b"monkey=1"), (b"", b"")],
)
def test_a_key_does_not_travel_on_in_an_address(query: bytes, left: bytes) -> None:
    assert without_key(query) == left


def test_the_engine_is_told_who_it_is() -> None:
    with world() as w:
        caller = w.lane.published.caller(TOKEN.encode())
        told = msgspec.json.decode(internal_peer("192.0.2.7", caller, tls=True))
        assert told == {
            "ip": "192.0.2.7",
            "tls": True,
            "principal": {"key_no": 7, "public_id": "pub7", "role": "developer", "project": "default"},
        }
        assert msgspec.json.decode(internal_peer("192.0.2.7", None, tls=False))["principal"] is None
