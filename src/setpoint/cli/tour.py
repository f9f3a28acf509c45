"""What the demonstration says to a running gateway and to the person watching: one streamed request, its cost, its trace.

Plain functions over bytes and plain HTTP; `cli.demo` decides when.
"""

import contextlib
import http.client
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

PROMPT = "Tell me in one sentence what a thermostat does."
ANSWER_TOKENS_MAX = 60
REQUEST_S = 60.0
GET_S = 5.0
POLL_S = 0.05
VALUE_CHARS_MAX = 100
TRACES = "/api/v1/traces"
NOT_THERE_YET = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a gateway listens, and the key to ask it with."""

    host: str
    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)


class TourError(Exception):
    """The gateway did not do what the tour expected; the message says what it did. `status` is its HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """One streamed answer: the id of its request, and its text in pieces as they come."""

    request_id: str
    pieces: Iterator[str]


def question(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": ANSWER_TOKENS_MAX, "temperature": 0, "messages": [{"role": "user", "content": PROMPT}]}


def curl(gateway: Gateway, model: str) -> str:
    """A command that can be pasted into a shell."""
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": PROMPT}]})
    return (
        f"curl -N {gateway.url}/v1/chat/completions \\\n"
        f"  -H 'authorization: Bearer {gateway.key}' -H 'content-type: application/json' \\\n"
        f"  -d '{body}'"
    )


def python_lines(gateway: Gateway, model: str) -> str:
    """Three lines of Python that can be pasted into an interpreter."""
    return (
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{gateway.url}/v1", api_key="{gateway.key}")\n'
        f'print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "{PROMPT}"}}])'
        ".choices[0].message.content)"
    )


def texts(lines: Iterable[bytes]) -> Iterator[str]:
    """The pieces of text in a stream of chat completion chunks. Raises TourError at an error event or when `[DONE]` never comes."""
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise TourError(f"the stream ended in an error: {event['error'].get('message', event['error'])}")
        for choice in event.get("choices", ()):
            if text := choice.get("delta", {}).get("content"):
                yield text
    raise TourError("the stream ended before it was complete")


def ask(gateway: Gateway, model: str) -> Answer:
    """Sends one streamed request; returns when its head has come. Raises TourError when that is no 200."""
    connection = gateway.connect(REQUEST_S)
    body = json.dumps(question(model) | {"stream": True})
    try:
        connection.request("POST", "/v1/chat/completions", body, headers(gateway) | {"content-type": "application/json"})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise TourError(f"no answer: {error}") from error
    if response.status != 200:
        said = response.read().decode(errors="replace")
        connection.close()
        raise TourError(f"{response.status} {said}", response.status)
    return Answer(response.headers.get("x-setpoint-request-id", ""), _until_done(response, connection))


def ask_patiently(gateway: Gateway, model: str, within_s: float) -> Answer:
    """Like `ask`; an upstream that is not there yet, because its model is still being loaded, is asked again until `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return ask(gateway, model)
        except TourError as error:
            if error.status not in NOT_THERE_YET or time.monotonic() >= deadline:
                raise
        time.sleep(POLL_S)


def trace_of(gateway: Gateway, request_id: str, within_s: float) -> dict[str, Any]:
    """The trace of a request, as soon as it can be read. Raises TourError when that is not `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        status, body = get(gateway, f"{TRACES}/{request_id}")
        if status == 200:
            document = json.loads(body)
            trace: dict[str, Any] = document.get("data", document)
            return trace
        if time.monotonic() >= deadline:
            raise TourError(f"no trace of {request_id} within {within_s:g} s: {status} {body.decode(errors='replace')}", status)
        time.sleep(POLL_S)


def described(trace: dict[str, Any]) -> str:
    """The figures of a trace as aligned lines of `name  value`; what is empty or has members of its own is left out."""
    rows = [(name, value) for name, value in trace.items() if value not in (None, "") and isinstance(value, str | int | float)]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"    {name:<{width}}  {_cut(str(value))}" for name, value in rows)


def cost_text(trace: dict[str, Any]) -> str:
    """What it cost, for a sentence; a price that nobody knows is not nothing."""
    cost = trace.get("cost")
    return "an unknown amount" if cost is None else f"{cost} USD"


def trace_curl(gateway: Gateway, request_id: str) -> str:
    """A command that shows all of a trace."""
    return f"curl {gateway.url}{TRACES}/{request_id} -H 'authorization: Bearer {gateway.key}'"


def headers(gateway: Gateway) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.key}"}


def get(gateway: Gateway, path: str) -> tuple[int, bytes]:
    """Status and body; status 0 and the reason when nobody answers."""
    connection = gateway.connect(GET_S)
    try:
        connection.request("GET", path, headers=headers(gateway))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def _until_done(response: Iterable[bytes], connection: http.client.HTTPConnection) -> Iterator[str]:
    with contextlib.closing(connection):
        yield from texts(response)
        for _ in response:  # to the very end: who leaves at [DONE] leaves before the answer is over
            pass


def _cut(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= VALUE_CHARS_MAX else f"{line[:VALUE_CHARS_MAX]}…"
