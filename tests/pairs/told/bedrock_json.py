"""What recorded Converse answers say, worked out from their JSON by hand; frames are split by botocore."""

import json
from typing import Any

from botocore.eventstream import EventStreamBuffer
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}


def answer(body: bytes) -> Said:
    given = json.loads(body)
    return _said(given["output"]["message"]["content"], given["stopReason"], given["usage"])


def _said(blocks: list[dict[str, Any]], stop: str, usage: dict[str, Any]) -> Said:
    """Calls of tools that AWS ran itself say so in their type."""
    gathered = Gathered()
    for block in blocks:
        if "text" in block:
            gathered.texts.append(block["text"])
        elif "citationsContent" in block:
            gathered.texts += [piece["text"] for piece in block["citationsContent"]["content"]]
        elif "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
            call = block["toolUse"]
            gathered.calls.append((call["toolUseId"], call["name"], arguments_of(call["input"])))
        elif "reasoningContent" in block:
            gathered.thoughts.append((block["reasoningContent"].get("reasoningText") or {}).get("text") or "")
    cached = (usage.get("cacheReadInputTokens") or 0) + (usage.get("cacheWriteInputTokens") or 0)
    return gathered.said(STOPS.get(stop, "unknown"), usage["inputTokens"] + cached, usage["outputTokens"])


def stream(stream: bytes) -> Said:
    frames = EventStreamBuffer()
    frames.add_data(stream)
    blocks: dict[int, dict[str, Any]] = {}
    stop, usage = "", {}
    for frame in frames:
        event = frame.to_response_dict()
        kind, said = event["headers"][":event-type"], json.loads(event["body"])
        if kind == "contentBlockStart" and "toolUse" in said["start"]:
            blocks[said["contentBlockIndex"]] = {"toolUse": {**said["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _grow(blocks.setdefault(said["contentBlockIndex"], {}), said["delta"])
        elif kind == "messageStop":
            stop = said["stopReason"]
        elif kind == "metadata":
            usage = said["usage"]
    return _said([blocks[index] for index in sorted(blocks)], stop, usage)


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "text" in delta.get("reasoningContent", {}):
        thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
        thought["reasoningText"]["text"] += delta["reasoningContent"]["text"]
