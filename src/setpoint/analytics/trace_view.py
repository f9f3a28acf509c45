"""A trace as people see it: names, units and shapes of the JSON, documented in `docs/traces.md`."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from setpoint.analytics.fold import OPERATIONS
from setpoint.domain.faults import FAULT_CLASSES, FaultKind
from setpoint.domain.money import usd
from setpoint.domain.trace import Attempt, CacheTier, Outcome, RecordHead, RecordTail, Surface
from setpoint.domain.trace_query import ATTRIBUTES, LIST_FIELDS

Columns = dict[str, Any]


def list_item(columns: Columns, fields: tuple[str, ...]) -> dict[str, Any]:
    """The asked fields of an index row. `attributes.x` gives `{"attributes": {"x": …}}`."""
    item: dict[str, Any] = {}
    for name in fields:
        if name.startswith("attributes."):
            attribute = name.removeprefix("attributes.")
            item.setdefault("attributes", {})[attribute] = _FIELDS[ATTRIBUTES[attribute]](columns)
        else:
            item[name] = _FIELDS[name](columns)
    return item


def whole_trace(head: RecordHead, tail: RecordTail, attempts: list[Attempt], prompt: bytes, answer: bytes) -> dict[str, Any]:
    """Everything known of one exchange."""
    columns = _columns_of(head, tail)
    return list_item(columns, LIST_FIELDS) | {
        "usage": {
            "input": head.input,
            "cached_read": head.cached_read,
            "cache_write": head.cache_write,
            "output": head.output,
            "reasoning": head.reasoning,
            "audio_input": tail.audio_input,
            "audio_output": tail.audio_output,
            "image_input": tail.image_input,
            "estimated": tail.estimated,
        },
        "saved": usd(tail.saved_nanousd) if tail.saved_nanousd else None,
        "price_source": tail.price_source or None,
        "finish_reason": tail.finish or None,
        "decision": said(tail.decision.encode()),
        "error": _error(head.fault, tail.fault_message),
        "client_request_id": tail.client_request_id or None,
        "parent_span_id": tail.parent_span or None,
        "user": tail.user or None,
        "tags": tail.tags or None,
        "attempt_list": _attempts(head, tail, attempts),
        "prompt": said(prompt),
        "prompt_bytes": tail.prompt_bytes,
        "prompt_sha256": tail.prompt_sha256.hex() or None,
        "answer": said(answer),
        "answer_bytes": tail.answer_bytes,
        "answer_sha256": tail.answer_sha256.hex() or None,
    }


def said(body: bytes) -> Any:
    """A body as it is if it is JSON, else as text, else `{"base64": …}`; None when nothing was kept."""
    if not body:
        return None
    try:
        msgspec.json.decode(body)
        return msgspec.Raw(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def rfc3339(ns: int) -> str:
    """UTC with microseconds."""
    seconds, rest = divmod(ns, 10**9)
    moment = datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _attempts(head: RecordHead, tail: RecordTail, failed: list[Attempt]) -> list[dict[str, Any]]:
    """The recorded failures, then the call that the END tells of, if there was one more."""
    shown = [_attempt(attempt) for attempt in failed]
    if tail.upstream and head.attempts > sum(attempt.no > 0 for attempt in failed):
        before = [a.start_ns + a.duration_ns for a in failed if not a.hedged]
        start_ns = max(before, default=head.start_ns)
        served = tail.model_served or tail.model
        last = Attempt(
            tail.attempt_no or head.attempts, tail.upstream, tail.provider, served, head.status, head.fault, tail.fault_message, start_ns,
            head.upstream_ns, tail.key, tail.hedged,
        )  # fmt: skip
        shown.append(_attempt(last))
    return shown


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "no": attempt.no,
        "upstream": attempt.upstream,
        "provider": attempt.provider,
        "model": attempt.model,
        "status": attempt.status,
        "error": _error(attempt.fault, attempt.fault_message),
        "start_time": rfc3339(attempt.start_ns),
        "duration_ms": _ms(attempt.duration_ns),
        "key": attempt.key or None,
        "hedged": attempt.hedged,
        "cost": usd(attempt.cost_nanousd) if attempt.cost_nanousd >= 0 else None,
    }


def _error(code: int, message: str) -> dict[str, Any] | None:
    if not code:
        return None
    try:
        kind = FaultKind(code)
    except ValueError:
        return {"code": code, "kind": None, "blame": None, "message": message}
    return {"code": code, "kind": kind.name, "blame": FAULT_CLASSES[kind].blame, "message": message}


def _columns_of(head: RecordHead, tail: RecordTail) -> Columns:
    return {
        "id": head.request_id,
        "trace_id": head.trace_id if any(head.trace_id) else None,
        "cost_nanousd": head.cost_nanousd if head.cost_nanousd >= 0 else None,
        "input_tokens": head.input + head.cached_read + head.cache_write + tail.audio_input + tail.image_input,
        "output_tokens": head.output + head.reasoning + tail.audio_output,
        "session_id": tail.session_id or None,
        "key": tail.public_id,
        **{name: getattr(tail, name) for name in ("route", "upstream", "provider", "model", "model_served", "project", "role")},
        **{name: getattr(head, name) for name in _HEAD_COLUMNS},
    }


_HEAD_COLUMNS = (
    "start_ns", "duration_ns", "ttft_ns", "upstream_ns", "status", "outcome", "surface", "cache", "streamed", "attempts", "fault",
    "config_version",
)  # fmt: skip


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)


def _text(name: str) -> Callable[[Columns], str | None]:
    return lambda c: c[name] or None


_FIELDS: dict[str, Callable[[Columns], Any]] = {
    "id": lambda c: c["id"].hex(),
    "trace_id": lambda c: c["trace_id"].hex() if c["trace_id"] else None,
    "start_time": lambda c: rfc3339(c["start_ns"]),
    "duration_ms": lambda c: _ms(c["duration_ns"]),
    "ttft_ms": lambda c: _ms(c["ttft_ns"]) if c["ttft_ns"] else None,
    "overhead_ms": lambda c: _ms(max(0, c["duration_ns"] - c["upstream_ns"])),
    "status": lambda c: c["status"],
    "outcome": lambda c: Outcome(c["outcome"]).name,
    "error_code": lambda c: c["fault"] or None,
    "surface": lambda c: Surface(c["surface"]).name,
    "operation": lambda c: OPERATIONS[Surface(c["surface"])],
    **{name: _text(name) for name in ("route", "upstream", "provider", "model", "model_served", "key", "project", "role", "session_id")},
    "streamed": lambda c: bool(c["streamed"]),
    "cache": lambda c: CacheTier(c["cache"]).name,
    "attempts": lambda c: c["attempts"],
    "cost": lambda c: None if c["cost_nanousd"] is None else usd(c["cost_nanousd"]),
    "input_tokens": lambda c: c["input_tokens"],
    "output_tokens": lambda c: c["output_tokens"],
    "total_tokens": lambda c: c["input_tokens"] + c["output_tokens"],
    "config_version": lambda c: c["config_version"],
    "attributes": lambda c: {name: value for name, field in ATTRIBUTES.items() if (value := _FIELDS[field](c)) is not None},
}
