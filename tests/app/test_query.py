"""The query process and the engine's side of it, over a real socket."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest

from setpoint.analytics.client import TraceClient
from setpoint.api.app import build
from setpoint.api.rest import traces
from setpoint.app.data_directory import socket_path
from setpoint.app.query import SOCKET, QueryServer
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.trace_query import TraceQuery
from setpoint.runtime.clock import SystemClock
from setpoint.runtime.log import Log
from setpoint.testing.crash_points import CrashPoints
from setpoint.testing.crash_world import CrashWorld

LOG = Log("test", write=lambda _: None)
ADMIN = {"x-setpoint-internal-peer": json.dumps({"principal": {"key_no": 1, "public_id": "a", "role": "admin"}})}
VIEWER = {"x-setpoint-internal-peer": json.dumps({"principal": {"key_no": 1, "public_id": "a", "role": "billing"}})}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with some sealed traces."""
    world = CrashWorld(tmp_path_factory.mktemp("q"), Random(3))
    world.start_worker(0, CrashPoints())
    for _ in range(12):
        world.write(0)
    world.settle()
    world.stop_ingest()
    (world.folder / "run").mkdir()
    return world.folder


@contextmanager
def serving(data: Path) -> Iterator[str]:
    server = QueryServer(data, SystemClock(), LOG)
    server.start()
    try:
        yield socket_path(data, SOCKET)
    finally:
        server.close()


@contextmanager
def rest(path: str) -> Iterator[httpx.AsyncClient]:
    app = build([traces.router(TraceClient(path))], LOG, SystemClock())
    yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://engine", headers=ADMIN)


def ask(data: Path, *paths: str, **headers: str) -> list[httpx.Response]:
    async def all_of() -> list[httpx.Response]:
        with serving(data) as path, rest(path) as client:
            async with client:
                return [await client.get(p, headers=headers) for p in paths]

    return asyncio.run(all_of())


def test_a_list_leads_to_its_traces(data: Path) -> None:
    (page,) = ask(data, "/api/v1/traces?limit=2&fields=id,cost")
    assert page.headers["cache-control"] == "no-store"
    items, meta = page.json()["data"], page.json()["meta"]
    assert set(items[0]) == {"id", "cost"}
    one, rest_of = ask(data, f"/api/v1/traces/{items[0]['id']}", f"/api/v1/traces?limit=1000&fields=id,cost&cursor={meta['cursor']}")
    assert one.json()["id"] == items[0]["id"]
    assert one.json()["usage"]["input"] == 3
    assert items[0]["id"] not in [item["id"] for item in rest_of.json()["data"]]
    assert "cursor" not in rest_of.json()["meta"]


def test_what_is_wrong_is_in_the_envelope(data: Path) -> None:
    bad, unknown = ask(data, "/api/v1/traces?fields=nope", "/api/v1/traces/ffff")
    assert (bad.status_code, bad.json()["error"]["field"]) == (400, "fields")
    assert "nope" in bad.json()["error"]["message"]
    assert unknown.status_code == 404


def test_traces_need_a_key_that_may_read_them(data: Path) -> None:
    assert [r.status_code for r in ask(data, "/api/v1/traces", "/api/v1/traces/ff", "/api/v1/traces/tail", **VIEWER)] == [403, 403, 403]


def test_a_tail_refuses_what_means_nothing_in_it(data: Path) -> None:
    wrong, since = ask(data, "/api/v1/traces:tail?limit=3", "/api/v1/traces/tail?since=x")
    assert wrong.json()["error"]["field"] == "limit"
    assert since.json()["error"]["field"] == "since"


def test_without_the_query_process_the_answer_says_that_it_restarts(tmp_path: Path) -> None:
    found = asyncio.run(TraceClient(str(tmp_path / "none.sock")).find(TraceQuery()))
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.engine_down


def test_a_restarted_query_process_is_found_again(data: Path) -> None:
    async def story() -> list[object]:
        client = TraceClient(socket_path(data, SOCKET))
        answers: list[object] = []
        for _ in range(2):
            with serving(data):
                answers.append(await client.find(TraceQuery(limit=1)))
        await client.close()
        return answers

    first, second = asyncio.run(story())
    assert first == second
    assert isinstance(first, bytes)


def test_an_answer_that_does_not_come_is_given_up_in_time(tmp_path: Path) -> None:
    path = str(tmp_path / "q.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    accepted: list[socket.socket] = []
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
    thread.start()
    found = asyncio.run(TraceClient(path, time_s=-0.95).find(TraceQuery()))
    thread.join(5.0)
    listener.close()
    for connection in accepted:
        connection.close()
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.overloaded


def test_a_query_whose_time_is_up_says_how_to_narrow_it(data: Path) -> None:
    async def story() -> object:
        with serving(data) as path:
            client = TraceClient(path, time_s=0.0)
            try:
                return await client.find(TraceQuery(sort="-latency"))
            finally:
                await client.close()

    found = asyncio.run(story())
    # So few rows may be through before SQLite looks at the clock for the first time.
    assert isinstance(found, bytes) or (isinstance(found, Fault) and "narrow" in found.message)
