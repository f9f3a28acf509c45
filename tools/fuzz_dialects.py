"""Coverage-guided fuzzing of the dialects: bytes no provider and no client should send, read by everything that reads bytes.

    python tools/fuzz_dialects.py --minutes 10

Seeds are the recorded bodies (SETPOINT_SHARED), or made-up ones without them. A mutant that reaches a new edge of lines in
`setpoint.wire` is kept and mutated further. What must hold for any bytes: nothing raises, a reader answers with a noun or a `Fault`; a
stream says the same however it is cut; what a reader made of the bytes can be said in another dialect. Ends with status 1 when it does
not, and prints the input.
"""

import argparse
import base64
import gzip
import importlib
import json
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

import msgspec

from setpoint.domain.chat import ChatAnswer, ChatRequest, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.stream import Finished, Started, StreamEvent, TextDelta, ToolCallDelta, ToolCallStarted, UsageReported, fold
from setpoint.domain.usage import Usage
from setpoint.wire.aws_event_stream import Damaged, FrameDecoder, encode_frame
from setpoint.wire.dialect import Dialect, Encoded

NAMES = ("openai_chat", "openai_responses", "openai_completions", "anthropic", "gemini", "bedrock_converse", "cohere", "ollama")
SURFACES = {
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "openai.completions": "openai_completions",
    "anthropic.messages": "anthropic",
    "gemini.generateContent": "gemini",
    "gemini.streamGenerateContent": "gemini",
    "bedrock.converse": "bedrock_converse",
    "bedrock.converse-stream": "bedrock_converse",
    "cohere.chat.v2": "cohere",
    "ollama.chat": "ollama",
}
KINDS = ("request", "answer", "stream", "fault")
SEED_BYTES_MAX = 6_000
"""Longer recordings are left out: a mutant of a short one runs sooner and says as much."""
SEEDS_MAX = 60
"""Of each dialect and kind."""
MUTANT_BYTES_MAX = 20_000
SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


class BrokenPromiseError(AssertionError):
    """A reader kept none of its promises for some bytes."""


def dialects() -> dict[str, Dialect]:
    return {name: cast("Dialect", getattr(importlib.import_module(f"setpoint.wire.{name}.dialect"), name.upper())) for name in NAMES}


# ------------------------------------------------------------------------------------------------------------------ seeds


def recorded_seeds() -> Iterator[tuple[str, str, bytes]]:
    """(dialect, kind, bytes) of every recorded body that is short enough."""
    for path in sorted((SHARED / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                exchange = json.loads(line)
                name = SURFACES.get(exchange["surface"])
                if name is None:
                    continue
                text = exchange["response_body"]
                body = base64.b64decode(text) if exchange["body_encoding"] == "base64" else text.encode()
                kind = "fault" if exchange["status"] != 200 else "stream" if exchange["streaming"] else "answer"
                yield name, kind, body
                if exchange["request_json"]:
                    yield name, "request", json.dumps(exchange["request_json"]).encode()


ANSWER = ChatAnswer(
    "id", "m", (Thinking("hm"), Text("It is ü€😀."), ToolCall("c0", "look", '{"x":[1,null]}')), "tool_calls", Usage(3, 2, 0, 4, 1), None, 1
)
EVENTS: list[StreamEvent] = [
    Started("id", "m", 1),
    TextDelta("It is ü€😀."),
    ToolCallStarted(0, "c0", "look"),
    ToolCallDelta(0, '{"x":[1,null]}'),
    UsageReported(Usage(3, 2, 0, 4, 1)),
    Finished("tool_calls"),
]
ASKED = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x"}],
    "input": "x",
    "prompt": "x",
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
    "tools": [],
}


def made_up_seeds(name: str, dialect: Dialect) -> Iterator[tuple[str, str, bytes]]:
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    yield name, "stream", b"".join(map(renderer.render, EVENTS)) + renderer.finish()
    yield name, "answer", dialect.encode_answer(ANSWER, "m", 1)
    yield name, "fault", b'{"error":{"message":"No.","type":"invalid_request_error","code":400},"message":"No."}'
    yield name, "request", json.dumps(ASKED).encode()


Pools = dict[tuple[str, str], list[bytes]]


def pools_of_seeds(known: dict[str, Dialect]) -> Pools:
    pools: Pools = {(name, kind): [] for name in known for kind in KINDS}
    for name, dialect in known.items():
        for _, kind, seed in made_up_seeds(name, dialect):
            pools[name, kind].append(seed)
    for name, kind, seed in recorded_seeds():
        pool = pools[name, kind]
        if len(seed) <= SEED_BYTES_MAX and len(pool) < SEEDS_MAX and seed not in pool:
            pool.append(seed)
    return pools


# ---------------------------------------------------------------------------------------------------------------- mutants

WEIRD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**30, 0.5, -1e308, "", " ", "\x00", "null", "{}", '{"a":', "a" * 300, "\u2028\n\n", "data:x",
    [], [None], [[]], [{}], {}, {"type": None}, {"text": None}, {"": {}}, "2147483648",
)  # fmt: skip
WORDS = (
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"-1",
    b"1e999",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"data: ",
    b"event: error\n",
    b"[DONE]",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\x00",
)


def mutated(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """One to three changes, of bytes or of the JSON inside."""
    made = seed
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        made = rng.choice(_CHANGES)(rng, made, other)
    return made[:MUTANT_BYTES_MAX]


def _flip(rng: random.Random, data: bytes, _: bytes) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _delete(rng: random.Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 1, 2, 8, 64)) :]


def _insert(rng: random.Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(WORDS) + data[at:]


def _truncate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _duplicate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = start + rng.choice((1, 8, 64, 512))
    return data[:end] + data[start:end] + data[end:]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _change_json(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """One value inside becomes a weird one: in the whole body, in one event or line of a stream, in the payload of one AWS frame."""
    if data[:1] == b"\x00":
        return _change_frame(rng, data)
    whole = _json_of(data)
    if whole is not None:
        return _written(_with_one_changed(rng, whole), data)
    lines = data.split(b"\n")
    spots = [no for no, line in enumerate(lines) if b"{" in line]
    if not spots:
        return _insert(rng, data, b"")
    at = rng.choice(spots)
    head, brace, tail = lines[at].partition(b"{")
    value = _json_of(brace + tail)
    if value is not None:
        lines[at] = head + _written(_with_one_changed(rng, value), data)
    return b"\n".join(lines)


def _change_frame(rng: random.Random, data: bytes) -> bytes:
    try:
        frames = FrameDecoder().feed(data)
    except Damaged:
        return data
    if not frames:
        return data
    at = rng.randrange(len(frames))
    made = []
    for no, frame in enumerate(frames):
        payload = frame.payload
        if no == at and (value := _json_of(payload)) is not None:
            payload = _written(_with_one_changed(rng, value), data)
        made.append(encode_frame(frame.headers, payload))
    return b"".join(made)


def _written(value: Any, beside: bytes) -> bytes:
    """JSON in the spacing of its neighbours: a stream has one writer."""
    return json.dumps(value, separators=None if b'": ' in beside else (",", ":")).encode()


def _json_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _with_one_changed(rng: random.Random, value: Any) -> Any:
    """A walk down to a random depth; what is found there is replaced, taken out or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: _with_one_changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        if rng.random() < 0.1:
            return [*value[: at + 1], *value[at:]]
        return [*value[:at], _with_one_changed(rng, value[at]), *value[at + 1 :]]
    return rng.choice(WEIRD)


Change = Callable[[random.Random, bytes, bytes], bytes]
_CHANGES: tuple[Change, ...] = (_flip, _delete, _insert, _truncate, _duplicate, _splice, *[_change_json] * 8)


# --------------------------------------------------------------------------------------------------------------- promises


def exercise(dialect: Dialect, kind: str, data: bytes, cut: int, other: Dialect) -> None:
    """Everything that reads such bytes, and then what is said of them in another dialect. Raises where a promise is broken."""
    if kind == "request":
        _exercise_request(dialect, data, other)
    elif kind == "stream":
        _exercise_stream(dialect, data, cut, other)
    else:
        _exercise_answer(dialect, data, other)
    if kind == "fault":
        for status in (200, 400, 404, 429, 500, 529):
            fault = dialect.classify_fault(status, {"retry-after": data[:20].decode("latin-1")}, data, 1e9)
            _promise(isinstance(fault, Fault), "classify_fault gives a Fault")
            other.render_fault(fault, "r")
            other.render_stream_fault(fault, "r")


def _promise(kept: bool, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


def _exercise_request(dialect: Dialect, data: bytes, other: Dialect) -> None:
    request = dialect.decode_request(data)
    if isinstance(request, Fault):
        return
    _promise(isinstance(request, ChatRequest), "decode_request gives a ChatRequest or a Fault")
    made = other.encode_request(request, "m", request.stream)
    if isinstance(made, Fault):
        return
    _promise(isinstance(made, Encoded), "encode_request gives an Encoded or a Fault")
    _promise(not isinstance(msgspec.json.decode(made.body), str), "encode_request writes JSON")


def _exercise_answer(dialect: Dialect, data: bytes, other: Dialect) -> None:
    dialect.read_usage(data)
    answer = dialect.decode_answer(data)
    if isinstance(answer, Fault):
        return
    _promise(isinstance(answer, ChatAnswer), "decode_answer gives a ChatAnswer or a Fault")
    msgspec.json.decode(other.encode_answer(answer, "m", 1))


def _exercise_stream(dialect: Dialect, data: bytes, cut: int, other: Dialect) -> None:
    chunks = [data[:cut], data[cut : cut + 3], data[cut + 3 :]]
    events, in_pieces = _decoded(dialect, [data]), _decoded(dialect, chunks)
    _promise(events == in_pieces, f"a cut changes nothing: {events} became {in_pieces}")
    _promise(type(events[-1]).__name__ in {"Finished", "Failed"}, "a stream ends in Finished or Failed")
    whole, whole_facts = _tapped(dialect, [data], hide=False)
    pieces, piece_facts = _tapped(dialect, chunks, hide=False)
    for out, facts in ((whole, whole_facts), (pieces, piece_facts)):
        kept = facts[-1] is not None or data.startswith(out.rstrip(b"\r\n"))
        _promise(kept, "a tap forwards the bytes as they are, but for an empty line at the end, and what it says of damage")
    _promise(whole_facts == piece_facts, f"a cut changes nothing a tap sees: {whole_facts} became {piece_facts}")
    _tapped(dialect, chunks, hide=True)
    renderer = other.stream_renderer("m", 1, include_usage=True)
    rendered = b"".join(map(renderer.render, events)) + renderer.finish()
    again = _decoded(other, [rendered])
    _promise(isinstance(fold(events), Fault) <= isinstance(fold(again), Fault), "a stream that failed fails for the other client too")
    fold(again)


def _decoded(dialect: Dialect, chunks: list[bytes]) -> list[StreamEvent]:
    decoder = dialect.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def _tapped(dialect: Dialect, chunks: list[bytes], hide: bool) -> tuple[bytes, tuple[Any, ...]]:
    tap = dialect.tap(hide_usage=hide)
    out = b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush()
    return out, (tap.usage, tap.finish, tap.done, tap.error)


# --------------------------------------------------------------------------------------------------------------- coverage


class Edges:
    """Pairs of lines that ran one after the other in `setpoint.wire`."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int, int]] = set()
        self._watched: dict[CodeType, bool] = {}
        self._new = False

    def run(self, todo: Callable[[], None]) -> bool:
        """Whether `todo` reached an edge for the first time. What it raises goes through."""
        self._new = False
        sys.settrace(self._call)
        try:
            todo()
        finally:
            sys.settrace(None)
        return self._new

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        watched = self._watched.get(code)
        if watched is None:
            watched = self._watched[code] = f"{os.sep}setpoint{os.sep}wire{os.sep}" in code.co_filename
        if not watched:
            return None
        last = 0

        def line(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal last
            if event == "line":
                edge = (code, last, frame.f_lineno)
                last = frame.f_lineno
                if edge not in self.seen:
                    self.seen.add(edge)
                    self._new = True
            return line

        return line


@dataclass
class Found:
    executions: int = 0
    kept: int = 0
    crashes: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By place: how it crashed, and the shortest input that did it."""
    by_place: Counter[str] = field(default_factory=Counter)


def place_of(error: BaseException, name: str, kind: str) -> str:
    """One crash is one place in the code, however many inputs lead there."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if f"{os.sep}wire{os.sep}" in frame.filename]
    where = f"{Path(frames[-1].filename).parent.name}/{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else str(error)[:36]
    return f"{name} {kind}: {type(error).__name__} at {where}"


def fuzz(seconds: float, seed: int, names: tuple[str, ...], clock: Callable[[], float]) -> tuple[Found, Edges]:
    rng = random.Random(seed)
    known = dialects()
    pools = pools_of_seeds(known)
    edges, found = Edges(), Found()
    turns = [(name, kind) for name in names for kind in KINDS]
    until = clock() + seconds
    for name, kind in turns:
        for body in pools[name, kind]:
            if clock() < until:
                _try(known, name, kind, body, rng, edges, found)
    while clock() < until:
        name, kind = turns[found.executions % len(turns)]
        pool = pools[name, kind]
        body = mutated(rng, rng.choice(pool), rng.choice(pool))
        if _try(known, name, kind, body, rng, edges, found):
            pool.append(body)
            found.kept += 1
    return found, edges


def _try(known: dict[str, Dialect], name: str, kind: str, body: bytes, rng: random.Random, edges: Edges, found: Found) -> bool:
    cut, other = rng.randrange(len(body) + 1), known[rng.choice(NAMES)]
    found.executions += 1
    try:
        return edges.run(lambda: exercise(known[name], kind, body, cut, other))
    except Exception as error:  # noqa: BLE001  any of them is what is looked for
        place = place_of(error, name, kind)
        found.by_place[place] += 1
        said = f"{type(error).__name__}: {str(error)[:600]} (cut at {cut}, other dialect {other.name})"
        if place not in found.crashes or len(body) < len(found.crashes[place][1]):
            found.crashes[place] = (said, body)
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the dialects, guided by coverage.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dialect", action="append", choices=NAMES, help="only this one; may be given several times")
    options = parser.parse_args()
    found, edges = fuzz(options.minutes * 60, options.seed, tuple(options.dialect or NAMES), time.monotonic)
    for place, (said, body) in sorted(found.crashes.items()):
        print(f"{place} ({found.by_place[place]} times)\n  {said}\n  {body[:3_000]!r}")
    print(f"{found.executions} executions, {len(edges.seen)} edges, {found.kept} mutants kept, {len(found.crashes)} crashes")
    return 1 if found.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
