"""The whole wall before gateways that are known to be bad: it must find them out."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from setpoint.testing.fault_wall.cells import cells
from setpoint.testing.fault_wall.client import Gateway
from setpoint.testing.fault_wall.instructions import plain_model
from setpoint.testing.fault_wall.modes import LEAVES_IN_STREAM, LEAVES_WAITING, MODES, Mode
from setpoint.testing.fault_wall.run import Settings, Wall
from setpoint.testing.fault_wall.surfaces import UpstreamDialect
from setpoint.testing.fault_wall.upstreams import WallUpstreams
from setpoint.testing.fault_wall.verdict import Result

PATIENCE_S = 0.6
DIALECT: UpstreamDialect = "openai_chat"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
WITHOUT_STALLS = [mode for mode in MODES if not mode.stalls]


async def naive(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, port: int) -> None:
    """A relay as one writes it in an afternoon: it forwards bytes, and when they end, it ends. It says "done" for whoever did not."""
    request = await _request(incoming)
    up_in, up_out = await asyncio.open_connection("127.0.0.1", port)
    try:
        up_out.write(request)
        body = b""
        while b"\r\n\r\n" not in body and (data := await up_in.read(65_536)):
            body += data
        head, _, body = body.partition(b"\r\n\r\n")
        while data := await up_in.read(65_536):
            body += data
        streamed = b"event-stream" in head
        plain = _unchunked(body) if b"chunked" in head else body
        if streamed and b"[DONE]" not in plain:
            plain += b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        kind = b"text/event-stream" if streamed else b"application/json"
        code = head.split(b" ")[1] if head else b"502"
        outgoing.write(b"HTTP/1.1 %b X\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (code, kind, len(plain), plain))
    except ConnectionError:
        outgoing.write(b"HTTP/1.1 500 X\r\ncontent-length: 21\r\n\r\nInternal Server Error")
    finally:
        up_out.close()
        outgoing.close()


async def deaf(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, port: int) -> None:
    """Calls the provider, and forgets about both. Its connections live as long as it does."""
    request = await _request(incoming)
    kept = await asyncio.open_connection("127.0.0.1", port)
    kept[1].write(request)
    LEAKED.append((kept[1], outgoing))


LEAKED: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []


async def _request(incoming: asyncio.StreamReader) -> bytes:
    head = await incoming.readuntil(b"\r\n\r\n")
    length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return head + await incoming.readexactly(length)


def _unchunked(body: bytes) -> bytes:
    plain = b""
    while (line := body.partition(b"\r\n")[0]) and (size := int(line, 16)):
        at = len(line) + 2
        plain += body[at : at + size]
        body = body[at + size + 2 :]
    return plain


async def _judged(handler: Handler, modes: list[Mode], *, streamed: bool) -> tuple[list[Result], int]:
    async with WallUpstreams((DIALECT,)) as upstreams:
        port = upstreams.ports[DIALECT, "breaks"]
        server = await asyncio.start_server(lambda i, o: handler(i, o, port), "127.0.0.1", 0, limit=1_000_000)
        gateway = Gateway("127.0.0.1", server.sockets[0].getsockname()[1], "any")
        wall = Wall(
            Settings(gateway, lambda dialect, spared, _: plain_model(dialect, spared=spared), 16, PATIENCE_S, prepared=0), upstreams
        )
        asked = [cell for cell in cells(modes, ["chat"], [DIALECT], spared=[False]) if cell.streamed == streamed]
        results = await wall.run(asked)
        unended = len(await upstreams.all_ended(0.1))
        for connections in LEAKED:
            for writer in connections:
                writer.transport.abort()
        LEAKED.clear()
        server.close()
    return results, unended


def of(results: list[Result], mode: str) -> Result:
    return next(result for result in results if result.cell.mode.name == mode)


def test_a_relay_that_truncates_silently_is_found_out() -> None:
    results, _ = asyncio.run(_judged(naive, WITHOUT_STALLS, streamed=True))
    endings = {name: of(results, name).ending for name in ("healthy", "cut", "ended_early", "reset_mid_body", "bad_json")}
    assert endings["healthy"] == "whole"
    assert endings["ended_early"] == "truncated"
    assert endings["cut"] == "truncated"
    for name in ("cut", "ended_early", "html_error", "empty_error", "status 401", "status 503", "cut, once", "early_reset"):
        assert of(results, name).misses, name
    assert [r.cell.mode.name for r in results if r.misses and r.cell.fault_class == "harmless"] == ["gzip"], "it forgets the coding"
    missed = Counter(result.cell.fault_class for result in results if result.misses)
    assert missed["failed"] > 10


def test_a_relay_that_never_tries_again_and_hides_errors_is_found_out_in_whole_answers_too() -> None:
    results, _ = asyncio.run(_judged(naive, WITHOUT_STALLS, streamed=False))
    assert of(results, "healthy").misses == []
    assert of(results, "status 503").misses == ["it was not tried again"]
    assert of(results, "missing_terminator").ending == "misshapen"
    assert of(results, "early_reset").ending == "misshapen"
    assert any("401" in miss for miss in of(results, "status 401").misses)
    assert of(results, "status 400").misses == []


def test_a_gateway_that_never_answers_and_never_lets_go_is_found_out() -> None:
    for streamed in (False, True):
        modes = [mode for mode in (*MODES[:1], LEAVES_WAITING, LEAVES_IN_STREAM) if streamed or mode.unary]
        results, unended = asyncio.run(_judged(deaf, modes, streamed=streamed))
        assert of(results, "healthy").ending == "hang"
        assert "not let go of" in of(results, LEAVES_WAITING.name).misses[0]
        assert unended > 0
        if streamed:
            assert of(results, LEAVES_IN_STREAM.name).misses == ["the client never came to the point where it leaves"]
