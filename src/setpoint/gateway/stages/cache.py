"""Has this been answered already? The exact cache of this worker, with one flight for equal requests under way.

The key is the SHA-256 of everything that can change the answer: tenant, surface, route and configuration version, and the body
without the members that cannot (`user`, `metadata`, our own extensions). A stream and a unary request of the
same content are kept apart, so each is replayed in its own form.

Which requests may be cached is decided in this order: the client's word (`x-setpoint-cache` header, or `cache` in the body), else
the route's policy: off, deterministic (temperature 0), or all. Only whole, successful answers are kept."""

import hashlib
from collections.abc import Callable

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.plan import CachePolicy
from setpoint.domain.trace import CacheTier
from setpoint.domain.usage import Usage
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS, Drive
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.respond import stream_type
from setpoint.gateway.stack import Handler, Stage
from setpoint.kit.single_flight import Follower, SingleFlight
from setpoint.ports.response_cache import ResponseCache
from setpoint.wire.splice import remove_members

BODY_BYTES_MAX = 1_048_576
"""A larger request is not looked up: hashing it would hold up the others."""
TTL_S_MAX = 86_400.0 * 30
_NEUTRAL = ("user", "metadata", "cache", "tags")
_VERSION_HEADERS = (b"anthropic-version", b"anthropic-beta", b"openai-beta")
"""Forwarded, and may change the answer. No header value holds a line end, so that joins them."""
_ENTRY_OVERHEAD_BYTES = 600


class Wish(msgspec.Struct, frozen=True):
    """What is to be done with one request. `ttl_s` 0: not kept."""

    look: bool
    ttl_s: float
    namespace: str = ""


class CachedAnswer(msgspec.Struct, frozen=True):
    """An answer as it can be given again."""

    body: bytes
    content_type: bytes
    headers: bytes
    streamed: bool
    usage: Usage | None
    cost_nanousd: int
    model_served: str
    finish: str

    @property
    def nbytes(self) -> int:
        return len(self.body) + len(self.headers) + _ENTRY_OVERHEAD_BYTES


def wish_of(policy: CachePolicy, envelope: Envelope, header: bytes | None) -> Wish:
    """What client and route want of the cache for this request; words that are not known are ignored."""
    by_route = policy.mode == "all" or (policy.mode == "deterministic" and envelope.temperature == 0)
    look = keep = by_route
    ttl_s = policy.ttl_s
    namespace = ""
    if (body := envelope.cache) is not None:
        look = keep = True
        look, keep = look and not body.no_cache, keep and not body.no_store
        ttl_s = body.ttl if body.ttl is not None else ttl_s
        namespace = body.namespace
    if header is not None:
        look = keep = True
        for word in header.decode("latin-1").split(","):
            name, _, value = word.strip().partition("=")
            if name == "no-cache":
                look = False
            elif name == "no-store":
                look = keep = False
            elif name == "ttl":
                ttl_s = float(value) if value.replace(".", "", 1).isdecimal() else ttl_s
            elif name == "namespace":
                namespace = value
    return Wish(look, min(ttl_s, TTL_S_MAX) if keep else 0.0, namespace)


def cache_key(exchange: Exchange, namespace: str) -> bytes:
    """SHA-256 over all that can change the answer. Lengths go in front of the variable parts, so that no two cases can collide."""
    caller, route = exchange.caller, exchange.route
    assert caller is not None and route is not None  # noqa: PT018  outer stages
    body = remove_members(exchange.body, _NEUTRAL)
    name = route.name.encode()
    space = namespace.encode()
    headers = exchange.request.headers
    place = exchange.place
    spoken = b"\n".join([headers.get(name, b"") for name in _VERSION_HEADERS])
    if place is not None:  # what the path says counts as if the body said it
        spoken += b"\n%b %d %d" % (place.model.encode("utf-8", "replace"), bool(place.stream), place.array)
    plan = exchange.published.plan
    head = b"%d %d %d %d %d %d-%d\n%b%b%b%b" % (
        exchange.surface.number, len(caller.tenant), len(name), len(space), len(spoken), plan.epoch, plan.version,
        caller.tenant, name, space, spoken,
    )  # fmt: skip
    digest = hashlib.sha256(head)
    digest.update(body)
    return digest.digest()


class Waiter:
    """One follower of a flight."""

    __slots__ = ("answer", "drive", "told")

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.told = False
        self.answer: CachedAnswer | None = None


class Cache:
    """The stage. It sits inside of limit (a hit costs a token of the bucket as any request) and after route (whose policy it needs)."""

    def __init__(self, store: ResponseCache[CachedAnswer], deadlines: Deadlines, followed: Callable[[], None]) -> None:
        self._store = store
        self._deadlines = deadlines
        self._followed = followed
        self._flights: SingleFlight[Waiter] = SingleFlight()

    def stage(self) -> Stage:
        return lambda inner: lambda exchange: self._handle(exchange, inner)

    async def _handle(self, exchange: Exchange, inner: Handler) -> Result:
        envelope, route = exchange.envelope, exchange.route
        assert envelope is not None and route is not None  # noqa: PT018  outer stages
        if exchange.surface.kind == "passing":
            return await inner(exchange)
        policy = route.route.cache
        header = exchange.request.headers.get(b"x-setpoint-cache")
        if (
            header is None
            and envelope.cache is None
            and (policy.mode == "off" or (policy.mode == "deterministic" and envelope.temperature != 0))
        ):
            return await inner(exchange)
        wish = wish_of(policy, envelope, header)
        if not (wish.look or wish.ttl_s) or len(exchange.body) > BODY_BYTES_MAX:
            return await inner(exchange)
        key = cache_key(exchange, wish.namespace)
        exchange.to_be_cached = bool(wish.ttl_s)
        if not wish.look:
            return self._kept(exchange, key, wish, await inner(exchange))
        return await self._looked_up(exchange, inner, key, wish)

    async def _looked_up(self, exchange: Exchange, inner: Handler, key: bytes, wish: Wish) -> Result:
        now_s = self._deadlines.now_s()
        found = self._store.get(key, now_s)
        if found is not None:
            return replay(exchange, found)
        exchange.cache_tier = CacheTier.miss
        waiter = Waiter(exchange.drive)
        joined = self._flights.join(key, waiter, now_s)
        if joined == "leader":
            return await self._lead(exchange, inner, key, wish)
        if isinstance(joined, Follower):
            self._followed()
            shared = await self._follow(key, waiter, joined.until_s)
            if shared is not None:
                return replay(exchange, shared)
        return await inner(exchange)

    async def _lead(self, exchange: Exchange, inner: Handler, key: bytes, wish: Wish) -> Result:
        entry: CachedAnswer | None = None
        try:
            result = await inner(exchange)
            entry = cacheable(exchange, result)
            if entry is not None and wish.ttl_s:
                self._store.put(key, entry, wish.ttl_s, self._deadlines.now_s())
            return result
        finally:
            for waiter in self._flights.settle(key):
                waiter.answer, waiter.told = entry, True
                waiter.drive.resume()

    async def _follow(self, key: bytes, waiter: Waiter, until_s: float) -> CachedAnswer | None:
        late = False

        def on_late(now_s: float) -> None:  # noqa: ARG001
            nonlocal late
            late = True
            waiter.drive.resume()

        deadline = self._deadlines.timer(on_late)
        deadline.set(until_s)
        try:
            while not waiter.told and not late:
                await NEWS
        finally:
            deadline.clear()
            self._flights.leave(key, waiter)
        return waiter.answer

    def _kept(self, exchange: Exchange, key: bytes, wish: Wish, result: Result) -> Result:
        entry = cacheable(exchange, result)
        if entry is not None and wish.ttl_s:
            self._store.put(key, entry, wish.ttl_s, self._deadlines.now_s())
        return result


def cacheable(exchange: Exchange, result: Result) -> CachedAnswer | None:
    """The answer as an entry; None unless it is whole and good."""
    if isinstance(result, Fault) or result.status != 200 or exchange.fault is not None:
        return None
    body = result.body
    if result.streamed:
        if exchange.answer_bytes != len(exchange.captured):
            return None
        body = exchange.captured
    return CachedAnswer(
        body,
        result.content_type,
        result.headers,
        result.streamed,
        exchange.usage,
        exchange.cost_nanousd,
        exchange.model_served,
        exchange.finish,
    )


def replay(exchange: Exchange, entry: CachedAnswer) -> Answer:
    """A hit: what it had cost is now saved; finish, usage and tool calls are in the body as they were."""
    exchange.cache_tier = CacheTier.hit_l1
    exchange.usage = entry.usage
    exchange.cost_nanousd = 0
    exchange.saved_nanousd = max(0, entry.cost_nanousd)
    exchange.model_served = entry.model_served
    exchange.finish = entry.finish
    content_type = stream_type(exchange) if entry.streamed else entry.content_type
    return Answer(200, entry.body, content_type, entry.headers)
