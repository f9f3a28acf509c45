"""Several keys of one upstream, used in turn: who is limited or refused rests while the others serve.

    ready ──429──────────> limited    for this model, as long as Retry-After says, or a minute
          ──403──────────> limited    for this model, a minute: the key may lack the right to this one only
          ──401, 402─────> refused    for every model, ten minutes

A limit of one model must not shut a key out of the others, for who asks for a model is the client's choice; that a key is
unknown or out of credit holds for all. The next call of the same request takes another key at once.

Which key: the one that was limited longest ago. Limits are forgotten after ten minutes, and between keys that rank the same the calls are
shared by weight (smooth weighted round-robin, as in nginx). What a worker learns of a key is its own and lasts as long as the
upstream's configuration.
"""

from collections.abc import Container
from enum import IntEnum
from math import inf

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.credentials import Credential

KEY_KINDS = frozenset({FaultKind.upstream_auth, FaultKind.upstream_quota, FaultKind.upstream_rate})
"""Faults that are about the key; another one may do."""
LIMITED_S = 60.0
"""After a 429 without Retry-After, and after a 403."""
REFUSED_S = 600.0
"""After a 401 or 402 without Retry-After."""
REMEMBERED_S = 600.0
"""A limit that is longer ago says nothing about the next one."""
MODELS_MAX = 1_000
"""Models of one key that rest at once. At the limit the key rests as a whole until one of them is over."""
FORBIDDEN = 403


class KeyState(IntEnum):
    """As metrics show it."""

    ready = 0
    limited = 1
    refused = 2


class ProviderKey:
    """One key. `head_by_path` keeps request heads made ready with it; `label` is what people see of it."""

    __slots__ = ("_all_kind", "_all_until_s", "_by_model", "credential", "head_by_path", "label", "limited_s", "secret", "turn", "weight")

    def __init__(self, label: str, secret: bytes, weight: float = 1.0, credential: Credential | None = None) -> None:
        self.label = label
        self.secret = secret
        self.weight = weight
        self.credential = credential
        self.head_by_path: dict[str, bytes] = {}
        self.limited_s = -inf
        self.turn = 0.0
        self._all_until_s = -inf
        self._all_kind = FaultKind.upstream_auth
        self._by_model: dict[str, tuple[float, FaultKind]] = {}

    def rests(self, model: str, now_s: float) -> tuple[float, FaultKind] | None:
        """Until when the key is not to be used for `model`, and why; None when it may be."""
        resting = self._by_model.get(model) if self._by_model else None
        if resting is not None and now_s >= resting[0]:
            del self._by_model[model]
            resting = None
        if now_s >= self._all_until_s:
            return resting
        whole = (self._all_until_s, self._all_kind)
        return whole if resting is None else max(whole, resting)

    def rest(self, model: str, fault: Fault, now_s: float) -> None:
        """The upstream said `fault` to a call with this key."""
        self.limited_s = now_s
        by_model = fault.kind is FaultKind.upstream_rate or fault.upstream_status == FORBIDDEN
        until_s = now_s + (fault.retry_after_s or (LIMITED_S if by_model else REFUSED_S))
        if by_model and model not in self._by_model and len(self._by_model) >= MODELS_MAX:
            self._by_model = {name: each for name, each in self._by_model.items() if now_s < each[0]}
        if by_model and len(self._by_model) < MODELS_MAX:
            self._by_model[model] = (until_s, fault.kind)
        else:
            self._all_until_s, self._all_kind = until_s, fault.kind

    def state(self, now_s: float) -> KeyState:
        """The worst that is known of it."""
        if now_s < self._all_until_s:
            return KeyState.limited if self._all_kind is FaultKind.upstream_rate else KeyState.refused
        return KeyState.limited if any(now_s < until_s for until_s, _ in self._by_model.values()) else KeyState.ready


class KeyPool:
    """The keys of one upstream in one worker."""

    __slots__ = ("keys",)

    def __init__(self, keys: tuple[ProviderKey, ...]) -> None:
        self.keys = keys

    def ready(self, model: str, now_s: float, without: Container[object] = ()) -> bool:
        """Whether a key may be used for `model` now. `without`: those that refused this request already."""
        return any(key.rests(model, now_s) is None and key not in without for key in self.keys)

    def take(self, model: str, now_s: float, without: Container[object] = ()) -> ProviderKey | None:
        """The key for the next call; None when none may be used."""
        able = [key for key in self.keys if key.rests(model, now_s) is None and key not in without]
        if not able:
            return None
        ranks = [key.limited_s if now_s - key.limited_s < REMEMBERED_S else -inf for key in able]
        oldest = min(ranks)
        alike = [key for key, rank in zip(able, ranks, strict=True) if rank == oldest]
        for key in alike:
            key.turn += key.weight
        chosen = max(alike, key=lambda key: key.turn)
        chosen.turn -= sum(key.weight for key in alike)
        return chosen

    def wait_s(self, model: str, now_s: float) -> float:
        """Seconds until a key may be used for `model`; 0 when one may be now."""
        return max(0.0, self._soonest(model, now_s)[0] - now_s)

    def unavailable(self, model: str, now_s: float, said: Fault | None = None) -> Fault:
        """All keys rest: the fault of the one that is back first, and when that is. `said`: the upstream's last words, which are kept."""
        until_s, kind = self._soonest(model, now_s)
        wait_s = max(0.001, until_s - now_s)
        if said is not None:
            return Fault(said.kind, said.message, said.param, wait_s, said.upstream_status, said.upstream_body)
        what = "limited" if kind is FaultKind.upstream_rate else "refused"
        text = f"All {len(self.keys)} keys of this upstream are {what} by it for now; the next one may be used in {wait_s:.1f} s."
        return Fault(kind, text, retry_after_s=wait_s)

    def states(self, now_s: float) -> tuple[int, int, int]:
        """How many keys are ready, limited, refused."""
        found = [key.state(now_s) for key in self.keys]
        return found.count(KeyState.ready), found.count(KeyState.limited), found.count(KeyState.refused)

    def _soonest(self, model: str, now_s: float) -> tuple[float, FaultKind]:
        resting = [key.rests(model, now_s) or (-inf, FaultKind.upstream_rate) for key in self.keys]
        return min(resting)
