"""What recorded Cohere answers (API v2) say, worked out from their JSON by hand. The plan of tool calls is a thought."""

import json
from typing import Any

from tests.pairs.said import Gathered, Said, arguments_of
from tests.pairs.told.events import NotOneAnswerError, answers_of

STOPS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}


def answer(body: bytes) -> Said:
    given = json.loads(body)
    if "message" not in given:
        raise NotOneAnswerError("no chat answer inside")
    message = given["message"]
    gathered = Gathered(thoughts=[message.get("tool_plan") or ""])
    for item in message.get("content") or ():
        gathered.texts.append(item.get("text") or "")
        gathered.thoughts.append(item.get("thinking") or "")
    for call in message.get("tool_calls") or ():
        gathered.calls.append((call["id"], call["function"]["name"], arguments_of(_text(call))))
    return _said(gathered, given["finish_reason"], given.get("usage"))


def _text(call: dict[str, Any]) -> str:
    """`null` stands for no arguments."""
    text: str = call["function"]["arguments"]
    return "" if text == "null" else text


def stream(stream: bytes) -> Said:
    gathered = Gathered()
    calls: dict[int, list[Any]] = {}
    stop, usage = "", None
    for event in answers_of(stream):
        message = (event.get("delta") or {}).get("message") or {}
        kind = event["type"]
        if kind in {"content-start", "content-delta"}:
            gathered.texts.append(message["content"].get("text") or "")
            gathered.thoughts.append(message["content"].get("thinking") or "")
        elif kind == "tool-plan-delta":
            gathered.thoughts.append(message["tool_plan"])
        elif kind == "tool-call-start":
            call = message["tool_calls"]
            calls[event["index"]] = [call["id"], call["function"]["name"], call["function"].get("arguments") or ""]
        elif kind == "tool-call-delta":
            calls[event["index"]][2] += message["tool_calls"]["function"]["arguments"]
        elif kind == "message-end":
            stop, usage = event["delta"]["finish_reason"], event["delta"].get("usage")
    gathered.calls = [(call_id, name, arguments_of(text)) for call_id, name, text in calls.values()]
    return _said(gathered, stop, usage)


def _said(gathered: Gathered, stop: str, usage: dict[str, Any] | None) -> Said:
    tokens = (usage or {}).get("tokens")
    stop = STOPS.get(stop, "unknown")
    return gathered.said(stop, tokens["input_tokens"], tokens["output_tokens"]) if tokens else gathered.said(stop, None, None)
