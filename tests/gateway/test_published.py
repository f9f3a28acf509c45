"""A plan as a worker uses it: names looked up, heads made ready, memos bounded."""

import os

import msgspec
import pytest
from tests.gateway.world import KEYRING, World, loaded, plan_of, upstream, world

from setpoint.domain.plan import Route, Target
from setpoint.gateway import published as published_module
from setpoint.gateway.published import MODEL_CHARS_MAX
from setpoint.gateway.surfaces import CHAT, HOT_PATHS
from setpoint.kit.sealing import SealBroken, seal

ROUTES = (
    Route("gpt", (Target("a", "gpt-real"),)),
    Route("gpt-*", (Target("a"),)),
    Route("gpt-5*", (Target("b"),)),
    Route("openai/*", (Target("a"),)),
    Route("mapped/*", (Target("b", "prefix-*-suffix"),)),
    Route("claude", (Target("c", "claude-x"),)),
)
PLAN = plan_of(upstream("a"), upstream("b"), upstream("c", dialect="anthropic"), routes=ROUTES)


def where(w: World, model: str, path: str = "/chat/completions") -> tuple[str, str, str] | None:
    found = w.lane.published.resolve(model, HOT_PATHS[path.encode()])
    if found is None:
        return None
    (candidate,) = found.candidates
    return found.name, candidate.line.upstream.name, candidate.model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt", ("gpt", "a", "gpt-real")),
        ("gpt-4", ("gpt-*", "a", "gpt-4")),
        ("gpt-5-mini", ("gpt-5*", "b", "gpt-5-mini")),
        ("gpt-5", ("gpt-*", "a", "gpt-5")),
        ("gpt-", None),
        ("openai/gpt", ("openai/*", "a", "gpt")),
        ("openai/a/b", ("openai/*", "a", "a/b")),
        ("openai/", None),
        ("openai", None),
        ("mapped/x", ("mapped/*", "b", "prefix-x-suffix")),
        ("GPT", None),
        ("gpt*", None),
        ("", None),
        ("gpt-" + "x" * MODEL_CHARS_MAX, None),
    ],
)
def test_a_name_finds_its_route_exact_first_then_the_longest_prefix(model: str, expected: tuple[str, str, str] | None) -> None:
    with world(PLAN) as w:
        assert where(w, model) == expected
        assert where(w, model) == expected


@pytest.mark.parametrize(
    ("model", "path", "asked"),
    [
        ("gpt", "/chat/completions", "/chat/completions"),
        ("gpt", "/messages", "/chat/completions"),
        ("claude", "/chat/completions", "/messages"),
        ("claude", "/messages", "/messages"),
        ("gpt", "/embeddings", "/embeddings"),
    ],
)
def test_an_upstream_is_asked_at_its_own_path(model: str, path: str, asked: str) -> None:
    with world(PLAN) as w:
        found = w.lane.published.resolve(model, HOT_PATHS[path.encode()])
        assert found is not None
        assert found.candidates[0].paths.unary == asked
        assert found.candidates[0].head.startswith(b"POST /v1" + asked.encode() + b" HTTP/1.1\r\n")


def test_what_is_remembered_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_module, "MEMO_MAX", 5)
    with world(PLAN) as w:
        first = w.lane.published.resolve("gpt", CHAT)
        assert w.lane.published.resolve("gpt", CHAT) is first
        for no in range(30):
            assert where(w, f"gpt-{no}")
            assert where(w, f"unknown-{no}") is None
            assert len(w.lane.published._resolved) <= 5
            assert sum(1 for _ in w.lane.published.lines["a"].breakers()) <= 5


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({}, b"host: a.test\r\n"),
        ({"port": 8080}, b"host: a.test:8080\r\n"),
        ({"tls": True, "port": 443}, b"host: a.test\r\n"),
        ({"tls": True, "port": 80}, b"host: a.test:80\r\n"),
        ({"host": "::1", "port": 8080}, b"host: [::1]:8080\r\n"),
        ({"unix_path": "/x", "host": "", "port": 0}, b"host: localhost\r\n"),
        ({"headers": (("x-team", "blue"),)}, b"x-team: blue\r\n"),
    ],
)
def test_the_head_names_the_host_as_http_wants_it(members: dict[str, object], line: bytes) -> None:
    with world(plan_of(upstream("a", **members))) as w:
        assert line in w.lane.published.lines["a"].head("/chat/completions")


@pytest.mark.parametrize(
    ("auth", "line"), [("bearer", b"authorization: Bearer sk-1\r\n"), ("x-api-key", b"x-api-key: sk-1\r\n"), ("none", b"")]
)
def test_a_sealed_credential_is_opened_for_its_upstream_alone(auth: str, line: bytes) -> None:
    sealed = seal(KEYRING.kek, os.urandom(12), b"sk-1", b"upstream/a")
    with world(plan_of(upstream("a", auth=auth, api_key_sealed=sealed))) as w:
        head = w.lane.published.lines["a"].head("/chat/completions")
        assert line in head
        assert (b"sk-1" in head) is (line != b"")
        with pytest.raises(SealBroken):
            w.workshop.build(loaded(plan_of(upstream("b", auth=auth, api_key_sealed=sealed))))


def test_a_line_lives_on_where_its_upstream_did_not_change() -> None:
    with world(PLAN) as w:
        before = dict(w.lane.published.lines)
        changed = (PLAN.upstreams[0], msgspec.structs.replace(PLAN.upstreams[1], port=81), PLAN.upstreams[2])
        w.adopt(msgspec.structs.replace(PLAN, version=2, upstreams=changed))
        after = w.lane.published.lines
        assert [after[name] is before[name] for name in "abc"] == [True, False, True]


def test_names_reach_headers_only_as_printable_ascii() -> None:
    with world(plan_of(upstream("a"), routes=(Route("*", (Target("a"),)),))) as w:
        found = w.lane.published.resolve("m\r\nx-evil: 1é", CHAT)
        assert found is not None
        assert b"x-setpoint-model: m??x-evil: 1?\r\n" in found.candidates[0].lines
