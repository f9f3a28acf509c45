"""A published plan as a worker uses it: looked-up names, opened credentials, memos.

A `Published` is built once per plan and then only read, but for its memos. Swapping the worker's reference is the whole of a configuration
change: an exchange keeps the one it started with, and connection pools and breakers live on where the upstream did not change.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import count

from setpoint.domain.money import Price
from setpoint.domain.plan import PRIORITIES, ROLE_LIMITS, DialectName, Plan, RoleLimit, Route, Target, Upstream
from setpoint.domain.prices import find_price
from setpoint.domain.principal import INFERENCE_ROLES, Principal
from setpoint.gateway.credentials import Credential
from setpoint.gateway.endpoints import endpoint, spoken
from setpoint.gateway.hedge_policy import HedgePolicy
from setpoint.gateway.key_pool import KeyPool, ProviderKey
from setpoint.gateway.scoring import Track
from setpoint.gateway.surfaces import HotSurface
from setpoint.gateway.thinking_models import thinks
from setpoint.gateway.upstream import Pool
from setpoint.kit.breaker import Breaker
from setpoint.ports.snapshots import Keys
from setpoint.runtime.clock import rfc3339
from setpoint.wire.standing import UNSEEN, Standing

MEMO_MAX = 10_000
"""Entries of each memo; at the limit it is emptied, because what is asked now is soon asked again. Only circuits are not: see `Line`."""
BREAKERS_KEPT = MEMO_MAX * 3 // 4
"""Circuits with failures that survive when there are too many; where more have some, the oldest are forgotten."""
MODEL_CHARS_MAX = 512
"""Nothing serves a longer name; memos and breakers are kept by name, and clients choose it."""
KEY_HEADERS = frozenset({"x-api-key", "api-key", "x-goog-api-key"})
"""Headers that carry a credential as it is."""
KEYLESS_SCOPE = 1 << 32
"""Bucket of callers without a key; key numbers are below."""


class Caller:
    """A known key, with all that the stages ask of it made ready."""

    __slots__ = ("burst", "expires_s", "limit_lines", "may_infer", "principal", "priority", "rpm", "scope", "tenant", "texts")

    def __init__(self, principal: Principal, role_limit: RoleLimit) -> None:
        self.principal = principal
        self.scope = principal.key_no or KEYLESS_SCOPE
        self.rpm = principal.rpm or role_limit.rpm
        self.burst = principal.burst or (principal.rpm and max(1, principal.rpm * 6 // 5)) or role_limit.burst
        self.priority = PRIORITIES.index(role_limit.priority)
        """The highest class its requests can have."""
        self.expires_s = principal.expires_s
        self.may_infer = principal.role in INFERENCE_ROLES
        self.tenant = principal.project.encode()
        self.texts = (principal.project, principal.role, principal.public_id)
        self.limit_lines = (
            b"x-ratelimit-limit-requests: %d\r\nx-ratelimit-remaining-requests: %%d\r\nx-ratelimit-reset-requests: %%ds\r\n"
            b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %%d\r\nX-RateLimit-Reset: %%d\r\n" % (self.rpm, self.rpm)
        )


class Line:
    """An upstream as this worker reaches it: its pool, its breakers, and the head of a request to it made ready."""

    __slots__ = ("credential", "health", "ill", "keys", "pool", "upstream", "_breakers", "_heads", "_secret", "_tracks")

    def __init__(
        self, upstream: Upstream, pool: Pool, secret: bytes, credential: Credential | None = None, keys: KeyPool | None = None
    ) -> None:
        """`keys` instead of `secret` and `credential` where there are several."""
        self.upstream = upstream
        self.keys = keys
        self.ill = False
        """Its health probe fails."""
        self.health = UNSEEN
        self.pool = pool
        self.credential = credential
        self._secret = secret
        self._heads: dict[str, bytes] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._tracks: dict[tuple[str, str], Track] = {}

    def breaker(self, path: str, model: str) -> Breaker:
        """The breaker of one endpoint: an upstream may serve chat while embeddings, or one model, are down."""
        key = (path, model)
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= MEMO_MAX:
                self._make_room()
            limits = self.upstream.breaker
            breaker = self._breakers[key] = Breaker(failures=limits.failures, open_s=limits.open_s, successes=limits.successes)
        return breaker

    def _make_room(self) -> None:
        """Forgets circuits that know of no failure: nothing is lost with them. An open one must not close because others are new."""
        told = [item for item in self._breakers.items() if item[1].state or item[1].circuit.count]
        self._breakers = dict(told[-BREAKERS_KEPT:])

    def track(self, path: str, model: str) -> Track:
        """What was seen of one endpoint lately; kept as its breaker is."""
        key = (path, model)
        track = self._tracks.get(key)
        if track is None:
            if len(self._tracks) >= MEMO_MAX:
                self._tracks.clear()
            track = self._tracks[key] = Track()
        return track

    def breakers(self) -> Iterator[tuple[str, str, Breaker]]:
        for (path, model), breaker in self._breakers.items():
            yield path, model, breaker

    def standing(self, now_s: float) -> Standing:
        """As metrics show it."""
        keys = (0, 0, 0) if self.keys is None else self.keys.states(now_s)
        return Standing(keys, self.health, sum(1 for breaker in self._breakers.values() if breaker.state))

    def head(self, path: str, key: ProviderKey | None = None) -> bytes:
        """The head of a POST of JSON to `path`, up to where the exchange's own headers follow."""
        heads = self._heads if key is None else key.head_by_path
        head = heads.get(path)
        if head is None:
            if len(heads) >= MEMO_MAX:
                heads.clear()
            head = heads[path] = self.build_head("POST", path, "content-type: application/json", key=key)
        return head

    def build_head(self, method: str, path: str, *lines_of_body: str, key: ProviderKey | None = None) -> bytes:
        """A request head up to where the exchange's own headers follow; `path` comes behind the upstream's base path."""
        upstream, secret = self.upstream, self._secret if key is None else key.secret
        port = "" if upstream.port in (0, 443 if upstream.tls else 80) else f":{upstream.port}"
        lines = [
            f"{method} {upstream.base_path}{path} HTTP/1.1",
            f"host: {f'[{upstream.host}]' if ':' in upstream.host else upstream.host or 'localhost'}{port}",
            *lines_of_body,
            "accept-encoding: identity",
            "user-agent: setpoint",
        ]
        if secret and upstream.auth == "bearer":
            lines.append(f"authorization: Bearer {secret.decode()}")
        elif secret and upstream.auth in KEY_HEADERS:
            lines.append(f"{upstream.auth}: {secret.decode()}")
        lines += [f"{name}: {value}" for name, value in upstream.headers]
        return "\r\n".join(lines).encode() + b"\r\n"


class Candidate:
    """One target of a route for one asked model: where to, in which dialect, under which name, at what price."""

    __slots__ = (
        "breaker", "dialect", "head", "line", "lines", "model", "name", "paths", "price", "relays", "stream_head", "texts", "thinks",
        "track", "weight",
    )  # fmt: skip

    def __init__(
        self, line: Line, surface: HotSurface, dialect: DialectName, model: str, weight: float, price: Price | None, route_lines: bytes
    ) -> None:
        upstream = line.upstream
        self.line = line
        self.dialect = dialect
        self.relays = dialect == surface.dialect
        """Client and upstream speak the same dialect: bodies pass as they are."""
        self.model = model
        self.name = f"{upstream.name}/{model}"
        """As a route names a target."""
        self.thinks = thinks(model)
        self.weight = weight
        self.price = price
        self.breaker = line.breaker(f"{dialect}/{surface.kind}", model)
        self.track = line.track(f"{dialect}/{surface.kind}", model)
        self.paths = endpoint(upstream, dialect, surface.kind, model, single=surface.single and self.relays)
        self.head = line.head(self.paths.unary)
        self.stream_head = line.head(self.paths.stream)
        self.texts = (upstream.name, upstream.provider, "" if price is None else price.source)
        self.lines = route_lines + f"x-setpoint-provider: {upstream.provider}\r\nx-setpoint-model: {_header_text(model)}\r\n".encode()


class ResolvedRoute:
    """A route for one asked model, with its candidates in configured order. `lines` are the headers of an answer that no candidate gave.

    `fallbacks` are the candidates by cause; None when the route has none. `settled` is for the stage that routes, where the strategy
    decides the same each time.
    """

    __slots__ = ("candidates", "fallbacks", "hedging", "lines", "name", "route", "settled", "turns")

    def __init__(
        self, route: Route, candidates: tuple[Candidate, ...], lines: bytes, fallbacks: dict[str, tuple[Candidate, ...]] | None = None
    ) -> None:
        self.route = route
        self.name = route.model
        self.candidates = candidates
        self.fallbacks = fallbacks
        self.settled: object = None
        self.turns = count()
        self.hedging = None if route.hedge is None else HedgePolicy(route.hedge)
        self.lines = lines


class Published:
    """A plan and the keys that count with it."""

    __slots__ = (
        "_callers",
        "_digest",
        "_exact",
        "_keys",
        "_prefixes",
        "_resolved",
        "created_text",
        "has_priorities",
        "in_use",
        "keyless",
        "line",
        "lines",
        "plan",
        "version",
    )

    def __init__(self, plan: Plan, keys: Keys, lines: dict[str, Line], digest: Callable[[bytes], bytes]) -> None:
        self.plan = plan
        self.version = plan.version
        self.in_use = 0
        """Exchanges under way that began with this."""
        self.lines = lines
        self.created_text = rfc3339(plan.created_ns)
        self.line = b"x-setpoint-config-version: %d\r\n" % plan.version
        self.has_priorities = any(route.priority for route in plan.routes)
        """Some route says itself who is shed first."""
        self._keys = keys
        self._digest = digest
        self._exact = {route.model: route for route in plan.routes if not route.model.endswith("*")}
        wild = [route for route in plan.routes if route.model.endswith("*")]
        self._prefixes = sorted(wild, key=lambda route: -len(route.model))
        self._resolved: dict[tuple[str, HotSurface, str], ResolvedRoute | None] = {}
        self._callers: dict[bytes, Caller | None] = {}
        self.keyless = None if plan.keys_required else self._caller(Principal(0, "", "developer"))

    def caller(self, token: bytes) -> Caller | None:
        """Who holds this key; expiry is for the caller of this to check. Memoised both ways."""
        memo = self._callers
        if token in memo:
            return memo[token]
        principal = self._keys.find(self._digest(token))
        if len(memo) >= MEMO_MAX:
            memo.clear()
        found = memo[token] = None if principal is None else self._caller(principal)
        return found

    def _caller(self, principal: Principal) -> Caller:
        limits = self.plan.role_limits.get(principal.role) or ROLE_LIMITS[principal.role]
        return Caller(principal, limits)

    def resolve(self, model: str, surface: HotSurface, forced: str = "") -> ResolvedRoute | None:
        """The route for a model as the client wrote it; None when nothing serves it. Its candidates are those that can serve `surface`.

        `forced` names the route instead, as it is written in the configuration.
        """
        if len(model) > MODEL_CHARS_MAX or len(forced) > MODEL_CHARS_MAX:
            return None
        key = (model, surface, forced)
        memo = self._resolved
        if key in memo:
            return memo[key]
        if len(memo) >= MEMO_MAX:
            memo.clear()
        found = memo[key] = self._resolve(model, surface, forced)
        return found

    def _resolve(self, model: str, surface: HotSurface, forced: str) -> ResolvedRoute | None:
        route = self._exact.get(forced or model)
        rest = model
        if route is None:
            for wild in self._prefixes:
                prefix = wild.model[:-1]
                named = wild.model == forced if forced else len(model) > len(prefix) and model.startswith(prefix)
                if named:
                    route, rest = wild, model.removeprefix(prefix) if prefix.endswith("/") else model
                    break
            else:
                return None
        lines = self.line + f"x-setpoint-route: {_header_text(route.model)}\r\n".encode()
        targets = route.targets
        if route.strategy == "model":
            targets = tuple(target for target in targets if matches(target, rest))
        candidates = self._candidates(targets, rest, surface, lines)
        fallbacks = None
        if route.fallbacks is not None:
            by_cause: dict[str, tuple[Target, ...]] = {name: getattr(route.fallbacks, name) for name in route.fallbacks.__struct_fields__}
            fallbacks = {cause: self._candidates(listed, rest, surface, lines) for cause, listed in by_cause.items()}
        return ResolvedRoute(route, candidates, lines, fallbacks)

    def _candidates(self, targets: tuple[Target, ...], rest: str, surface: HotSurface, lines: bytes) -> tuple[Candidate, ...]:
        """Those of the targets that can serve `surface`. `rest` is the model that a target without a name of its own is asked for."""
        candidates = []
        for target in targets:
            line = self.lines[target.upstream]
            name = target.model.replace("*", rest) if target.model else rest
            dialect = spoken(line.upstream, surface, name)
            if dialect is None:
                continue
            price = find_price(self.plan.prices, line.upstream.provider, name)
            candidates.append(Candidate(line, surface, dialect, name, target.weight, price, lines))
        return tuple(candidates)

    def resolve_upstream(self, name: str, model: str, surface: HotSurface) -> ResolvedRoute:
        """The way to one upstream that was named itself, without a route."""
        line = self.lines[name]
        lines = self.line + f"x-setpoint-route: {name}/*\r\n".encode()
        price = find_price(self.plan.prices, line.upstream.provider, model) if model else None
        candidate = Candidate(line, surface, surface.dialect, model, 1.0, price, lines)
        return ResolvedRoute(Route(f"{name}/*", (Target(name),)), (candidate,), lines)

    def models(self) -> Iterator[Route]:
        """The routes in the order a list of models shows them."""
        yield from self.plan.routes


def matches(target: Target, model: str) -> bool:
    """Whether a target of a route by model takes `model`."""
    return not target.match or any(fnmatchcase(model, pattern) for pattern in target.match)


def _header_text(text: str) -> str:
    """`text` as a header value can carry it: printable ASCII, at most 200 characters."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:200])
