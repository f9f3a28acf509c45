"""What recorded Ollama answers say, worked out from their JSON by hand."""

import json
from typing import Any

from tests.pairs.said import Gathered, Said
from tests.pairs.told.events import NotOneAnswerError, answers_of

STOPS = {"stop": "stop", "length": "length"}


def answer(body: bytes) -> Said:
    return _said([json.loads(body)])


def stream(stream: bytes) -> Said:
    return _said(answers_of(stream))


def _said(answers: list[dict[str, Any]]) -> Said:
    gathered = Gathered()
    for one in answers:
        if "error" in one:
            raise NotOneAnswerError("failed, as recorded")
        message = one["message"]
        gathered.texts.append(message.get("content") or "")
        gathered.thoughts.append(message.get("thinking") or "")
        for call in message.get("tool_calls") or ():
            gathered.calls.append((call.get("id") or "", call["function"]["name"], call["function"]["arguments"]))
    last = answers[-1]
    return gathered.said(STOPS.get(last.get("done_reason") or "", "unknown"), last.get("prompt_eval_count"), last.get("eval_count"))
