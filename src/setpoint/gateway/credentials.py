"""Credentials that are more than a header known in advance: a signature of each request, or a token that runs out.

A token is asked for once, however many exchanges need it: the flight has a drive of its own, so that no exchange that is given up takes it
along. From `REFRESH_BEFORE_S` before its end on a new one is fetched while the old one serves; nobody waits but for the first, or when the
token server was away for too long.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Timeouts, Upstream
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS, Drive
from setpoint.gateway.upstream import Call, Pool
from setpoint.wire.aws_keys import AwsKeys
from setpoint.wire.aws_sigv4 import SigningKeys, sign
from setpoint.wire.google_token import GoogleAccount, Token, TokenServer, read_token

BEDROCK_SERVICE = "bedrock"
"""The name that requests to bedrock-runtime are signed for."""
REFRESH_BEFORE_S = 300.0
"""A token is renewed when it is good for no longer than this."""
SPENT_S = 10.0
"""A token that is good for no longer than this may run out under way, so it is not sent any more."""
HOLD_OFF_S = 1.0
"""After a failure the token server is left alone for this long; its last word counts meanwhile."""
TOKEN_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=10.0, unary_total_s=15.0, stream_total_s=15.0)
TOKEN_ANSWER_BYTES_MAX = 65_536


class Credential(Protocol):
    """What proves to an upstream who asks, made for each request."""

    async def lines(self, drive: Drive, method: str, path: str, body: bytes) -> bytes | Fault:
        """Header lines to add, each ending in CRLF. `path` is the whole request target. May wait, on the exchange's drive."""
        ...

    def close(self) -> None:
        """The plan does not name its upstream any more; exchanges under way may still ask."""
        ...

    def abort(self) -> None:
        """Hang up at once; for the end of the worker."""
        ...


class AwsCredential:
    """Signs each request (Signature Version 4). `host` is the Host header as it is sent."""

    __slots__ = ("_host", "_keys", "_region", "_signing_keys", "_wall_s")

    def __init__(self, keys: AwsKeys, host: str, region: str, wall_s: Callable[[], float]) -> None:
        self._keys = keys
        self._host = host
        self._region = region
        self._wall_s = wall_s
        self._signing_keys = SigningKeys()

    async def lines(self, drive: Drive, method: str, path: str, body: bytes) -> bytes | Fault:  # noqa: ARG002  nothing to wait for
        place, _, query = path.partition("?")
        keys = self._keys
        added = sign(
            method,
            self._host,
            place,
            query,
            {"content-type": "application/json"},
            body,
            keys.access_key,
            keys.secret_key,
            keys.session_token,
            self._region,
            BEDROCK_SERVICE,
            self._wall_s(),
            self._signing_keys,
        )
        return "".join([f"{name}: {value}\r\n" for name, value in added]).encode()

    def close(self) -> None: ...
    def abort(self) -> None: ...


class GoogleCredential:
    """Adds the access token of an account, and keeps it fresh."""

    __slots__ = (
        "_account", "_deadlines", "_fault", "_flight", "_held_off_until_s", "_line", "_pool", "_until_s", "_waiting", "_wall_s",
        "_wall_until_s",
    )  # fmt: skip

    def __init__(self, account: GoogleAccount, pool: Pool, wall_s: Callable[[], float]) -> None:
        """`pool` reaches the account's token server, see `token_pool`."""
        self._account = account
        self._pool = pool
        self._deadlines = pool.deadlines
        self._wall_s = wall_s
        self._line = b""
        self._until_s = self._wall_until_s = float("-inf")
        self._fault = Fault(FaultKind.upstream_auth, "There is no access token yet.")
        self._held_off_until_s = float("-inf")
        self._flight: Drive | None = None
        self._waiting: dict[Drive, None] = {}

    async def lines(self, drive: Drive, method: str, path: str, body: bytes) -> bytes | Fault:  # noqa: ARG002  one token for all requests
        if self._left_s() <= REFRESH_BEFORE_S:
            self._refresh()
            while self._left_s() <= SPENT_S:
                if self._flight is None:
                    return self._fault
                self._waiting[drive] = None
                try:
                    await NEWS
                finally:
                    self._waiting.pop(drive, None)
        return self._line

    def close(self) -> None:
        self._pool.close()

    def abort(self) -> None:
        self._pool.abort()

    def _left_s(self) -> float:
        """By the clock that is further: a machine that slept stops one of them, and somebody who sets the time moves the other."""
        return min(self._until_s - self._deadlines.now_s(), self._wall_until_s - self._wall_s())

    def _refresh(self) -> None:
        """Begin to fetch a token, unless that is under way or has just failed."""
        if self._flight is None and self._deadlines.now_s() >= self._held_off_until_s:
            self._flight = flight = Drive()
            flight.start(self._fetch(flight))

    async def _fetch(self, flight: Drive) -> None:
        try:
            token = await self._asked(flight)
        finally:
            self._flight = None
        now_s = self._deadlines.now_s()
        if isinstance(token, Token):
            self._line = b"authorization: Bearer %b\r\n" % token.text.encode()
            self._until_s = now_s + token.life_s
            self._wall_until_s = self._wall_s() + token.life_s
        else:
            self._fault = token
            self._held_off_until_s = now_s + HOLD_OFF_S
        for waiting in list(self._waiting):
            waiting.resume()

    async def _asked(self, flight: Drive) -> Token | Fault:
        body = self._account.token_request(self._wall_s())
        call = Call(flight, (_token_head(self._pool.upstream, body), body), TOKEN_TIMEOUTS, TOKEN_ANSWER_BYTES_MAX, None)
        self._pool.send(call)
        await call
        return read_token(call.status, call.body(), self._account) if call.fault is None else self._unreachable(call.fault)

    def _unreachable(self, fault: Fault) -> Fault:
        text = (
            f"Google's token server {self._pool.upstream.host} gave no access token: {fault.message} See whether this machine reaches it."
        )
        return Fault(FaultKind.upstream_unreachable, text)


def host_header(upstream: Upstream) -> str:
    """The Host header of requests to `upstream`."""
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return host if upstream.port in {0, 443 if upstream.tls else 80} else f"{host}:{upstream.port}"


def token_pool(
    server: TokenServer, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, tls_for: Callable[[Upstream], ssl.SSLContext | None]
) -> Pool:
    """The way to a token server."""
    upstream = Upstream(
        name="google-token",
        provider="google",
        dialect="gemini",
        host=server.host,
        port=server.port,
        tls=server.tls,
        base_path=server.path,
        auth="none",
        connections_max=1,
    )
    return Pool(upstream, tls_for(upstream), loop, deadlines)


def _token_head(upstream: Upstream, body: bytes) -> bytes:
    lines = (
        f"POST {upstream.base_path} HTTP/1.1",
        f"host: {host_header(upstream)}",
        "content-type: application/x-www-form-urlencoded",
        "accept: application/json",
        "accept-encoding: identity",
        "user-agent: setpoint",
        f"content-length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode()
