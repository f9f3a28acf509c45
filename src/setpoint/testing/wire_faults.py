"""Everything that can go wrong between an upstream and us, as data.

A fault turns the answer of a healthy upstream into the steps that a server plays instead: bytes to send, pauses, an end. It is a
plain function, so a fault can be read, listed and put into a parameter of a test; `fake_upstream` only plays the steps.
"""

import gzip
import random
import re
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal, get_args

import msgspec

from setpoint.testing.answers import Answer
from setpoint.testing.splits import SplitMode, split

FaultName = Literal[
    "rate_limited_seconds", "rate_limited_date", "status", "html_error", "empty_error",
    "early_reset", "reset_before_head", "close_before_head", "hang_before_head", "head_then_hang",
    "stall_mid_body", "pause_mid_body", "ended_early", "cut", "cut_in_character", "reset_mid_body", "missing_terminator",
    "bad_json", "bad_sse", "error_event", "comments", "crlf", "bom", "huge_chunk", "slow_drip",
    "gzip", "short_content_length", "long_content_length", "duplicate_headers", "early_hints", "close_after_answer",
]  # fmt: skip

FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

HARMLESS: frozenset[FaultName] = frozenset(
    {
        "comments", "crlf", "bom", "huge_chunk", "slow_drip", "pause_mid_body", "gzip", "duplicate_headers", "early_hints",
        "close_after_answer",
    }
)  # fmt: skip
"""Unusual but correct: the client must get the whole answer."""


class WireFault(msgspec.Struct, frozen=True):
    """A fault and when it strikes. Requests are counted from 1 at each upstream.

    `first` strikes the first so many requests, `nth` every n-th, `probability` by chance (the same ones at each `seed`); with none of them
    it strikes always. `after_pieces` is how many events of a stream arrive intact before a fault in the body; a unary body breaks in its
    middle.
    """

    name: FaultName
    first: int | None = None
    nth: int | None = None
    after_pieces: int = 2
    code: int = 503
    retry_after: str = ""
    drip_s: float = 0.001
    pause_s: float = 0.05
    probability: float | None = None
    seed: int = 0

    def strikes(self, no: int) -> bool:
        """Whether request number `no` is struck."""
        if self.first is not None:
            return no <= self.first
        if self.probability is not None:
            return random.Random(f"{self.seed}/{no}").random() < self.probability
        return self.nth is None or no % self.nth == 0


class Send(msgspec.Struct, frozen=True):
    """Write these bytes in one piece."""

    data: bytes


class Pause(msgspec.Struct, frozen=True):
    """Wait a moment."""

    seconds: float


class Stall(msgspec.Struct, frozen=True):
    """Wait until the client hangs up."""


class Close(msgspec.Struct, frozen=True):
    """End the connection: with a FIN, or with a reset."""

    reset: bool = False


Step = Send | Pause | Stall | Close


def steps(answer: Answer, fault: WireFault | None = None, mode: SplitMode = "as_recorded", seed: int = 0) -> list[Step]:
    """What to play. The last step is a `Close` when the connection cannot be used again."""
    if fault is None:
        return _whole(msgspec.structs.replace(answer, pieces=split(answer.pieces, mode, seed)))
    if fault.name in _INSTEAD:
        return _INSTEAD[fault.name](fault, answer)
    if fault.name in _CHANGED:
        answer = _CHANGED[fault.name](fault, answer)
    answer = msgspec.structs.replace(answer, pieces=split(answer.pieces, mode, seed))
    return _BROKEN[fault.name](fault, answer) if fault.name in _BROKEN else _whole(answer)


def head(answer: Answer, length: int | None = None) -> bytes:
    """Status line and headers, framing included. `length` overrides the Content-Length."""
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers)]
    if answer.framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif answer.framing == "length":
        lines.append(f"content-length: {sum(map(len, answer.pieces)) if length is None else length}")
    else:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _body(answer: Answer) -> list[Step]:
    if answer.framing == "chunked":
        return [Send(b"%x\r\n%b\r\n" % (len(piece), piece)) for piece in answer.pieces if piece]
    return [Send(piece) for piece in answer.pieces]


def _whole(answer: Answer) -> list[Step]:
    terminator: list[Step] = [Send(b"0\r\n\r\n")] if answer.framing == "chunked" else []
    closes = answer.framing == "close" or ("connection", "close") in answer.headers
    return [Send(head(answer)), *_body(answer), *terminator, *([Close()] if closes else [])]


# Another answer, or none


def _refused(status: int, body: bytes, *headers: tuple[str, str]) -> list[Step]:
    return _whole(Answer(status, headers, (body,), "length"))


def _limited(retry_after: str) -> Callable[[WireFault, Answer], list[Step]]:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    return lambda f, _: _refused(429, body, ("content-type", "application/json"), ("retry-after", f.retry_after or retry_after))


def _status(fault: WireFault, _: Answer) -> list[Step]:
    body = b'{"type":"error","error":{"type":"api_error","message":"the fake upstream failed"}}'
    return _refused(fault.code, body, ("content-type", "application/json"))


def _html(fault: WireFault, _: Answer) -> list[Step]:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
    return _refused(fault.code, page, ("content-type", "text/html"))


_INSTEAD: dict[FaultName, Callable[[WireFault, Answer], list[Step]]] = {
    "rate_limited_seconds": _limited("2"),
    "rate_limited_date": _limited("Wed, 21 Oct 2099 07:28:00 GMT"),
    "status": _status,
    "html_error": _html,
    "empty_error": lambda f, _: _refused(f.code, b""),
    "early_reset": lambda _, __: [Close(reset=True)],
    "reset_before_head": lambda _, __: [Close(reset=True)],
    "close_before_head": lambda _, __: [Close()],
    "hang_before_head": lambda _, __: [Stall()],
    "head_then_hang": lambda _, a: [Send(head(a)), Stall()],
}


# The same answer, written otherwise


def _with(answer: Answer, *headers: tuple[str, str], pieces: tuple[bytes, ...] | None = None) -> Answer:
    return msgspec.structs.replace(answer, headers=(*answer.headers, *headers), pieces=answer.pieces if pieces is None else pieces)


def _bad_sse(fault: WireFault, answer: Answer) -> Answer:
    """Lines without a colon, which the standard says to ignore, and an event whose data is not JSON. Other streams get a line, or a frame,
    that makes no sense.
    """
    if not answer.streamed:
        return answer
    at = fault.after_pieces
    garbage = b"garbage without colon\ndata {\n\ndata: {]\n\n" if answer.has_events else _GARBAGE[_has_lines(answer)]
    return _with(answer, pieces=(*answer.pieces[:at], garbage, *answer.pieces[at:]))


_GARBAGE = {True: b"{]\n", False: struct.pack(">III", 16, 0, 0xDEAD) + b"\0\0\0\0"}
"""A line of no JSON; a frame whose checksums are wrong."""


def _has_lines(answer: Answer) -> bool:
    """Whether it is a stream of JSON line by line."""
    return dict(answer.headers).get("content-type") == "application/x-ndjson"


def _crlf(_: WireFault, answer: Answer) -> Answer:
    if not answer.has_events and not _has_lines(answer):
        return answer
    return _with(answer, pieces=tuple(_LINE_END.sub(b"\r\n", piece) for piece in answer.pieces))


_LINE_END = re.compile(rb"\r?\n")


def _huge(_: WireFault, answer: Answer) -> Answer:
    """The whole stream in one chunk, behind a comment of 300,000 bytes where there are comments."""
    if not answer.streamed:
        return answer
    comment = b": " + b"x" * 300_000 + b"\n\n" if answer.has_events else b""
    return _with(answer, pieces=(comment + b"".join(answer.pieces),))


def _comments(_: WireFault, answer: Answer) -> Answer:
    if not answer.has_events:
        return answer
    return _with(answer, pieces=tuple(b": keep-alive\n\n" + piece for piece in answer.pieces))


def _zipped(_: WireFault, answer: Answer) -> Answer:
    return _with(answer, ("content-encoding", "gzip"), pieces=(gzip.compress(b"".join(answer.pieces), mtime=0),))


def _bad_json(fault: WireFault, answer: Answer) -> Answer:
    """One event, or the whole of a unary body, lacks its last bracket."""
    at = min(fault.after_pieces, len(answer.pieces) - 1)
    broken = answer.pieces[at].rstrip()[:-1] + (b"\n\n" if answer.streamed else b"")
    return _with(answer, pieces=(*answer.pieces[:at], broken, *answer.pieces[at + 1 :]))


def _unterminated(_: WireFault, answer: Answer) -> Answer:
    """Streams lose `[DONE]` or `message_stop`; a unary answer its last bytes, with a length that matches."""
    return _with(answer, pieces=answer.pieces[:-1] if answer.streamed else (answer.pieces[0][:-2],))


def _ended_early(fault: WireFault, answer: Answer) -> Answer:
    """By the rules of HTTP all is well, yet the answer is not all there."""
    if answer.streamed:
        return _with(answer, pieces=answer.pieces[: fault.after_pieces])
    return _with(answer, pieces=(answer.pieces[0][: len(answer.pieces[0]) // 2],))


def _error_event(fault: WireFault, answer: Answer) -> Answer:
    return _with(answer, pieces=(*answer.pieces[: fault.after_pieces], answer.error_event)) if answer.streamed else answer


_CHANGED: dict[FaultName, Callable[[WireFault, Answer], Answer]] = {
    "bad_json": _bad_json,
    "bad_sse": _bad_sse,
    "error_event": _error_event,
    "ended_early": _ended_early,
    "missing_terminator": _unterminated,
    "comments": _comments,
    "crlf": _crlf,
    "bom": lambda _, a: _with(a, pieces=(b"\xef\xbb\xbf" + a.pieces[0], *a.pieces[1:])) if a.has_events else a,
    "huge_chunk": _huge,
    "gzip": _zipped,
    "duplicate_headers": lambda _, a: _with(a, ("x-request-id", "one"), ("x-request-id", "two"), ("date", "x"), ("date", "y")),
    "close_after_answer": lambda _, a: _with(a, ("connection", "close")),
}


# The same answer, broken on the way


def _part(fault: WireFault, answer: Answer) -> list[Step]:
    """The head and what arrives before the body breaks; a unary body breaks in its middle."""
    if answer.streamed:
        kept = msgspec.structs.replace(answer, pieces=answer.pieces[: fault.after_pieces])
        return [Send(head(answer)), *_body(kept)]
    whole = b"".join(answer.pieces)
    return [Send(head(answer)), Send(whole[: len(whole) // 2])]


def _cut_in_character(fault: WireFault, answer: Answer) -> list[Step]:
    """Ends after the first byte of the first character that has several (in a stream behind `after_pieces`), or in the middle.

    Frames have such bytes in their checksums too; any of those will do.
    """
    whole = b"".join(answer.pieces)
    begin = sum(map(len, answer.pieces[: fault.after_pieces])) if answer.streamed else 0
    at = next((i + 1 for i, byte in enumerate(whole) if byte >= 0xC0 and i >= begin), max(begin, len(whole) // 2))
    return [Send(head(answer)), *_body(msgspec.structs.replace(answer, pieces=(whole[:at],))), Close()]


def _misstated(change: int) -> Callable[[WireFault, Answer], list[Step]]:
    def play(_: WireFault, answer: Answer) -> list[Step]:
        plain = msgspec.structs.replace(answer, framing="length")
        return [Send(head(plain, sum(map(len, plain.pieces)) + change)), *_body(plain), Close()]

    return play


def _paused(fault: WireFault, answer: Answer) -> list[Step]:
    """Silence in mid-body, and then the rest."""
    played = _whole(answer)
    at = 1 + (fault.after_pieces if answer.streamed else 0)
    return [*played[:at], Pause(fault.pause_s), *played[at:]]


def _drip(fault: WireFault, answer: Answer) -> list[Step]:
    return [part for step in _whole(answer) for part in (Pause(fault.drip_s), step)]


_BROKEN: dict[FaultName, Callable[[WireFault, Answer], list[Step]]] = {
    "stall_mid_body": lambda f, a: [*_part(f, a), Stall()],
    "cut": lambda f, a: [*_part(f, a), Close()],
    "reset_mid_body": lambda f, a: [*_part(f, a), Close(reset=True)],
    "cut_in_character": _cut_in_character,
    "slow_drip": _drip,
    "pause_mid_body": _paused,
    "short_content_length": _misstated(-5),
    "long_content_length": _misstated(+5),
    "early_hints": lambda _, a: [Send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"), *_whole(a)],
}
