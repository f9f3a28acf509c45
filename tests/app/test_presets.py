"""What is known of vendors holds together, and changes what they are sent."""

import json
from typing import Any, get_args

import pytest

from setpoint.app.presets import GEMINI_AS_OPENAI, PRESETS
from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault
from setpoint.domain.plan import DialectName
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_chat.call_ids import MISTRAL_CHARS, SHORT_CHARS_MAX, call_id
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

HELLO = Message("user", (Text("hi"),))


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (HELLO,), **more)


def sent(vendor: str, request: ChatRequest, model: str = "m", stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    return sent_to(PRESETS[vendor].can, request, model, stream)


def sent_to(can: Capabilities, request: ChatRequest, model: str = "m", stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = OPENAI_CHAT.encode_request(request, model, stream, can)
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


def test_every_preset_can_be_reached_and_is_switched_on_by_something() -> None:
    for name, preset in PRESETS.items():
        assert not preset.base_url or preset.base_url.startswith(("https://", "http://127.0.0.1:", "http://localhost/")), name
        if name not in {"openai-compatible", "sim", "local"}:
            assert preset.key_variables or preset.base_variables, name
        assert set(preset.also) <= set(get_args(DialectName)) - {preset.dialect}, name
        assert preset.auth == "none" or preset.vendor, name


def test_no_name_of_a_model_belongs_to_two_vendors() -> None:
    wild = [(pattern.rstrip("*"), name) for name, preset in PRESETS.items() for pattern in preset.wildcards]
    for prefix, name in wild:
        assert [other for known, other in wild if known.startswith(prefix) and other != name] == []


def test_every_vendor_takes_a_plain_question_and_keeps_it() -> None:
    for name, preset in PRESETS.items():
        if preset.dialect == "openai_chat":
            body, losses = sent(name, ask(sampling=Sampling(0.5, 0.9), max_tokens=9), stream=True)
            assert body["messages"] == [{"role": "user", "content": "hi"}], name
            assert body["temperature"] == 0.5
            assert body.get("max_tokens", body.get("max_completion_tokens")) == 9
            assert losses == ()


def test_mistral_has_words_and_ids_of_its_own() -> None:
    request = ask(
        HELLO,
        Message("assistant", (Thinking("hm"), Text("I look."), ToolCall("call_1234567890", "f", "{}"))),
        Message("tool", (ToolResult("call_1234567890", (Text("r"),)),)),
        Message("assistant", (Text("So"),), "bob"),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        sampling=Sampling(seed=7),
        user="u",
        extras={"safe_prompt": b"true", "store": b"true"},
    )
    body, losses = sent("mistral", request, stream=True)
    assert (body["tool_choice"], body["random_seed"], body["safe_prompt"]) == ("any", 7, True)
    assert not {"seed", "user", "stream_options", "store"} & set(body)
    call, result, last = body["messages"][1], body["messages"][2], body["messages"][3]
    assert call["content"] == [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "I look."}]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == MISTRAL_CHARS
    assert last == {"role": "assistant", "content": "So", "prefix": True}
    assert losses == ("messages.name", "user", "store")


@pytest.mark.parametrize("given", ["a", "call_" + "x" * 99, "functions.f:0", "ABCdef123"])
def test_ids_are_worked_out_alike_every_time(given: str) -> None:
    short, mistral = call_id(given, "short"), call_id(given, "mistral")
    assert short == (given if len(given) <= SHORT_CHARS_MAX else call_id(given, "short"))
    assert len(short) <= SHORT_CHARS_MAX
    assert len(mistral) == MISTRAL_CHARS
    assert mistral.isalnum()
    assert (call_id(given, "any"), call_id(mistral, "mistral"), call_id(short, "short")) == (given, mistral, short)


def test_an_id_at_the_limit_stays() -> None:
    assert call_id("x" * SHORT_CHARS_MAX, "short") == "x" * SHORT_CHARS_MAX
    assert call_id("x" * (SHORT_CHARS_MAX + 1), "short") != "x" * (SHORT_CHARS_MAX + 1)


SCHEMA = ResponseFormat("json_schema", b'{"type":"object"}', "x")


@pytest.mark.parametrize(
    ("can", "form", "asked_in_words"),
    [
        (STANDARD, "json_schema", False),
        (Capabilities(structured="json_object"), "json_object", True),
        (Capabilities(structured="no"), None, True),
    ],
)
def test_a_schema_is_held_or_asked_for(can: Capabilities, form: str | None, asked_in_words: bool) -> None:
    body, losses = sent_to(can, ask(response_format=SCHEMA))
    assert body.get("response_format", {}).get("type") == form
    assert ('{"type":"object"}' in body["messages"][0]["content"]) is asked_in_words
    assert bool(losses) is asked_in_words


def test_json_mode_is_asked_for_in_words_where_only_a_schema_is_taken() -> None:
    body, losses = sent("lmstudio", ask(response_format=ResponseFormat("json_object")))
    assert "response_format" not in body
    assert losses == ("response_format json_object (asked for in the system prompt)",)


@pytest.mark.parametrize(
    ("vendor", "reasoning", "members", "losses"),
    [
        ("openrouter", Reasoning("enabled", "high", show=False), {"reasoning": {"effort": "high", "exclude": True}}, ()),
        ("openrouter", Reasoning("enabled", budget_tokens=500), {"reasoning": {"max_tokens": 500}}, ()),
        ("openrouter", Reasoning("disabled"), {"reasoning": {"effort": "none"}}, ()),
        ("openrouter", Reasoning("adaptive"), {"reasoning": {"enabled": True}}, ()),
        ("zai", Reasoning("enabled", "max"), {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}, ()),
        ("deepseek", Reasoning("disabled"), {"thinking": {"type": "disabled"}}, ()),
        ("deepseek", Reasoning("enabled", "low"), {"thinking": {"type": "enabled"}}, ("reasoning_effort",)),
        ("alibaba", Reasoning("enabled", budget_tokens=500), {"enable_thinking": True, "thinking_budget": 500}, ()),
        ("groq", Reasoning("disabled"), {"reasoning_effort": "none"}, ()),
        ("mistral", Reasoning("enabled", "medium"), {"reasoning_effort": "high"}, ("reasoning_effort (medium became high)",)),
        ("openai", Reasoning("enabled", "max"), {"reasoning_effort": "xhigh"}, ()),
    ],
)
def test_thinking_is_asked_for_as_the_vendor_takes_it(
    vendor: str, reasoning: Reasoning, members: dict[str, Any], losses: tuple[str, ...]
) -> None:
    body, lost = sent(vendor, ask(reasoning=reasoning))
    named = {"reasoning", "reasoning_effort", "thinking", "enable_thinking", "thinking_budget"}
    assert {name: value for name, value in body.items() if name in named} == members
    assert lost == losses


@pytest.mark.parametrize(
    ("model", "member", "losses"),
    [("gpt-5.1", "none", ()), ("gpt-5", None, ("reasoning (this model always thinks)",)), ("gpt-4o", None, ())],
)
def test_thinking_is_switched_off_where_a_model_can(model: str, member: str | None, losses: tuple[str, ...]) -> None:
    body, lost = sent("openai", ask(reasoning=Reasoning("disabled")), model)
    assert (body.get("reasoning_effort"), lost) == (member, losses)


CLAUDE = Thinking("t", "anthropic:s")
GEMINI = Thinking("g", "gemini:p")
OPENAI = Thinking("o", "openai_responses:e")


@pytest.mark.parametrize(
    ("vendor", "member", "value"),
    [
        ("deepseek", "reasoning_content", "tgo"),
        ("groq", "reasoning", "tgo"),
        (
            "openrouter",
            "reasoning_details",
            [
                {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
                {"type": "reasoning.text", "text": "g", "format": "google-gemini-v1", "index": 1},
                {"type": "reasoning.encrypted", "data": "p", "format": "google-gemini-v1", "index": 2},
                {"type": "reasoning.summary", "summary": "o", "format": "openai-responses-v1", "index": 3},
                {"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1", "index": 4},
            ],
        ),
    ],
)
def test_thinking_goes_back_in_the_vendors_form(vendor: str, member: str, value: Any) -> None:
    body, losses = sent(vendor, ask(HELLO, Message("assistant", (CLAUDE, GEMINI, OPENAI, Text("a"))), HELLO))
    assert body["messages"][1] == {"role": "assistant", "content": "a", member: value}
    assert losses == ()
    again = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    assert isinstance(again, ChatRequest)
    if vendor == "openrouter":
        assert again.messages[1].parts == (CLAUDE, GEMINI, OPENAI, Text("a"))


def test_litellm_gets_back_what_claude_signed_and_nobody_else() -> None:
    redacted = Thinking("", redacted="anthropic:r")
    body, _ = sent_to(Capabilities(thinking_back="thinking_blocks"), ask(HELLO, Message("assistant", (CLAUDE, redacted, GEMINI)), HELLO))
    assert body["messages"][1]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
    ]


def test_gemini_gets_its_signatures_back() -> None:
    calls = Message("assistant", (ToolCall("c", "f", "{}", signature="gemini:p"),))
    request = ask(HELLO, calls, Message("tool", (ToolResult("c", (Text("r"),)),)))
    body, _ = sent_to(GEMINI_AS_OPENAI, request)
    assert body["messages"][1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "p"}}
    assert "extra_content" not in sent("openai", request)[0]["messages"][1]["tool_calls"][0]
    again = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    assert isinstance(again, ChatRequest)
    assert again.messages[1] == calls


def test_cache_marks_reach_those_who_take_them() -> None:
    marked = Text("hi", CacheMark("1h"))
    request = ask(Message("user", (marked,)), tools=(Tool("f", cache=CacheMark()),))
    body, losses = sent("openrouter", request)
    assert body["messages"][0]["content"] == [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert losses == ()
    assert sent("openai", request)[1] == ("cache_control",)


@pytest.mark.parametrize(
    ("vendor", "part", "param"),
    [
        ("ollama", Image(url="https://x.test/a.png"), "messages.content.image_url"),
        ("deepseek", Image(data="AAAA", media_type="image/png"), "messages.content.image_url"),
        ("groq", Document("a", "AAAA", "application/pdf"), "messages.content.file"),
        ("openai", Document(url="https://x.test/a.pdf"), "messages.content.source"),
    ],
)
def test_what_a_vendor_cannot_read_is_refused(vendor: str, part: Any, param: str) -> None:
    fault = OPENAI_CHAT.encode_request(ask(Message("user", (Text("see"), part))), "m", False, PRESETS[vendor].can)
    assert isinstance(fault, Fault)
    assert (fault.param, fault.retry) == (param, "elsewhere")


def test_documents_go_in_the_vendors_own_part() -> None:
    by_url = ask(Message("user", (Document("a.pdf", url="https://x.test/a.pdf"),)))
    assert sent("mistral", by_url)[0]["messages"][0]["content"] == [{"type": "document_url", "document_url": "https://x.test/a.pdf"}]
    assert sent("perplexity", by_url)[0]["messages"][0]["content"][0]["file_url"] == {"url": "https://x.test/a.pdf"}
    assert sent("openrouter", by_url)[0]["messages"][0]["content"][0]["file"]["file_data"] == "https://x.test/a.pdf"


def test_speakers_alternate_where_they_must() -> None:
    body, _ = sent(
        "perplexity", ask(HELLO, HELLO, Message("assistant", (Text("a"),)), Message("user", (Text("b"), Image(url="https://x/"))))
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == "hi\n\nhi"
    assert [message["role"] for message in sent("openai", ask(HELLO, HELLO))[0]["messages"]] == ["user", "user"]


def test_a_content_can_be_held_to_text() -> None:
    can = Capabilities(content="text")
    assert sent_to(can, ask(Message("user", (Text("a"), Text("b")))))[0]["messages"][0]["content"] == "a\n\nb"
    assert isinstance(OPENAI_CHAT.encode_request(ask(Message("user", (Text("a"), Image(url="https://x/")))), "m", False, can), Fault)


def test_what_cannot_be_said_is_named() -> None:
    can = Capabilities(
        max_tokens="max_completion_tokens",
        seed="no",
        penalties=False,
        logprobs=False,
        stops_max=0,
        tool_choice_required="no",
        tool_choice_named=False,
        parallel_tool_calls=False,
        strict_tools=False,
        audio=False,
        refusals=False,
        user=False,
        service_tiers=(),
        verbosity=False,
        members=(),
        reasoning="no",
    )
    request = ask(
        HELLO,
        Message("assistant", (Refusal("No."),)),
        HELLO,
        max_tokens=5,
        stop=("x",),
        sampling=Sampling(0.5, None, 3, 0.5, 0.0, 7),
        tools=(Tool("f", strict=True),),
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        user="u",
        service_tier="flex",
        verbosity="low",
        logprobs=True,
        top_logprobs=2,
        reasoning=Reasoning("enabled", "low"),
        extras={"store": b"true"},
    )
    body, losses = sent_to(can, request)
    assert set(body) == {"model", "messages", "max_completion_tokens", "temperature", "tools"}
    assert body["messages"][1]["content"] == "No."
    assert losses == (
        "stop",
        "top_k",
        "seed",
        "frequency_penalty",
        "tools.strict",
        "tool_choice (any tool may be called, not only the named one)",
        "tool_choice (the model decides whether to call a tool)",
        "parallel_tool_calls",
        "reasoning",
        "user",
        "logprobs",
        "service_tier",
        "verbosity",
        "store",
    )


def test_more_answers_than_one_are_refused_where_there_is_one_only() -> None:
    fault = OPENAI_CHAT.encode_request(ask(n=2), "m", False, PRESETS["groq"].can)
    assert isinstance(fault, Fault)
    assert fault.param == "n"
