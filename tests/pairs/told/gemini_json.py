"""What recorded Gemini answers say, worked out from their JSON by hand."""

import json
import re
from typing import Any

from tests.pairs.said import Gathered, Said
from tests.pairs.told.events import NotOneAnswerError, answers_of

STOPS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION"}
"""Some clients of Vertex record the numbers of the protocol buffer."""

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def answer(body: bytes) -> Said:
    return _said([json.loads(body)])


def stream(stream: bytes) -> Said:
    answers = answers_of(stream)
    if not any("candidates" in one or "promptFeedback" in one for one in answers):
        raise NotOneAnswerError("no chat answer inside")
    return _said(answers)


def _said(answers: list[dict[str, Any]]) -> Said:
    gathered = Gathered()
    stop = "unknown"
    usage: dict[str, Any] = {}
    growing: list[Any] = []
    for one in answers:
        if (one.get("promptFeedback") or {}).get("blockReason"):
            stop = "content_filter"
            gathered.refusals.append(one["promptFeedback"].get("blockReasonMessage") or "")
        for candidate in (one.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                _add(part, gathered, growing)
            if "finishReason" in candidate:
                reason = candidate["finishReason"]
                stop = STOPS.get(NUMBERS.get(reason, reason), "unknown")
                gathered.refusals.append((candidate.get("finishMessage") or "") if stop == "content_filter" else "")
        if "totalTokenCount" in (one.get("usageMetadata") or {}) or not usage:
            usage = one.get("usageMetadata") or {}
    counts = [usage.get(f"{name}TokenCount") for name in ("prompt", "toolUsePrompt", "candidates", "thoughts")]
    prompt, tool, seen, thought = (count or 0 for count in counts)
    known = any(count is not None for count in counts)
    return gathered.said(stop, prompt + tool if known else None, seen + thought if known else None)


def _add(part: dict[str, Any], gathered: Gathered, growing: list[Any]) -> None:
    call = part.get("functionCall")
    if call is None:
        if "text" in part:
            (gathered.thoughts if part.get("thought") else gathered.texts).append(part["text"])
        return
    if "name" in call:
        growing.append(dict(call.get("args") or {}))
        gathered.calls.append((call.get("id") or "", call["name"], growing[-1]))
    for piece in call.get("partialArgs") or ():
        (value,) = [piece[kind] for kind in ("stringValue", "numberValue", "boolValue", "nullValue") if kind in piece] or [None]
        _put(growing[-1], piece["jsonPath"], value, "stringValue" in piece)


def _put(into: Any, path: str, value: Any, grows: bool) -> None:
    """Sets the place that a JSONPath of members and numbers names; texts come in pieces and grow."""
    steps: list[Any] = [name or int(number) for name, number in _STEP.findall(path)]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, int):
            into.extend([None] * (step + 1 - len(into)))
        here = into[step] if isinstance(step, int) or step in into else None
        if following is None:
            into[step] = (here or "") + value if grows else value
        elif here is None:
            into[step] = [] if isinstance(following, int) else {}
        into = into[step]
