"""What a reader may ask of traces, as one value, and how it is read from the parameters of a request.

Lists go by keyset: a cursor holds the sort value and id of the last item, and a fingerprint of the filters, so that it cannot be used with
other ones. It is opaque to clients and its format may change.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.money import NANOUSD_PER_USD
from setpoint.domain.trace import CacheTier, Outcome, Surface

LIMIT_DEFAULT = 50
LIMIT_MAX = 1000
TIME_NS_MAX = 2**63 - 1
"""In the year 2262; a later time means the same, for no trace is from then."""
VALUES_MAX = 100
"""Values of one filter."""

Sort = Literal["-start_time", "start_time", "-cost", "cost", "-latency", "latency"]
SORTS: tuple[str, ...] = get_args(Sort)

LIST_FIELDS = (
    "id", "trace_id", "start_time", "duration_ms", "ttft_ms", "overhead_ms", "status", "outcome", "error_code", "surface", "operation",
    "route",
    "upstream", "provider", "model", "model_served", "key", "project", "role", "session_id", "streamed", "cache", "attempts", "cost",
    "input_tokens", "output_tokens", "total_tokens", "config_version", "attributes",
)  # fmt: skip
ATTRIBUTES = {
    "gen_ai.operation.name": "operation",
    "gen_ai.provider.name": "provider",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model_served",
    "gen_ai.request.stream": "streamed",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.conversation.id": "session_id",
}
"""OpenTelemetry GenAI attribute → our field; a trace shows them under `attributes`."""

TEXT_FILTERS = ("route", "upstream", "provider", "model", "key", "project", "session_id")
NAME_FILTERS: dict[str, dict[str, int]] = {
    "outcome": {member.name: int(member) for member in Outcome},
    "cache": {member.name: int(member) for member in CacheTier},
    "surface": {member.name: int(member) for member in Surface},
}
RANGE_FILTERS = ("min_cost", "max_cost", "min_latency_ms", "max_latency_ms")
_SPELT = {"key": "key_id"}
"""`key` in an address is a credential (Gemini's SDKs send it so), and a worker takes it out; so a request spells that filter `key_id`."""
_TEXT_PARAMETERS = tuple(_SPELT.get(name, name) for name in TEXT_FILTERS)
PARAMETERS = (*_TEXT_PARAMETERS, *NAME_FILTERS, "status", *RANGE_FILTERS, "from", "to", "sort", "limit", "cursor", "fields")


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the sort value (0 when sorted by time) and the id of its last item."""

    value: int
    id: bytes


class TraceQuery(msgspec.Struct, frozen=True):
    """One list. `texts` and `numbers` are by column name; several values of one filter mean any of them. Ranges include their ends, except
    `to_ns`."""

    from_ns: int | None = None
    to_ns: int | None = None
    texts: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, tuple[int, ...]] = {}
    cost_min_nanousd: int | None = None
    cost_max_nanousd: int | None = None
    latency_min_ns: int | None = None
    latency_max_ns: int | None = None
    sort: Sort = "-start_time"
    limit: int = LIMIT_DEFAULT
    after: Position | None = None
    fields: tuple[str, ...] = LIST_FIELDS

    def fingerprint(self) -> bytes:
        """Of everything but page and projection."""
        rest = msgspec.structs.replace(self, limit=0, after=None, fields=())
        return hashlib.sha256(msgspec.msgpack.encode(rest)).digest()[:8]


def query_from(parameters: Mapping[str, str]) -> TraceQuery | Fault:
    """The query that request parameters ask for, or the first thing wrong with them, named in `param`."""
    try:
        query = _query(parameters)
        if cursor := parameters.get("cursor"):
            query = msgspec.structs.replace(query, after=_position(cursor, query))
    except _Wrong as wrong:
        return Fault(FaultKind.bad_request, wrong.message, param=wrong.param)
    return query


def cursor_of(query: TraceQuery, position: Position) -> str:
    data = msgspec.msgpack.encode((query.fingerprint(), position))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class _Wrong(Exception):
    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param, self.message = param, message


def _query(parameters: Mapping[str, str]) -> TraceQuery:
    for name in parameters:
        if name not in PARAMETERS and name not in TEXT_FILTERS:
            raise _Wrong(name, f"unknown parameter '{name}'; there are {', '.join(PARAMETERS)}")
    given = {name: value for name, value in parameters.items() if value}
    given |= {name: given[spelt] for name, spelt in _SPELT.items() if spelt in given}
    numbers = {name: _names(name, given[name], known) for name, known in NAME_FILTERS.items() if name in given}
    if "status" in given:
        numbers["status"] = tuple(_whole("status", text, 0, 999) for text in _split("status", given["status"]))
    return TraceQuery(
        from_ns=_time_ns("from", given),
        to_ns=_time_ns("to", given),
        texts={name: _split(name, given[name]) for name in TEXT_FILTERS if name in given},
        numbers=numbers,
        cost_min_nanousd=_scaled("min_cost", given, NANOUSD_PER_USD),
        cost_max_nanousd=_scaled("max_cost", given, NANOUSD_PER_USD),
        latency_min_ns=_scaled("min_latency_ms", given, 1_000_000),
        latency_max_ns=_scaled("max_latency_ms", given, 1_000_000),
        sort=_sort(given.get("sort", "-start_time")),
        limit=_whole("limit", given.get("limit", str(LIMIT_DEFAULT)), 1, LIMIT_MAX),
        fields=_fields(given.get("fields")),
    )


def _split(name: str, text: str) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not values or len(values) > VALUES_MAX:
        raise _Wrong(name, f"{name} takes 1 to {VALUES_MAX} values separated by commas")
    return values


def _names(name: str, text: str, known: dict[str, int]) -> tuple[int, ...]:
    for value in _split(name, text):
        if value not in known:
            raise _Wrong(name, f"{name} '{value}' is not one of {', '.join(known)}")
    return tuple(known[value] for value in _split(name, text))


def _whole(name: str, text: str, lowest: int, highest: int) -> int:
    if not text.isascii() or not text.isdigit() or not lowest <= int(text[:9]) <= highest:
        raise _Wrong(name, f"{name} must be a whole number from {lowest} to {highest}, not '{text}'")
    return int(text)


def _scaled(name: str, given: Mapping[str, str], scale: int) -> int | None:
    if name not in given:
        return None
    try:
        value = Decimal(given[name])
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 10**9:
        raise _Wrong(name, f"{name} must be a number from 0 to 1000000000, not '{given[name]}'")
    return int(value * scale)


def _time_ns(name: str, given: Mapping[str, str]) -> int | None:
    if name not in given:
        return None
    try:
        # A `+` that was not percent-encoded arrives as a space.
        moment = datetime.fromisoformat(given[name].replace(" ", "+") if "T" in given[name] else given[name])
    except ValueError:
        raise _Wrong(name, f"{name} must be a time like 2026-01-31T12:00:00Z (RFC 3339), not '{given[name]}'") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return min(max(0, (past.days * 86_400 + past.seconds) * 10**9 + past.microseconds * 1000), TIME_NS_MAX)


def _sort(text: str) -> Sort:
    if text not in SORTS:
        raise _Wrong("sort", f"sort must be one of {', '.join(SORTS)}, not '{text}'")
    return text  # type: ignore[return-value]  # just compared with the literal's members


def _fields(text: str | None) -> tuple[str, ...]:
    if text is None:
        return LIST_FIELDS
    fields = _split("fields", text)
    for name in fields:
        attribute = name.removeprefix("attributes.") if name.startswith("attributes.") else None
        if name not in LIST_FIELDS and attribute not in ATTRIBUTES:
            raise _Wrong("fields", f"unknown field '{name}'; there are {', '.join(LIST_FIELDS)}")
    return fields


def _position(cursor: str, query: TraceQuery) -> Position:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        fingerprint, position = msgspec.msgpack.decode(data, type=tuple[bytes, Position])
    except (binascii.Error, ValueError):
        raise _Wrong("cursor", "this cursor was not made by this server; begin without one") from None
    if fingerprint != query.fingerprint():
        raise _Wrong("cursor", "this cursor belongs to a list with other filters or another sort; keep them the same from page to page")
    return position
