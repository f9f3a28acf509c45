"""Events of recorded streams, split without the code under test."""

import json
from typing import Any


class NotOneAnswerError(Exception):
    """The recording is no chat answer, or several; its text says which and is counted."""


def datas(stream: bytes) -> list[bytes]:
    """The data of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), a joined text for each event."""
    found: list[bytes] = []
    lines: list[bytes] = []
    for line in [*stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            found.append(b"\n".join(lines))
            lines = []
    return found


def answers_of(stream: bytes) -> list[dict[str, Any]]:
    """JSON objects of server-sent events, of lines, or of one array."""
    if stream.lstrip()[:1] == b"[":
        return list(json.loads(stream))
    if stream.lstrip()[:1] == b"{":
        return [json.loads(line) for line in stream.splitlines() if line.strip()]
    return [json.loads(data) for data in datas(stream) if data != b"[DONE]"]
