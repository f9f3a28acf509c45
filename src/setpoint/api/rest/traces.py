"""`/api/v1/traces`: list, one, and the stream of new ones. Shapes: `docs/traces.md`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from setpoint.api.errors import ApiFault
from setpoint.api.identity import PeerPrincipal, require
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.trace_query import PARAMETERS, TraceQuery, query_from
from setpoint.ports.trace_store import TAIL_ITEMS_MAX, TailPage, TraceReader

TAIL_POLL_S = 0.4
HEARTBEAT_POLLS = 37
"""Polls without a trace after which a comment is sent, about 15 s."""
TAILS_MAX = 64
_NOT_IN_TAIL = ("cursor", "limit", "sort")

_Reader = Annotated[PeerPrincipal, Depends(require("traces:read"))]


def router(traces: TraceReader) -> APIRouter:
    """Needs the permission `traces:read`. A trace holds prompts, so nothing of it may be kept by a cache in between."""
    routes = APIRouter(prefix="/api/v1", tags=["traces"])
    tails: set[object] = set()

    @routes.get("/traces", summary="Traces that match, newest first", openapi_extra=_documented(PARAMETERS))
    async def find(request: Request, _: _Reader) -> Response:
        return _json(await traces.find(_query(dict(request.query_params))))

    @routes.get("/traces/tail", summary="New traces as server-sent events", openapi_extra=_documented(PARAMETERS))
    @routes.get("/traces:tail", include_in_schema=False)
    async def tail(request: Request, _: _Reader) -> Response:
        query, since_n = _tail_question(request)
        if len(tails) >= TAILS_MAX:
            raise ApiFault(Fault(FaultKind.overloaded, f"{TAILS_MAX} readers follow the traces already", retry_after_s=5.0))
        first = _given(await traces.tail(since_n, query))
        return StreamingResponse(
            _events(traces, query, first, tails), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    @routes.get("/traces/{trace_id}", summary="One trace: attempts, usage, cost, prompt and answer")
    async def get(trace_id: str, _: _Reader) -> Response:
        return _json(await traces.get(trace_id))

    return routes


async def _events(traces: TraceReader, query: TraceQuery, page: TailPage, tails: set[object]) -> AsyncIterator[bytes]:
    """Event id: where to go on after it, for `Last-Event-ID`. Ends with an `error` event when the traces cannot be read any more."""
    me = object()
    tails.add(me)
    silent = 0
    try:
        yield b": traces\n\n"
        while True:
            for n, item in page.items:
                yield b"id: %d\nevent: trace\ndata: %s\n\n" % (n + 1, item)
            silent = 0 if page.items else silent + 1
            if silent >= HEARTBEAT_POLLS:
                silent = 0
                yield b": still here\n\n"
            if len(page.items) < TAIL_ITEMS_MAX:
                await asyncio.sleep(TAIL_POLL_S)
            found = await traces.tail(page.next_n, query)
            if isinstance(found, Fault):
                if found.kind is not FaultKind.engine_down:
                    yield b"event: error\ndata: %d\n\n" % found.code
                    return
                found = TailPage((), page.next_n)  # it is being restarted, and the place in the stream still holds
            page = found
    finally:
        tails.discard(me)


def _tail_question(request: Request) -> tuple[TraceQuery, int | None]:
    parameters = dict(request.query_params)
    since = request.headers.get("last-event-id") or parameters.pop("since", "")
    for name in _NOT_IN_TAIL:
        if name in parameters:
            raise ApiFault(Fault(FaultKind.bad_request, f"'{name}' means nothing in a tail; leave it out", param=name))
    if since and not (since.isascii() and since.isdigit() and len(since) <= 18):
        raise ApiFault(Fault(FaultKind.bad_request, "since must be the id of an event of this stream", param="since"))
    return _query(parameters), int(since) if since else None


def _query(parameters: dict[str, str]) -> TraceQuery:
    query = query_from(parameters)
    if isinstance(query, Fault):
        raise ApiFault(query)
    return query


def _json(answer: bytes | Fault) -> Response:
    if isinstance(answer, Fault):
        raise ApiFault(answer)
    return Response(answer, media_type="application/json", headers={"cache-control": "no-store"})


def _given(page: TailPage | Fault) -> TailPage:
    if isinstance(page, Fault):
        raise ApiFault(page)
    return page


def _documented(names: tuple[str, ...]) -> dict[str, Any]:
    return {"parameters": [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in names]}
