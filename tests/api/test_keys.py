"""The keys and config faces: what they answer, to whom, and where a secret is shown."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from setpoint.api.app import build
from setpoint.api.identity import PEER_HEADER
from setpoint.api.rest import config, keys
from setpoint.app.engine_control import Control, open_control
from setpoint.app.settings import load_settings
from setpoint.domain.principal import ROLES
from setpoint.kit.sealing import Keyring
from setpoint.runtime.log import Log
from setpoint.testing.clock import SettableClock

SETTINGS = ("providers.openai={api_key: the-credential, headers: {x-tenant: the-header}}",)


class Face:
    """The engine's application over a real control plane."""

    def __init__(self, folder: Path) -> None:
        self.clock = SettableClock()
        settings = load_settings(None, {}, SETTINGS)
        self.control: Control = open_control(folder, settings, Keyring(b"k" * 32, b"p" * 32), self.clock)
        routers = [keys.router(self.control.keys, self.clock), config.router(lambda: self.control.plan)]
        self.app = build(routers, Log("test", write=lambda line: None), self.clock)

    def ask(self, method: str, path: str, body: Any = None, role: str | None = "admin") -> tuple[int, Any]:
        principal = {"key_no": 1, "public_id": f"the-{role}", "role": role} if role else None
        headers = {PEER_HEADER: json.dumps({"ip": "127.0.0.1", "tls": False, "principal": principal})}

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://engine") as client:
                return await client.request(method, path, json=body, headers=headers)

        answer = asyncio.run(send())
        return answer.status_code, answer.json()

    def make(self, **wanted: Any) -> Any:
        status, answer = self.ask("POST", "/api/v1/keys", {"name": "ci", **wanted})
        assert status == 201, answer
        return answer["data"]


@pytest.fixture
def face(tmp_path: Path) -> Face:
    return Face(tmp_path)


def test_a_token_is_shown_when_the_key_is_made_and_never_again(face: Face) -> None:
    made = face.make(role="service", project="research", rpm=60)
    assert made["token"].startswith(f"sk-sp-{made['public_id']}-")
    _, one = face.ask("GET", f"/api/v1/keys/{made['public_id']}")
    _, all_keys = face.ask("GET", "/api/v1/keys")
    assert {name: one["data"][name] for name in ("name", "role", "project", "rpm", "state")} == {
        "name": "ci", "role": "service", "project": "research", "rpm": 60, "state": "active",
    }  # fmt: skip
    assert made["token"] not in json.dumps([one, all_keys])


def test_an_expiry_is_a_time_with_a_zone(face: Face) -> None:
    assert face.make(expires_at="2030-01-01T01:00:00+01:00")["expires_at"] == "2030-01-01T00:00:00.000Z"
    status, answer = face.ask("POST", "/api/v1/keys", {"name": "x", "expires_at": "2030-01-01T00:00:00"})
    assert (status, answer["error"]["field"]) == (400, "expires_at")


def test_a_list_goes_on_where_its_cursor_says(face: Face) -> None:
    made = [face.make(name=f"key {number}")["public_id"] for number in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        _, page = face.ask("GET", f"/api/v1/keys?limit=2{cursor}")
        seen += [key["public_id"] for key in page["data"]]
        if page["meta"]["cursor"] is None:
            break
        cursor = f"&cursor={page['meta']['cursor']}"
    assert seen[1:] == made
    assert face.ask("GET", "/api/v1/keys?cursor=nonsense")[0] == 400
    assert face.ask("GET", "/api/v1/keys?limit=1001")[0] == 400


@pytest.mark.parametrize("text", ["key -1", "key 99999999999999999999", "key x", "7", "key ²"])
def test_a_cursor_that_no_list_gave_is_refused(face: Face, text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    assert face.ask("GET", f"/api/v1/keys?cursor={cursor}")[0] == 400


def test_a_key_beyond_the_calendar_is_refused_and_the_list_stays_whole(face: Face) -> None:
    wish = {"name": "a", "expires_at": "9999-12-31T23:59:59-14:00"}
    assert face.ask("POST", "/api/v1/keys", wish)[0] == 400
    assert face.ask("GET", "/api/v1/keys")[0] == 200


def test_rotation_gives_another_token_for_the_same_key(face: Face) -> None:
    made = face.make()
    status, answer = face.ask("POST", f"/api/v1/keys/{made['public_id']}:rotate", {"overlap_s": 5})
    assert status == 200
    assert answer["data"]["public_id"] == made["public_id"]
    assert answer["data"]["token"] != made["token"]
    assert face.ask("POST", f"/api/v1/keys/{made['public_id']}:rotate")[0] == 200


def test_a_revoked_key_says_so_and_is_audited_under_who_did_it(face: Face) -> None:
    made = face.make()
    status, answer = face.ask("DELETE", f"/api/v1/keys/{made['public_id']}")
    assert (status, answer["data"]["state"]) == (200, "revoked")
    assert face.control.store.audit(1)[0].actor == "the-admin"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/api/v1/keys", {}, 400, "name"),
        ("POST", "/api/v1/keys", {"name": "x", "rol": "admin"}, 400, "rol"),
        ("POST", "/api/v1/keys", {"name": "x", "role": "root"}, 400, "role"),
        ("POST", "/api/v1/keys", {"name": ""}, 400, "name"),
        ("GET", "/api/v1/keys/nobody", None, 404, None),
        ("DELETE", "/api/v1/keys/nobody", None, 404, None),
        ("POST", "/api/v1/keys/nobody:rotate", {}, 404, None),
        ("PUT", "/api/v1/keys", {}, 405, None),
    ],
)
def test_a_mistake_is_answered_in_the_envelope(face: Face, method: str, path: str, body: Any, status: int, field: str | None) -> None:
    found, answer = face.ask(method, path, body)
    assert (found, answer["error"]["field"]) == (status, field)


PATHS = [
    ("GET", "/api/v1/keys", None),
    ("POST", "/api/v1/keys", {"name": "x"}),
    ("GET", "/api/v1/keys/x", None),
    ("POST", "/api/v1/keys/x:rotate", {}),
    ("DELETE", "/api/v1/keys/x", None),
    ("GET", "/api/v1/config/plan", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def test_only_an_admin_is_let_in(face: Face, method: str, path: str, body: Any) -> None:
    assert face.ask(method, path, body, role=None)[0] == 401
    assert {face.ask(method, path, body, role=role)[0] for role in ROLES if role != "admin"} == {403}
    assert len(face.control.keys.page()) == 1


def test_a_disk_that_refuses_is_said_and_not_hidden(face: Face, tmp_path: Path) -> None:
    made = face.make()
    (tmp_path / "snapshots/1.delta").unlink()
    (tmp_path / "snapshots/1.delta").mkdir()
    status, answer = face.ask("DELETE", f"/api/v1/keys/{made['public_id']}")
    assert status == 503
    assert "did not reach the workers" in answer["error"]["message"]


def test_the_plan_is_shown_without_its_secrets(face: Face) -> None:
    status, answer = face.ask("GET", "/api/v1/config/plan?prices=true")
    assert status == 200
    assert answer["meta"]["version"] == "1-1"
    openai = answer["data"]["upstreams"][0]
    assert (openai["name"], openai["api_key_sealed"], openai["headers"]) == ("openai", "••••", [["x-tenant", "••••"]])
    assert answer["data"]["prices"]["exact"]["openai"]["gpt-4o-mini"]["input"] == 150_000
    text = json.dumps(answer)
    assert "the-credential" not in text
    assert "the-header" not in text
    assert "exact" not in json.dumps(face.ask("GET", "/api/v1/config/plan")[1])
