"""Records of an exchange as bytes: the head the worker packs by hand, and the tail of texts."""

from hashlib import sha256

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.trace import Outcome, RecordKind, RecordTail
from setpoint.domain.usage import Usage
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate
from setpoint.wire.spool import HEAD, encode_tail

_NO_USAGE = Usage()


class Slower(msgspec.Struct, frozen=True):
    """One of two calls at once that did not answer: its number, and what it will be billed for."""

    no: int
    usage: Usage | None = None
    cost_nanousd: int = -1


NOWHERE = ("", "", "")
NOBODY = ("", "", "")
TEXT_MAX = 512
"""Characters kept of each text a client chooses; the rest is cut, because a trace is no place to smuggle megabytes into."""


def client_text(value: bytes) -> str:
    """A header's value as a trace keeps it."""
    return value[:TEXT_MAX].decode("utf-8", "replace")


def tail_of(exchange: Exchange, fault: Fault | None, prompt_bytes: int, answer_bytes: int) -> RecordTail:
    """All texts of an END or BEGIN record."""
    route, candidate, caller = exchange.route, exchange.candidate, exchange.caller
    upstream, provider, price_source = NOWHERE if candidate is None else candidate.texts
    project, role, public_id = NOBODY if caller is None else caller.texts
    tail = RecordTail(
        "" if route is None else route.name, upstream, provider, "", exchange.model_served, exchange.finish,
        "" if fault is None else fault.message[:TEXT_MAX], "", "", "", "", project, role, public_id, "", prompt_bytes, answer_bytes,
        b"", b"", False, price_source,
    )  # fmt: skip
    usage = exchange.usage
    if usage is not None and (usage.estimated or usage.audio_input or usage.audio_output or usage.image_input):
        tail.estimated = usage.estimated
        tail.audio_input, tail.audio_output, tail.image_input = usage.audio_input, usage.audio_output, usage.image_input
    if exchange.decision is not None:
        tail.decision = exchange.decision.text(exchange.failovers)
    if exchange.saved_nanousd:
        tail.saved_nanousd = exchange.saved_nanousd
    if exchange.key is not None:
        tail.key = exchange.key.label
    if exchange.hedged > 0:
        tail.hedged, tail.attempt_no = True, exchange.hedged
    _add_client_texts(tail, exchange)
    return tail


def _add_client_texts(tail: RecordTail, exchange: Exchange) -> None:
    """What the client says about its request, each cut to TEXT_MAX."""
    if (envelope := exchange.envelope) is not None:
        tail.model = envelope.model[:TEXT_MAX]
        if envelope.user:
            tail.user = envelope.user[:TEXT_MAX]
        if envelope.tags:
            tail.tags = ",".join(envelope.tags)[:TEXT_MAX]
    headers = exchange.request.headers
    if b"x-request-id" in headers:
        tail.client_request_id = client_text(headers[b"x-request-id"])
    if b"x-setpoint-session-id" in headers:
        tail.session_id = client_text(headers[b"x-setpoint-session-id"])
    if b"x-setpoint-tags" in headers:
        tail.tags = client_text(headers[b"x-setpoint-tags"])
    if b"traceparent" in headers:
        tail.parent_span = headers[b"traceparent"][36:52].decode("latin-1")


def end_record(
    exchange: Exchange, outcome: Outcome, status: int, duration_ns: int, prompt: bytes, answer: bytes, answer_bytes: int
) -> tuple[bytes, bytes]:
    """Head and tail of the END record."""
    fault = exchange.fault
    usage = exchange.usage or _NO_USAGE
    texts = tail_of(exchange, fault, len(exchange.request.body), answer_bytes)
    if prompt and len(prompt) < len(exchange.request.body):
        texts.prompt_sha256 = sha256(exchange.request.body).digest()
    if answer and len(answer) < len(exchange.captured) == answer_bytes:
        texts.answer_sha256 = sha256(exchange.captured).digest()
    tail = encode_tail(texts)
    caller = exchange.caller
    head = HEAD.pack(
        RecordKind.end, outcome, exchange.surface.number, exchange.cache_tier, status, exchange.attempts, exchange.request_id,
        exchange.trace_id,
        exchange.start_ns, duration_ns, exchange.ttft_ns, exchange.upstream_ns, exchange.cost_nanousd,
        usage.input, usage.cached_read, usage.cache_write, usage.output, usage.reasoning,
        0 if caller is None else caller.principal.key_no, exchange.published.version, 0 if fault is None else fault.kind,
        exchange.streamed, 0, len(tail), len(prompt), len(answer),
    )  # fmt: skip
    return head, tail


def begin_record(exchange: Exchange, elapsed_ns: int) -> tuple[bytes, bytes]:
    """Head and tail of a BEGIN record: who and where to, should no END ever follow."""
    tail = encode_tail(tail_of(exchange, None, len(exchange.request.body), 0))
    caller = exchange.caller
    head = HEAD.pack(
        RecordKind.begin, Outcome.ok, exchange.surface.number, exchange.cache_tier, 0, exchange.attempts, exchange.request_id,
        exchange.trace_id,
        exchange.start_ns, elapsed_ns, exchange.ttft_ns, 0, -1, 0, 0, 0, 0, 0,
        0 if caller is None else caller.principal.key_no, exchange.published.version, 0, exchange.streamed, 0, len(tail), 0, 0,
    )  # fmt: skip
    return head, tail


def attempt_record(
    exchange: Exchange, candidate: Candidate, fault: Fault | None, took_ns: int, began_ns: int, slower: Slower | None = None
) -> tuple[bytes, bytes]:
    """Head and tail of the ATTEMPT record of a call that failed and was followed by another, or that was one of two at once."""
    upstream = candidate.line.upstream
    usage, no = _NO_USAGE, exchange.attempts if exchange.call is not None else 0
    tail = RecordTail(upstream=upstream.name, provider=upstream.provider, model=candidate.model, began_ns=began_ns)
    if slower is not None:
        usage, no = slower.usage or _NO_USAGE, slower.no
        tail.hedged, tail.estimated = True, usage.estimated
    tail.attempt_no = no
    if exchange.key is not None:
        tail.key = exchange.key.label
    if fault is not None:
        tail.fault_message = fault.message[:TEXT_MAX]
    packed = encode_tail(tail)
    head = HEAD.pack(
        RecordKind.attempt, Outcome.ok if fault is None else Outcome.fault, exchange.surface.number, 0,
        (fault and fault.upstream_status) or 0, exchange.attempts, exchange.request_id, exchange.trace_id, exchange.start_ns, took_ns, 0,
        took_ns, -1 if slower is None else slower.cost_nanousd, usage.input, usage.cached_read, usage.cache_write, usage.output,
        usage.reasoning, 0, exchange.published.version, 0 if fault is None else fault.kind, 0, 0, len(packed), 0, 0,
    )  # fmt: skip
    return head, packed
