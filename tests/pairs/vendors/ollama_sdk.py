"""Ollama's own client reads an answer, unary and streamed.

Its type of a tool call has no id, though servers send one since version 0.12; so ids are read from the JSON beside it.
"""

import json
from collections.abc import Iterable

import httpx
import ollama
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {"stop": "stop", "length": "length"}


def client(body: bytes, kind: str) -> ollama.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body, headers={"content-type": kind})

    return ollama.Client(host="http://x.test", transport=httpx.MockTransport(answer))


def read(body: bytes) -> Said:
    return _put_together([client(body, "application/json").chat(model="m", messages=[])], [body])


def read_stream(stream: bytes) -> Said:
    assert stream.endswith(b"\n")
    answers = client(stream, "application/x-ndjson").chat(model="m", messages=[], stream=True)
    return _put_together(answers, stream.splitlines())


def _put_together(answers: Iterable[ollama.ChatResponse], lines: list[bytes]) -> Said:
    gathered = Gathered()
    last: ollama.ChatResponse | None = None
    for answer, line in zip(answers, lines, strict=True):
        assert last is None, "nothing follows the end"
        assert answer.model == "shown"
        assert answer.created_at
        gathered.texts.append(answer.message.content or "")
        gathered.thoughts.append(answer.message.thinking or "")
        ids = [call.get("id", "") for call in json.loads(line)["message"].get("tool_calls") or ()]
        for call_id, call in zip(ids, answer.message.tool_calls or (), strict=True):
            gathered.calls.append((call_id, call.function.name, arguments_of(dict(call.function.arguments))))
        last = answer if answer.done else None
    assert last is not None, "the stream has no end"
    return gathered.said(STOPS[last.done_reason or ""], last.prompt_eval_count, last.eval_count)
