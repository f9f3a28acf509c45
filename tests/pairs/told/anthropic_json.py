"""What recorded Anthropic answers say, worked out from their JSON by hand."""

import json
from typing import Any

from tests.pairs.said import Gathered, Said, arguments_of
from tests.pairs.told.events import NotOneAnswerError, datas

STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    None: "unknown",
}


def _said(blocks: list[dict[str, Any]], ended: dict[str, Any], usage: dict[str, Any]) -> Said:
    gathered = Gathered()
    for block in blocks:
        if block["type"] == "text":
            gathered.texts.append(block["text"])
        elif block["type"] == "tool_use":
            gathered.calls.append((block["id"], block["name"], block["input"]))
        elif block["type"] == "thinking":
            gathered.thoughts.append(block["thinking"])
    gathered.refusals.append((ended.get("stop_details") or {}).get("explanation") or "")
    prompt = sum(usage.get(name) or 0 for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
    return gathered.said(STOPS[ended["stop_reason"]], prompt, usage["output_tokens"])


def message(body: bytes) -> Said:
    answer = json.loads(body)
    return _said(answer["content"], answer, answer["usage"])


def stream(stream: bytes) -> Said:
    """A stream that fell back to another model has two starts; blocks are numbered anew after the second."""
    blocks: dict[tuple[int, int], dict[str, Any]] = {}
    ended: dict[str, Any] = {"stop_reason": None}
    usage: dict[str, Any] = {}
    starts = stops = 0
    for data in datas(stream):
        event = json.loads(data)
        if event["type"] == "error":
            raise NotOneAnswerError("failed, as recorded")
        if event["type"] == "message_start":
            starts += 1
            usage = dict(event["message"]["usage"])
        elif event["type"] == "content_block_start":
            blocks[starts, event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            _grow(blocks[starts, event["index"]], event["delta"])
        elif event["type"] == "message_delta":
            ended = event["delta"]
            usage |= {name: count for name, count in event["usage"].items() if count is not None}
        stops += event["type"] == "message_stop"
    if starts > 1 or stops > 1:
        raise NotOneAnswerError("several answers run together")
    for block in blocks.values():
        if block["type"] == "tool_use" and block["json"]:
            block["input"] = arguments_of(block["json"])
    return _said(list(blocks.values()), ended, usage)


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if delta["type"] == "text_delta":
        block["text"] += delta["text"]
    elif delta["type"] == "input_json_delta":
        block["json"] += delta["partial_json"]
    elif delta["type"] == "thinking_delta":
        block["thinking"] += delta["thinking"]
