"""The simulated models as an OpenAI-compatible server on a Unix socket.

`decide` turns a request into a plan of what to write and when; the protocol only plays it. So everything but the waiting is a plain
function. Every answer carries `x-simulated: true`.
"""

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec

from setpoint.adapters.sim import render
from setpoint.adapters.sim.http import Heard, HearingProtocol
from setpoint.adapters.sim.models import SimModel, find_model
from setpoint.adapters.sim.speech import Said, failure_of, say, seed_of, tokens_of
from setpoint.runtime.clock import Clock, SystemClock

BACKLOG = 1024


class Play(msgspec.Struct, frozen=True):
    """An answer with its timing. `pieces` are the events of a stream, or one whole body; the first is due after `first_s`, each next one
    `gap_s` after the one before."""

    status: int
    pieces: list[bytes]
    streamed: bool = False
    first_s: float = 0.0
    gap_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


def decide(request: Heard, now_s: int) -> Play:
    """What to answer to `request`. Paths are accepted with and without `/v1`."""
    path = request.path.removeprefix("/v1")
    match request.method, path:
        case "GET", "/models":
            return Play(200, [render.model_list()])
        case "GET", _ if path.startswith("/models/"):
            model = find_model(path.removeprefix("/models/"))
            return Play(200, [msgspec.json.encode(render.model_entry(model))]) if model else _no_model(path.removeprefix("/models/"))
        case "POST", "/chat/completions":
            return _asked(request.body, "chat", now_s)
        case "POST", "/embeddings":
            return _asked(request.body, "embedding", now_s)
    return _wrong(404, f"{request.method} {request.path} is not served by the simulated models")


def _asked(body: bytes, kind: str, now_s: int) -> Play:
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError as wrong:
        return _wrong(400, f"the body is not JSON: {wrong}")
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        return _wrong(400, "model must be a string", "model")
    model = find_model(asked["model"])
    if model is None or model.kind != kind:
        return _no_model(asked["model"])
    return _chat(model, asked, seed_of(body), now_s) if kind == "chat" else _embeddings(model, asked)


def _chat(model: SimModel, asked: dict[str, Any], seed: int, now_s: int) -> Play:
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        return _wrong(400, "messages must be a list of at least one message", "messages")
    if asked.get("n") not in (None, 1):
        return _wrong(400, "the simulated models give one choice only; leave n out", "n")
    if status := failure_of(model, seed):
        return _failed(model, status)
    said = say(model, asked, seed)
    answer_id = f"chatcmpl-sim-{seed:016x}"
    first_s, gap_s = model.ttft_ms / 1000, 1 / model.tokens_per_s if model.tokens_per_s else 0.0
    if asked.get("stream"):
        with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        return Play(200, render.chunks(model, said, answer_id, now_s, with_usage=with_usage), True, first_s, gap_s)
    return Play(200, [render.completion(model, said, answer_id, now_s)], first_s=_unary_s(said, first_s, gap_s))


def _unary_s(said: Said, first_s: float, gap_s: float) -> float:
    return first_s + gap_s * said.completion_tokens


def _embeddings(model: SimModel, asked: dict[str, Any]) -> Play:
    texts = [asked["input"]] if isinstance(asked.get("input"), str) else asked.get("input")
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        return _wrong(400, "input must be a string or a list of strings", "input")
    dimensions = asked.get("dimensions", model.dimensions)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= 4096:
        return _wrong(400, "dimensions must be a whole number from 1 to 4096", "dimensions")
    used = sum(len(tokens_of(text)) for text in texts)
    body = render.embeddings(model, texts, dimensions, used, base64=asked.get("encoding_format") == "base64")
    return Play(200, [body], first_s=model.ttft_ms / 1000)


def _wrong(status: int, message: str, param: str | None = None) -> Play:
    return Play(status, [render.error(message, "invalid_request_error", param)])


def _no_model(name: str) -> Play:
    return Play(404, [render.error(f"there is no simulated model {name!r}", "invalid_request_error", "model", "model_not_found")])


def _failed(model: SimModel, status: int) -> Play:
    kind = "rate_limit_error" if status == 429 else "server_error"
    headers = (("retry-after", "1"),) if status == 429 else ()
    return Play(status, [render.error(f"simulated failure of {model.name}", kind)], first_s=model.ttft_ms / 1000, headers=headers)


def head_bytes(play: Play) -> bytes:
    """Status line and headers; streams are chunked."""
    lines = [f"HTTP/1.1 {play.status} {HTTPStatus(play.status).phrase}", "x-simulated: true"]
    lines += [f"{name}: {value}" for name, value in play.headers]
    if play.streamed:
        lines += ["content-type: text/event-stream; charset=utf-8", "cache-control: no-cache", "transfer-encoding: chunked"]
    else:
        lines += ["content-type: application/json", f"content-length: {sum(map(len, play.pieces))}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class SimProtocol(HearingProtocol):
    """Plays what `decide` decided. Waiting is by timer, so an idle stream costs no task."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        super().__init__()
        self._loop = loop
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, request: Heard) -> None:
        play = decide(request, self._clock.wall_ns() // 1_000_000_000)
        due_s = self._loop.time() + play.first_s
        self._at(due_s, lambda: self._write_from(play, 0, due_s, keep_alive=request.keep_alive))

    def lost(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _at(self, due_s: float, act: Callable[[], None]) -> None:
        if due_s <= self._loop.time():
            act()
        else:
            self._timer = self._loop.call_at(due_s, act)

    def _write_from(self, play: Play, at: int, due_s: float, *, keep_alive: bool) -> None:
        """Write the pieces that are due from number `at` on, then wait for the next one or finish."""
        due = len(play.pieces) if not play.gap_s else at + 1
        pieces = play.pieces[at:due]
        head = head_bytes(play) if at == 0 else b""
        last = due >= len(play.pieces)
        if play.streamed:
            pieces = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces] + ([b"0\r\n\r\n"] if last else [])
        self.transport.write(b"".join([head, *pieces]))
        if last:
            self.answered(keep_alive=keep_alive)
        else:
            next_s = due_s + play.gap_s
            self._at(next_s, lambda: self._write_from(play, due, next_s, keep_alive=keep_alive))


def run(path: str, ctl: socket.socket) -> None:
    """Serve on the Unix socket `path` until `ctl` reaches its end. Says "ready" on `ctl` once connections are accepted."""
    asyncio.run(_serve(path, ctl))


async def _serve(path: str, ctl: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    server = await loop.create_unix_server(lambda: SimProtocol(loop, clock), path, backlog=BACKLOG)
    ctl.setblocking(False)
    await loop.sock_sendall(ctl, b"ready\n")
    while await loop.sock_recv(ctl, 4096):
        # The supervisor has nothing to tell us but its end.
        continue
    server.close()
