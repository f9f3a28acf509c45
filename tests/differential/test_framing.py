"""One corpus of bytes, five servers: where two frame the same connection, they frame it the same, or one of them refuses it.

The rule: the requests that one server sees are the beginning of those that the other sees, and the one that sees fewer has refused the
next or closed the connection. So no byte of a body is ever a request to one of them and not to the other.
"""

import asyncio
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from setpoint.domain.plan import Limits
from setpoint.gateway.server import ClientConnection, Request
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.framing_corpus import CASES, FramingCase

Message = tuple[bytes, bytes, bytes]
"""Method, target without scheme and host, body."""

NAMES = [case.name for case in CASES]
BY_NAME = {case.name: case for case in CASES}
CLOSES_S = 5.0
WAITS_S = 0.15
"""How long a server is watched that is expected to wait for more; too short a time could only hide a close, never invent one."""


class Framed:
    """What a server made of a connection. `over`: it refused something or closed, so that nothing more will be read."""

    def __init__(self, messages: list[Message], *, over: bool) -> None:
        self.messages = [(method, _path(target), body) for method, target, body in messages]
        self.over = over

    def __repr__(self) -> str:
        return f"{'over after' if self.over else 'open after'} {self.messages}"


def _path(target: bytes) -> bytes:
    return re.sub(rb"^https?://[^/?]*", b"", target, flags=re.IGNORECASE) or b"/"


def agree(a: Framed, b: Framed) -> bool:
    fewer, more = (a, b) if len(a.messages) <= len(b.messages) else (b, a)
    same_beginning = more.messages[: len(fewer.messages)] == fewer.messages
    return same_beginning and (len(fewer.messages) == len(more.messages) or fewer.over)


# ---- Setpoint: the real protocol class, in memory


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written = b""
        self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class _NoDeadline:
    def set(self, due_s: float) -> None: ...

    def rest(self) -> None: ...

    def clear(self) -> None: ...


class _NoDeadlines:
    def deadline(self, callback: object) -> _NoDeadline:
        return _NoDeadline()

    def now_s(self) -> float:
        return 0.0

    def __getattr__(self, name: str) -> Callable[..., _NoDeadline]:
        return lambda *_: _NoDeadline()


class RecordingLane:
    """A lane that answers every request at once and remembers it."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.deadlines: Any = _NoDeadlines()
        self.draining = False
        self.body_bytes_held = 0
        self.messages: list[Message] = []
        self.statuses: list[int] = []
        self.later: list[Callable[[], None]] = []

    def opened(self, connection: ClientConnection) -> bool:
        return True

    def closed(self, connection: ClientConnection) -> None: ...

    def at_head(self, connection: ClientConnection, request: Request) -> None: ...

    def next_turn(self, callback: Callable[[], None]) -> None:
        self.later.append(callback)

    def dispatch(self, connection: ClientConnection, request: Request) -> None:
        if request.fault is not None:
            self.statuses.append(request.fault.status)
        else:
            self.messages.append((request.method, request.target, request.body))
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        keep_alive = request.keep_alive
        self.later.append(lambda: connection.answered(keep_alive=keep_alive))


def setpoint(pieces: list[bytes]) -> Framed:
    lane, transport = RecordingLane(), _Transport()
    connection = ClientConnection(lane, "main", tls=False)
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)
        while lane.later:
            lane.later.pop(0)()
        assert not transport.paused or transport.closed, "reading stays paused though everything was answered"
    assert all(400 <= status < 600 for status in lane.statuses)
    assert len(lane.statuses) <= 1, "only the last request of a connection may be refused by its framing"
    return Framed(lane.messages, over=transport.closed or bool(lane.statuses))


# ---- h11


def by_h11(pieces: list[bytes]) -> Framed:
    server, messages = h11.Connection(h11.SERVER), list[Message]()
    for piece in pieces:
        try:
            server.receive_data(piece)
            if not _h11_events(server, messages):
                return Framed(messages, over=True)
        except h11.RemoteProtocolError:
            return Framed(messages, over=True)
    return Framed(messages, over=False)


def _h11_events(server: h11.Connection, messages: list[Message]) -> bool:
    """False once the connection is over."""
    while (event := server.next_event()) is not h11.NEED_DATA:
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            return False
        if isinstance(event, h11.Request):
            _open.append((event.method, event.target, b""))
        elif isinstance(event, h11.Data):
            method, target, body = _open.pop()
            _open.append((method, target, body + bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            messages.append(_open.pop())
            # Accepting a CONNECT would end HTTP on this connection; Setpoint refuses it, so the other servers are made to as well.
            status = 405 if messages[-1][0] == b"CONNECT" else 200
            server.send(h11.Response(status_code=status, headers=[("content-length", "0")]))
            server.send(h11.EndOfMessage())
            if server.our_state is h11.MUST_CLOSE or str(server.their_state) == "MIGHT_SWITCH_PROTOCOL":
                return False
            server.start_next_cycle()
    return True


_open: list[Message] = []


# ---- servers on sockets


class Served:
    """A server on a port that tells which messages it saw."""

    def __init__(self, port: int, seen: Callable[[], list[Message]], forget: Callable[[], None]) -> None:
        self.port = port
        self.seen = seen
        self.forget = forget

    def frame(self, pieces: list[bytes], *, waits: bool) -> Framed:
        self.forget()
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAITS_S if waits else CLOSES_S) as client:
            try:
                for piece in pieces:
                    client.sendall(piece)
                while client.recv(65_536):
                    continue
            except TimeoutError:
                return Framed(self.seen(), over=False)
            except OSError:
                pass  # reset: over as well
        return Framed(self.seen(), over=True)


@pytest.fixture(scope="module")
def engine_parser() -> Iterator[Served]:
    """Uvicorn's httptools protocol, as the engine runs it."""
    messages: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http"
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body, more = body + event["body"], event["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        messages.append((scope["method"].encode(), scope["raw_path"] + query, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    loop = asyncio.new_event_loop()
    config = Config(app, http="httptools", ws="none", lifespan="off", log_level="critical")
    config.load()
    state = ServerState()
    server = loop.run_until_complete(loop.create_server(lambda: HttpToolsProtocol(config, state, {}, loop), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield Served(server.sockets[0].getsockname()[1], lambda: list(messages), messages.clear)
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


NGINX_CONF = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_header_timeout 5s; keepalive_timeout 30s;
  merge_slashes off; lingering_close off;
  server {{
    listen 127.0.0.1:{port}; server_name _;
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("no nginx; apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("nginx")
    with FakeUpstream() as behind:
        port = _free_port()
        conf = folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=folder, port=port, behind=behind.port))
        process = subprocess.Popen([binary, "-p", str(folder), "-c", str(conf), "-e", str(folder / "start.log")], stderr=subprocess.DEVNULL)
        try:
            _wait_for_port(port, process, folder)
            yield Served(port, lambda: _messages(behind), lambda: _forget(behind))
        finally:
            process.terminate()
            process.wait(5)


def _messages(behind: FakeUpstream) -> list[Message]:
    return [(seen.request.method.encode(), seen.request.target.encode("latin-1"), seen.body) for seen in behind.seen]


def _forget(behind: FakeUpstream) -> None:
    """Only when nginx has no call under way: one of the case before must not be counted for the next."""
    behind.wait_for(lambda: behind.connections_open == 0)
    behind.forget()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        assert process.poll() is None, (folder / "start.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise TimeoutError("nginx did not start")


# ---- the comparison


@pytest.mark.parametrize("name", NAMES)
def test_setpoint_and_h11_frame_alike(name: str) -> None:
    case = BY_NAME[name]
    ours, theirs = setpoint([case.data]), by_h11([case.data])
    assert agree(ours, theirs), f"setpoint {ours}\nh11 {theirs}"


@pytest.mark.parametrize("name", NAMES)
def test_setpoint_and_nginx_frame_alike(name: str, nginx: Served) -> None:
    case = BY_NAME[name]
    ours, theirs = setpoint([case.data]), nginx.frame([case.data], waits=case.waits)
    assert agree(ours, theirs), f"setpoint {ours}\nnginx {theirs}"


UVICORN_DIFFERS = {
    **dict.fromkeys(
        ("h2c_get", "h2c_post", "h2c_chunked", "h2c_then_get", "h2c_with_close", "unknown_upgrade", "websocket_post"),
        "llhttp stops at an upgrade, and uvicorn drops what follows (uvicorn #2722)",
    ),
    "target_fragment": "uvicorn drops the fragment; the worker refuses it before any engine",
}
"""What the engine's parser does otherwise by itself. It never meets these bytes: the worker builds the head of what it passes on anew."""


@pytest.mark.parametrize("name", NAMES)
def test_setpoint_and_the_engines_parser_frame_alike(name: str, engine_parser: Served) -> None:
    case, known = BY_NAME[name], name in UVICORN_DIFFERS
    ours, theirs = setpoint([case.data]), engine_parser.frame([case.data], waits=case.waits or known)
    assert agree(ours, theirs) != known, f"setpoint {ours}\nengine {theirs}"


@settings(max_examples=400)
@given(name=st.sampled_from(NAMES), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_where_the_bytes_are_cut_changes_nothing(name: str, cuts: list[int]) -> None:
    data = BY_NAME[name].data
    whole, in_pieces = setpoint([data]), setpoint(_cut(data, cuts))
    assert (whole.messages, whole.over) == (in_pieces.messages, in_pieces.over)


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte_is_framed_as_in_one_piece(name: str) -> None:
    data = BY_NAME[name].data[:2_000]
    whole, in_bytes = setpoint([data]), setpoint([data[i : i + 1] for i in range(len(data))])
    assert (whole.messages, whole.over) == (in_bytes.messages, in_bytes.over)


@settings(max_examples=200)
@given(first=st.sampled_from(NAMES), second=st.sampled_from(NAMES), cuts=st.lists(st.integers(0, 800), max_size=4))
def test_two_cases_in_a_row_agree_with_h11_wherever_they_are_cut(first: str, second: str, cuts: list[int]) -> None:
    data = BY_NAME[first].data + BY_NAME[second].data
    ours, theirs = setpoint(_cut(data, cuts)), by_h11([data])
    assert agree(ours, theirs), f"setpoint {ours}\nh11 {theirs}"


SERVED_WITH_ITS_BODY = (
    "post_then_get", "chunked_then_get", "h2c_post", "h2c_chunked", "h2c_then_get", "expect_continue", "unknown_upgrade", "websocket_post",
)  # fmt: skip


def test_a_smuggled_request_is_never_framed_where_it_is_a_body() -> None:
    """Cases that say plainly how long the body is: whoever accepts one must hold the smuggled request for a body."""
    for name in SERVED_WITH_ITS_BODY:
        framed = setpoint([BY_NAME[name].data])
        assert all(target != b"/smuggled" for _, target, _ in framed.messages), name
        assert any(b"/smuggled" in body for _, _, body in framed.messages), f"{name} must be served, not refused"


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(CASES)
    assert isinstance(CASES[0], FramingCase)
