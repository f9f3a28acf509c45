"""From an answer to the bytes of an HTTP response: the status line, Setpoint's own headers, and what passes through of the upstream's."""

import http
from collections.abc import Iterable

from setpoint.domain.faults import Fault
from setpoint.domain.money import NANOUSD_PER_USD
from setpoint.domain.plan import DialectName
from setpoint.domain.trace import CacheTier
from setpoint.gateway.exchange import Answer, Exchange
from setpoint.gateway.server import Request
from setpoint.gateway.surfaces import JSON
from setpoint.wire.bedrock_converse.faults import error_code

STATUS_LINES: dict[int, bytes] = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
STATUS_LINES[499] = b"HTTP/1.1 499 Client Closed Request\r\n"
STATUS_LINES[529] = b"HTTP/1.1 529 Site is overloaded\r\n"

_DROPPED = frozenset(
    {
        b"alt-svc",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"date",
        b"keep-alive",
        b"nel",
        b"proxy-authenticate",
        b"proxy-connection",
        b"report-to",
        b"retry-after",
        b"server",
        b"set-cookie",
        b"strict-transport-security",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-powered-by",
    }
)
"""Hop by hop (RFC 9110 7.6.1), said anew by us, or about the upstream's own site."""
_DROPPED_PREFIXES = (b"x-setpoint-", b"x-ratelimit-", b"anthropic-ratelimit-", b"access-control-", b"cf-")
_CACHE_LINES = {
    CacheTier.bypass: b"x-setpoint-cache: bypass\r\n",
    CacheTier.miss: b"x-setpoint-cache: miss\r\n",
    CacheTier.hit_l1: b"x-setpoint-cache: hit-l1\r\n",
}
PASS_MEMO_MAX = 1_000


def status_line(status: int) -> bytes:
    """The status line; a status without a registered phrase gets an empty one."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def passes(name: bytes) -> bool:
    """Whether an upstream's header (lower case) reaches the client."""
    return name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)


class PassThrough:
    """Picks the headers that reach the client; remembers names, because upstreams send the same ones each time."""

    def __init__(self) -> None:
        self._memo: dict[bytes, bool] = {}

    def lines(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        memo = self._memo
        out: list[bytes] = []
        for name, value in headers:
            good = memo.get(name)
            if good is None:
                if len(memo) >= PASS_MEMO_MAX:
                    memo.clear()
                good = memo[name] = passes(name)
            if good:
                out += (name, b": ", value, b"\r\n")
        return b"".join(out)


def connection_line(request: Request, *, keep_alive: bool) -> bytes:
    """What the client must be told of the connection: HTTP/1.1 assumes that it stays, HTTP/1.0 that it does not (RFC 9112 9.3)."""
    if keep_alive:
        return b"connection: keep-alive\r\n" if request.http10 else b""
    return b"connection: close\r\n"


def own_lines(exchange: Exchange) -> bytes:
    """The `x-setpoint-*` and rate-limit headers that every answer carries, as far as the exchange came."""
    request_id = exchange.request_id.hex().encode()
    trace_id = request_id if exchange.trace_id is exchange.request_id else exchange.trace_id.hex().encode()
    candidate, route = exchange.candidate, exchange.route
    where = candidate.lines if candidate is not None else exchange.published.line if route is None else route.lines
    lines = b"x-setpoint-request-id: %b\r\nx-setpoint-trace-id: %b\r\n%bx-setpoint-attempts: %d\r\n%b%b" % (
        request_id, trace_id, where, exchange.attempts, _CACHE_LINES[exchange.cache_tier], exchange.limit_headers,
    )  # fmt: skip
    if exchange.decision is not None:
        lines += exchange.decision.line(exchange.failovers)
    return lines + b"x-setpoint-fallback: %d\r\n" % exchange.failovers if exchange.failovers else lines


def unary_response(exchange: Exchange, answer: Answer, date_line: bytes, overhead_ns: int, *, keep_alive: bool) -> bytes:
    """A whole response with its length."""
    cost = exchange.cost_nanousd
    return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%bx-setpoint-overhead-ms: %d.%03d\r\n%b%b\r\n%b" % (
        status_line(answer.status), date_line, answer.content_type, len(answer.body), answer.headers, own_lines(exchange),
        overhead_ns // 1_000_000, overhead_ns // 1_000 % 1_000,
        b"" if cost < 0 else b"x-setpoint-cost-usd: %b\r\n" % (b"%d.%09d" % divmod(cost, NANOUSD_PER_USD)).rstrip(b"0").rstrip(b"."),
        connection_line(exchange.request, keep_alive=keep_alive), answer.body,
    )  # fmt: skip


def stream_type(exchange: Exchange) -> bytes:
    """The content type of a streamed answer."""
    place = exchange.place
    if exchange.content_type:
        return exchange.content_type
    return JSON if place is not None and place.array else exchange.surface.stream_type


def stream_head(exchange: Exchange, headers: bytes, date_line: bytes, *, keep_alive: bool) -> bytes:
    """The head of a streamed response. Chunked for HTTP/1.1; an HTTP/1.0 client gets a body that ends with the connection."""
    return b"%b%bcontent-type: %b\r\ncache-control: no-cache\r\n%b%b%b%b\r\n" % (
        STATUS_LINES[200],
        date_line,
        stream_type(exchange),
        b"" if exchange.request.http10 else b"transfer-encoding: chunked\r\n",
        headers,
        own_lines(exchange),
        connection_line(exchange.request, keep_alive=keep_alive),
    )


def fault_lines(fault: Fault, dialect: DialectName = "openai_chat") -> bytes:
    """Headers that belong to a fault; AWS's clients look for its name in one."""
    lines = b"x-setpoint-error-code: %d\r\n" % fault.code
    if dialect == "bedrock_converse":
        lines += b"x-amzn-errortype: %b\r\n" % error_code(fault).encode()
    if fault.retry_after_s is not None:
        whole_s = max(1, -int(-fault.retry_after_s // 1))
        lines += b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (whole_s, max(1, int(fault.retry_after_s * 1000 + 0.999)))
    return lines
