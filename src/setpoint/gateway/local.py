"""What a worker answers by itself besides inference, because it must be there while everything else is down: health, models,
metrics, version.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from setpoint import __version__
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import DialectName
from setpoint.gateway.published import Caller, Published
from setpoint.wire.gemini.models import models_list, one_model

MODELS_MAX = 2_000
"""Entries of a model list; wildcard routes show the priced models of their provider up to this."""

JSON = b"application/json"
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
HEALTH_PATHS = frozenset(
    {b"/health", b"/health/live", b"/health/liveliness", b"/health/ready", b"/health/readiness", b"/healthz", b"/readyz"}
)
READY_PATHS = frozenset({b"/health/ready", b"/health/readiness", b"/readyz"})
_MODELS = re.compile(
    rb"(?P<vendor>/openai|/anthropic|/genai|/gemini|/cohere)?(?P<version>/v1|/v1beta1?|/v1alpha)?/models(?:/(?P<name>.+))?"
)

_encode = msgspec.json.Encoder().encode


class Local:
    """Bodies of the local answers. `metrics_text` renders all workers' numbers; `engine_up` says whether the management side answers."""

    def __init__(
        self,
        uptime_s: Callable[[], float],
        metrics_text: Callable[[], str],
        is_engine_up: Callable[[], bool],
        is_draining: Callable[[], bool],
    ) -> None:
        self._uptime_s = uptime_s
        self._metrics_text = metrics_text
        self._is_engine_up = is_engine_up
        self._is_draining = is_draining

    def answer(self, path: bytes, published: Published) -> tuple[int, bytes, bytes] | None:
        """Status, content type and body of a path without credentials; None when it is not one of these."""
        if path in HEALTH_PATHS:
            return self._health(path, published)
        if path == b"/metrics":
            return 200, PROMETHEUS, self._metrics_text().encode()
        if path == b"/version":
            return 200, JSON, _encode({"version": __version__, "config_version": f"{published.plan.epoch}-{published.version}"})
        return None

    def _health(self, path: bytes, published: Published) -> tuple[int, bytes, bytes]:
        """A worker that answers is alive; it is ready unless it drains; it is degraded, and still 200, while the engine is away."""
        engine, draining = self._is_engine_up(), self._is_draining()
        status = "unhealthy" if draining and path in READY_PATHS else "healthy" if engine else "degraded"
        services = {"gateway": "draining" if draining else "healthy", "engine": "healthy" if engine else "unavailable"}
        body = {"status": status, "uptime_secs": round(self._uptime_s(), 3), "version": __version__, "services": services}
        body["config_version"] = f"{published.plan.epoch}-{published.version}"
        return (503 if status == "unhealthy" else 200), JSON, _encode(body)


def model_names(published: Published) -> list[tuple[str, str]]:
    """(name, owner) of everything a client may ask for: routes, and for a provider's wildcard its priced models."""
    plan = published.plan
    providers = {upstream.name: upstream.provider for upstream in plan.upstreams}
    names: dict[str, str] = {}
    for route in plan.routes:
        owner = providers[route.targets[0].upstream] if len(route.targets) == 1 else "setpoint"
        if not route.model.endswith("*"):
            names[route.model] = owner
            continue
        prefix = route.model[:-1]
        for model in plan.prices.exact.get(owner, ()):
            shown = prefix + model if prefix.endswith("/") else model
            if shown.startswith(prefix) and len(names) < MODELS_MAX:
                names.setdefault(shown, owner)
    return list(names.items())


_TAGS = frozenset({b"/api/tags", b"/ollama/api/tags"})


class ModelsAsked(NamedTuple):
    """The list of models, or the one named, in some vendor's shape."""

    name: str
    dialect: DialectName


def models_asked(path: bytes, headers: Mapping[bytes, bytes]) -> ModelsAsked | None:
    """What a GET of `path` asks of the models; None when it is about something else.

    Anthropic's clients are known by their version header, Google's by their versions of the path (`/v1beta`) or key header, Cohere's by
    the name of their SDK, Ollama's by a path of their own.
    """
    if path in _TAGS:
        return ModelsAsked("", "ollama")
    match = _MODELS.fullmatch(path)
    if match is None:
        return None
    name = unquote((match["name"] or b"").decode("latin-1"))
    if match["vendor"] in (b"/genai", b"/gemini") or b"beta" in (match["version"] or b"") or b"x-goog-api-key" in headers:
        return ModelsAsked(name.removeprefix("models/"), "gemini")
    if match["vendor"] == b"/cohere" or headers.get(b"x-fern-sdk-name") == b"cohere":
        return ModelsAsked(name, "cohere")
    return ModelsAsked(name, "anthropic" if b"anthropic-version" in headers else "openai_chat")


def models_body(published: Published, dialect: DialectName) -> bytes:
    """The list of models in the shape of `dialect`."""
    created_s = published.plan.created_ns // 1_000_000_000
    names = model_names(published)
    if dialect == "gemini":
        return models_list(names)
    if dialect in ("ollama", "cohere"):
        return _encode({"models": [_one(name, dialect, published.created_text) for name, _ in names]})
    if dialect == "anthropic":
        created = published.created_text
        data = [{"type": "model", "id": name, "display_name": name, "created_at": created} for name, _ in names]
        ends = {"first_id": names[0][0], "last_id": names[-1][0]} if names else {"first_id": None, "last_id": None}
        return _encode({"data": data, "has_more": False, **ends})
    return _encode(
        {"object": "list", "data": [{"id": name, "object": "model", "created": created_s, "owned_by": owner} for name, owner in names]}
    )


def _one(name: str, dialect: DialectName, created: str) -> dict[str, object]:
    """A model as Ollama's or Cohere's clients read it; what nobody here knows is empty."""
    if dialect == "cohere":
        return {"name": name, "endpoints": ["chat", "embed"], "finetuned": False}
    return {"name": name, "model": name, "modified_at": created, "size": 0, "digest": "", "details": {}}


def model_body(published: Published, dialect: DialectName, name: str) -> bytes | Fault:
    """One model of the list."""
    found = [owner for known, owner in model_names(published) if known == name]
    if not found:
        return Fault(
            FaultKind.unknown_model,
            f"No route or provider here serves the model {name[:200]!r}. GET /v1/models lists what there is.",
            "model",
        )
    if dialect == "gemini":
        return one_model(name, found[0])
    if dialect in ("ollama", "cohere"):
        return _encode(_one(name, dialect, published.created_text))
    if dialect == "anthropic":
        return _encode({"type": "model", "id": name, "display_name": name, "created_at": published.created_text})
    return _encode({"id": name, "object": "model", "created": published.plan.created_ns // 1_000_000_000, "owned_by": found[0]})


def internal_peer(ip: str, caller: Caller | None, *, tls: bool) -> bytes:
    """The header by which the engine knows whom it talks to; only its Unix socket trusts it."""
    principal = None
    if caller is not None and caller.principal.key_no:
        who = caller.principal
        principal = {"key_no": who.key_no, "public_id": who.public_id, "role": who.role, "project": who.project}
    return _encode({"ip": ip, "tls": tls, "principal": principal})
