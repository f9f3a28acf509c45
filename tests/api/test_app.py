"""The frame around the management interface: identity, the envelope, the deadline, spellings, pages."""

import asyncio
import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fastapi.testclient import TestClient
from pydantic import BaseModel

from setpoint import __version__
from setpoint.api.app import build
from setpoint.api.errors import ApiFault
from setpoint.api.identity import PEER_HEADER, PeerPrincipal, require
from setpoint.api.rest import events, services
from setpoint.domain.faults import FAULT_CLASSES, Fault, FaultKind
from setpoint.domain.principal import ROLES
from setpoint.runtime.clock import SystemClock
from setpoint.runtime.log import Log

SECRET = "sk-sp-hunter2hunter2"


class Body(BaseModel):
    limit: int


def routes() -> APIRouter:
    router = APIRouter()

    @router.get("/api/v1/me")
    async def me(principal: Annotated[PeerPrincipal, Depends(require("me:read"))]) -> dict[str, Any]:
        return {"data": principal.public_id}

    @router.post("/api/v1/body")
    async def body(wanted: Body) -> None: ...

    @router.get("/api/v1/fault")
    async def fault() -> None:
        raise ApiFault(Fault(FaultKind.rate_limited, "slow down", param="limit", retry_after_s=2.4), {"limit": 5})

    @router.get("/api/v1/bug")
    async def bug() -> None:
        raise RuntimeError(f"do not show {SECRET}")

    @router.get("/api/v1/never")
    async def never() -> None:
        await asyncio.Event().wait()

    return router


class Told:
    """A log to look at."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = Log("engine", write=self.lines.append)


async def tree(request: str) -> dict[str, Any]:
    if request == "roll":
        return {"rolled": 2, "error": None}
    return {"state": "Running", "services": [{"name": "engine", "state": "Running", "restarts": 0}]}


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def client(told: Told) -> TestClient:
    return client_with(told, request_s=10.0)


@pytest.fixture
def hurried(told: Told) -> TestClient:
    """With a deadline that a slow answer misses; others may miss it too, on a busy machine."""
    return client_with(told, request_s=0.05)


def client_with(told: Told, request_s: float) -> TestClient:
    clock = SystemClock()
    app = build([routes(), services.router(tree), events.router(tree, clock)], told.log, clock, request_s=request_s)
    return TestClient(app, raise_server_exceptions=False)


def as_role(role: str) -> dict[str, str]:
    return {PEER_HEADER: json.dumps({"ip": "192.0.2.1", "principal": {"key_no": 7, "public_id": "abc", "role": role}})}


def test_the_worker_says_who_is_asking(client: TestClient) -> None:
    assert client.get("/api/v1/me", headers=as_role("admin")).json() == {"data": "abc"}


@pytest.mark.parametrize("peer", [None, "", "garbage", "{}", '{"principal": {"role": "root"}}'])
def test_nobody_is_let_in_without_a_good_key(client: TestClient, peer: str | None) -> None:
    answer = client.get("/api/v1/me", headers={} if peer is None else {PEER_HEADER: peer})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 1101)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
def test_other_roles_are_refused(client: TestClient, role: str) -> None:
    answer = client.get("/api/v1/me", headers=as_role(role))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 1102)
    assert "me:read" in answer.json()["error"]["message"]


def test_a_fault_is_rendered_in_the_envelope(client: TestClient) -> None:
    answer = client.get("/api/v1/fault", headers={"x-setpoint-request-id": "r1"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["x-setpoint-error-code"] == "1501"
    body = answer.json()
    assert body["error"] == {
        "code": 1501, "error_code": "RATE_LIMITED", "category": "caller", "message": "slow down", "details": {"limit": 5}, "field": "limit",
        "retriable": True,
    }  # fmt: skip
    assert body["meta"]["request_id"] == "r1"
    assert body["meta"]["timestamp"].endswith("Z")
    assert client.get(body["meta"]["documentation_url"]).status_code == 200


def test_a_client_that_asks_for_problem_details_gets_them(client: TestClient) -> None:
    answer = client.get("/api/v1/fault", headers={"accept": "application/problem+json"})
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {name: body[name] for name in ("type", "title", "status", "detail")} == {
        "type": "/docs/errors/1501", "title": "rate limited", "status": 429, "detail": "slow down",
    }  # fmt: skip


@pytest.mark.parametrize("sent", [{"limit": SECRET}, {}, [], "text"])
def test_a_body_that_is_not_valid_is_400_and_its_values_are_not_repeated(client: TestClient, sent: object) -> None:
    answer = client.post("/api/v1/body", json=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1001)
    assert answer.json()["error"]["field"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(("method", "path", "status", "code"), [("GET", "/nowhere", 404, 1004), ("DELETE", "/api/v1/me", 405, 1005)])
def test_unknown_paths_and_methods_are_in_the_envelope(client: TestClient, method: str, path: str, status: int, code: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_bug_is_1900_without_detail_and_the_log_has_it(client: TestClient, told: Told) -> None:
    answer = client.get("/api/v1/bug")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, 1900)
    assert "show" not in answer.text
    [line] = [json.loads(line) for line in told.lines]
    assert line["fields"]["request_id"] == answer.json()["meta"]["request_id"]
    assert "do not show" in line["fields"]["trace"]
    assert SECRET not in told.lines[0]


def test_an_answer_that_does_not_begin_in_time_is_504(hurried: TestClient) -> None:
    answer = hurried.get("/api/v1/never")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, 1800)


@pytest.mark.parametrize("path", ["/api/v1//me", "/api/v1/%6de", "/api/v1/x%2fme", "/api/v1/%2e%2e/me"])
def test_a_path_in_another_spelling_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=as_role("admin"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1001)


def test_every_error_code_has_a_page_with_its_meaning(client: TestClient) -> None:
    for kind in FaultKind:
        page = client.get(f"/docs/errors/{int(kind)}")
        assert page.status_code == 200
        assert kind.name.upper() in page.text
        assert str(FAULT_CLASSES[kind].http_status) in page.text
    assert client.get("/docs/errors/1").status_code == 404


def test_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/docs", "/docs/errors", "/docs/errors/1001"):
        text = client.get(path).text
        assert "http://" not in text
        assert "https://" not in text
        assert "<script" not in text


def test_version_and_schema_need_no_key(client: TestClient) -> None:
    assert client.get("/version").json() == {"version": __version__}
    assert "/api/v1/services" in client.get("/openapi.json").json()["paths"]


def test_services_are_told_as_the_supervisor_tells_them(client: TestClient) -> None:
    answer = client.get("/api/v1/services", headers=as_role("admin")).json()
    assert answer["data"][0]["name"] == "engine"
    assert answer["meta"] == {"state": "Running"}
    assert client.post("/api/v1/admin/roll", headers=as_role("admin")).json() == {"data": {"rolled": 2, "error": None}}
    assert client.post("/api/v1/admin/roll").status_code == 401


def test_the_event_socket_says_hello_then_the_state_and_echoes(client: TestClient) -> None:
    with client.websocket_connect("/api/v1/events", headers=as_role("admin")) as socket:
        assert socket.receive_json()["type"] == "hello"
        assert socket.receive_json()["services"] == [{"name": "engine", "state": "Running", "restarts": 0}]
        socket.send_text("there")
        assert socket.receive_json()["text"] == "there"


def test_the_event_socket_is_refused_with_an_answer_in_the_envelope(client: TestClient) -> None:
    from starlette.testclient import WebSocketDenialResponse

    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/api/v1/events"):
        pass
    assert refused.value.status_code == 401
    assert refused.value.json()["error"]["code"] == 1101
