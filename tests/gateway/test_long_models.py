"""The preset `long` chooses itself where an answer takes its time, and only where the route chose none."""

from typing import Any

import msgspec
import pytest
from tests.gateway.world import loaded, plan_of, route_to, upstream, world

from setpoint.domain.plan import LONG_TIMEOUTS, Timeouts
from setpoint.gateway.long_models import asks_to_think, timeouts_for
from setpoint.gateway.surfaces import CHAT, COHERE, CONVERSE, GEMINI, MESSAGES, OLLAMA, RESPONSES, HotSurface
from setpoint.gateway.thinking_models import thinks

THINKING = [
    "o1", "o1-preview", "o3-mini", "o4-mini-2025-04-16", "openai/o3", "gpt-5", "gpt-5-mini", "gpt-5.1", "gpt-5-codex", "gpt-oss-120b",
    "openai.gpt-oss-20b-1:0", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro-preview", "google/gemini-2.5-pro",
    "deepseek-reasoner", "deepseek-r1", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "deepseek.r1-v1:0",
    "grok-4", "grok-4-fast-reasoning", "grok-3-mini", "magistral-medium-latest", "qwq-32b", "qwen3-235b-a22b-thinking-2507",
    "sonar-reasoning-pro", "sonar-deep-research", "kimi-k2-thinking", "MiniMax-M2", "glm-4.6", "phi-4-reasoning",
    "anthropic/claude-3.7-sonnet:thinking", "command-a-reasoning-08-2025", "o3-deep-research",
]  # fmt: skip
SWIFT = [
    "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-3.5-turbo", "gpt-5-chat-latest", "gpt-5.1-chat-latest", "chatgpt-4o-latest", "m-1", "foo1",
    "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.0-flash", "gemini-2.5-flash-lite", "gemini-2.5-flash-image", "gemini-1.5-pro",
    "deepseek-chat", "deepseek-v3", "grok-3", "grok-4-fast-non-reasoning", "mistral-large-latest", "llama-3.3-70b", "qwen3-32b-instruct",
    "kimi-k2-instruct", "sonar-pro", "command-r", "nova-pro", "text-embedding-3-small", "phi-4", "claude-non-thinking",
]  # fmt: skip


@pytest.mark.parametrize("model", THINKING)
def test_a_model_that_thinks_is_known_by_its_name(model: str) -> None:
    assert thinks(model)


@pytest.mark.parametrize("model", SWIFT)
def test_a_model_that_answers_at_once_is_not_mistaken(model: str) -> None:
    assert not thinks(model)


def envelope(surface: HotSurface, **members: Any) -> Any:
    shape = {"model": "m", "contents": []} if surface is GEMINI else {"model": "m", "messages": []}
    return surface.decode(msgspec.json.encode({**shape, **members}))


ASKING: list[tuple[HotSurface, dict[str, Any]]] = [
    (CHAT, {"reasoning_effort": "high"}),
    (CHAT, {"reasoning": {"max_tokens": 2000}}),
    (CHAT, {"reasoning": {"enabled": True}}),
    (CHAT, {"enable_thinking": True}),
    (RESPONSES, {"reasoning": {"effort": "low", "summary": "auto"}}),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    (MESSAGES, {"thinking": {"type": "adaptive"}}),
    (COHERE, {"thinking": {"type": "enabled"}}),
    (OLLAMA, {"think": True}),
    (OLLAMA, {"think": "high"}),
    (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024}}}),
    (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}),
    (CONVERSE, {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
    (CONVERSE, {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}}),
]
NOT_ASKING: list[tuple[HotSurface, dict[str, Any]]] = [
    (CHAT, {}),
    (CHAT, {"reasoning_effort": None}),
    (CHAT, {"reasoning_effort": "none"}),
    (CHAT, {"reasoning_effort": "minimal"}),
    (CHAT, {"reasoning_effort": 7}),
    (CHAT, {"reasoning_effort": ["odd"]}),
    (CHAT, {"enable_thinking": False}),
    (RESPONSES, {"reasoning": {"effort": None}}),
    (MESSAGES, {"thinking": {"type": "disabled"}}),
    (OLLAMA, {"think": False}),
    (GEMINI, {"generationConfig": {"temperature": 1}}),
    (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
    (GEMINI, {"generationConfig": [1]}),
    (CONVERSE, {"additionalModelRequestFields": {"top_k": 5}}),
]


@pytest.mark.parametrize(("surface", "members"), ASKING)
def test_a_request_that_asks_for_thinking_is_seen_in_every_dialect(surface: HotSurface, members: dict[str, Any]) -> None:
    assert asks_to_think(envelope(surface, **members))


@pytest.mark.parametrize(("surface", "members"), NOT_ASKING)
def test_a_request_that_does_not_is_not_mistaken(surface: HotSurface, members: dict[str, Any]) -> None:
    assert not asks_to_think(envelope(surface, **members))


@pytest.mark.parametrize(
    ("model", "members", "by_itself", "expected"),
    [
        ("o3", {}, True, LONG_TIMEOUTS),
        ("m-1", {"reasoning_effort": "high"}, True, LONG_TIMEOUTS),
        ("m-1", {}, True, Timeouts(idle_s=7)),
        ("o3", {"reasoning_effort": "high"}, False, Timeouts(idle_s=7)),
    ],
)
def test_only_a_route_that_chose_nothing_is_given_the_long_preset(
    model: str, members: dict[str, Any], by_itself: bool, expected: Timeouts
) -> None:
    plan = plan_of(upstream(), routes=(route_to(model, "one", timeouts=Timeouts(idle_s=7), long_by_itself=by_itself),))
    with world(plan) as w:
        published = w.workshop.build(loaded(plan))
        resolved = published.resolve(model, CHAT)
        assert resolved is not None
        assert timeouts_for(resolved, resolved.candidates[0], envelope(CHAT, **members)) == expected
