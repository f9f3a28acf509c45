"""From a loaded snapshot to what exchanges use, keeping alive what did not change: pools with their warm connections, and breakers."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial

from setpoint.domain.plan import Plan, SealedKey, Upstream
from setpoint.gateway.credentials import AwsCredential, Credential, GoogleCredential, host_header, token_pool
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.key_pool import KeyPool, ProviderKey
from setpoint.gateway.published import Line, Published
from setpoint.gateway.upstream import Pool
from setpoint.kit.sealing import Keyring, key_digest, open_sealed
from setpoint.ports.snapshots import Loaded
from setpoint.runtime.clock import SystemClock
from setpoint.wire.aws_keys import read_aws_keys
from setpoint.wire.google_token import read_account


class Workshop:
    """Builds a `Published` for each snapshot."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        keyring: Keyring,
        tls_for: Callable[[Upstream], ssl.SSLContext | None],
        wall_ns: Callable[[], int] = SystemClock.wall_ns,
    ) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self._keyring = keyring
        self._tls_for = tls_for
        self._wall_s = lambda: wall_ns() / 1e9
        self._lines: dict[Upstream, Line] = {}

    def build(self, loaded: Loaded) -> Published:
        """Raises SealBroken, ValueError or OSError when the plan cannot be used here; nothing has changed then."""
        lines = {upstream.name: self._lines.get(upstream) or self._new_line(upstream) for upstream in loaded.plan.upstreams}
        check_targets(loaded.plan)
        return Published(loaded.plan, loaded.keys, lines, partial(key_digest, self._keyring.pepper))

    def adopt(self, published: Published) -> None:
        """`published` is in use now: close the pools that it does not name."""
        lines = {line.upstream: line for line in published.lines.values()}
        for upstream, line in self._lines.items():
            if upstream not in lines:
                line.pool.close()
                for credential in credentials_of(line):
                    credential.close()
        self._lines = lines

    def abort(self) -> None:
        """Hang up on every upstream; for the end of the worker."""
        for line in self._lines.values():
            line.pool.abort()
            for credential in credentials_of(line):
                credential.abort()

    def connections(self) -> int:
        return sum(line.pool.connections for line in self._lines.values())

    def waiting(self) -> int:
        return sum(line.pool.waiting for line in self._lines.values())

    def open_breakers(self) -> int:
        return sum(1 for line in self._lines.values() for _, _, breaker in line.breakers() if breaker.state)

    def _new_line(self, upstream: Upstream) -> Line:
        pool = Pool(upstream, self._tls_for(upstream), self._loop, self._deadlines, patient=True)
        if upstream.keys:
            return Line(upstream, pool, b"", keys=KeyPool(tuple(self._key(upstream, sealed) for sealed in upstream.keys)))
        secret = b"" if upstream.api_key_sealed is None else self._opened(upstream, upstream.api_key_sealed)
        return Line(upstream, pool, secret, self._credential(upstream, secret))

    def _key(self, upstream: Upstream, sealed: SealedKey) -> ProviderKey:
        secret = self._opened(upstream, sealed.sealed)
        return ProviderKey(sealed.label, secret, sealed.weight, self._credential(upstream, secret))

    def _opened(self, upstream: Upstream, sealed: bytes) -> bytes:
        return open_sealed(self._keyring.kek, sealed, b"upstream/" + upstream.name.encode())

    def _credential(self, upstream: Upstream, secret: bytes) -> Credential | None:
        """What has to be made for each request; None where a header known in advance is enough. Raises ValueError."""
        if upstream.auth == "aws":
            return AwsCredential(read_aws_keys(secret.decode()), host_header(upstream), upstream.region, self._wall_s)
        if upstream.auth == "google":
            account = read_account(secret.decode())
            return GoogleCredential(account, token_pool(account.server, self._loop, self._deadlines, self._tls_for), self._wall_s)
        return None


def credentials_of(line: Line) -> list[Credential]:
    """What signs or fetches tokens for this upstream."""
    keys = () if line.keys is None else line.keys.keys
    return [credential for credential in (line.credential, *(key.credential for key in keys)) if credential is not None]


def check_targets(plan: Plan) -> None:
    """Raises ValueError when a route names an upstream that the plan does not define."""
    known = {upstream.name for upstream in plan.upstreams}
    for route in plan.routes:
        chains = route.fallbacks
        further = () if chains is None else (*chains.error, *chains.context_window, *chains.content_filter, *chains.refusal)
        for target in (*route.targets, *further):
            if target.upstream not in known:
                raise ValueError(f"route {route.model!r} names upstream {target.upstream!r}, which the plan does not define")


def upstream_tls(upstream: Upstream) -> ssl.SSLContext | None:
    """How to verify a TLS upstream: its own CA file, or the system's."""
    if not upstream.tls:
        return None
    context = ssl.create_default_context(cafile=upstream.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
