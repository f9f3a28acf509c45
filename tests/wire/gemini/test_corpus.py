"""Recorded traffic of Gemini and Vertex AI: watched, read, and said to clients and servers of every kind.

What an answer must say is worked out here from the recorded JSON; the vendors' own SDK types judge what is written.
"""

import itertools
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter
from tests.golden.test_corpus import consume, in_parts
from tests.wire.gemini.oracle import answer_of, chunks_of, said_by, taken_by_server
from tests.wire.openai_completions.recorded import (
    Exchange,
    completion_of,
    cuts_of,
    datas,
    events_checked,
    load,
    message_of,
    rendered,
    tap_checked,
)

from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, StreamEvent, fold
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.gemini.array_frames import GeminiArrayFramer
from setpoint.wire.gemini.count_tokens import decode_count_request, encode_count_request, read_count
from setpoint.wire.gemini.dialect import GEMINI
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

OPENAI_STOP = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "MODEL_ARMOR": "content_filter"}
ANTHROPIC_STOP = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "SAFETY": "refusal", "MODEL_ARMOR": "refusal"}
NUMBERS = {1: "STOP", 2: "MAX_TOKENS"}
COUNTS = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
PARAMS: dict[str, TypeAdapter[Any]] = {
    "anthropic": TypeAdapter(MessageCreateParamsNonStreaming),
    "openai_chat": TypeAdapter(CompletionCreateParamsNonStreaming),
}
MODELS = {"anthropic": "claude-sonnet-4-5", "openai_chat": "gpt-4o"}


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return load("gemini.generateContent", "gemini.streamGenerateContent")


def unary(traffic: list[Exchange]) -> list[Exchange]:
    return [e for e in traffic if e["surface"] == "gemini.generateContent" and e["status"] == 200]


def streamed(traffic: list[Exchange]) -> list[Exchange]:
    return [e for e in traffic if e["surface"] == "gemini.streamGenerateContent" and e["status"] == 200]


def model_of(exchange: Exchange) -> str:
    name = exchange["url_path"].rpartition("/")[2].partition(":")[0]
    return "gemini-2.5-flash" if name == "MODEL" else str(name)


class Expected:
    """What an answer says, worked out from the provider's JSON."""

    def __init__(self, chunks: list[Any]) -> None:
        self.text = self.thoughts = self.refusal = self.finish = ""
        self.calls: list[tuple[str, Any]] = []
        self.ids: list[str | None] = []
        counts = Counter[str]()
        for chunk in chunks:
            for candidate in (chunk.get("candidates") or [])[:1]:
                self.candidate(candidate)
            feedback = chunk.get("promptFeedback")
            if feedback:
                self.refusal, self.finish = feedback["blockReasonMessage"], "SAFETY"
            counted = {n: v for n, v in (chunk.get("usageMetadata") or {}).items() if n.endswith("TokenCount")}
            if counted.get("totalTokenCount") == sum(counted.get(name, 0) for name in COUNTS):
                counts.clear()  # it adds up, so it leaves nothing out
            counts.update({n: v - counts[n] for n, v in counted.items()})
        prompt, answer = counts["promptTokenCount"], counts["candidatesTokenCount"] + counts["thoughtsTokenCount"]
        self.tokens = prompt + counts["toolUsePromptTokenCount"], answer

    def candidate(self, candidate: Any) -> None:
        for part in (candidate.get("content") or {}).get("parts") or []:
            call = part.get("functionCall")
            if call is not None and call.get("name"):
                self.calls.append((call["name"], dict(call.get("args") or {})))
                self.ids.append(call.get("id"))
            for piece in (call or {}).get("partialArgs") or ():
                self.piece(piece)
            if part.get("thought"):
                self.thoughts += part.get("text") or ""
            else:
                self.text += part.get("text") or ""
        reason = candidate.get("finishReason")
        self.finish = NUMBERS.get(reason, reason) or self.finish
        if self.finish in {"SAFETY", "MODEL_ARMOR"}:
            self.refusal = candidate.get("finishMessage") or ""

    def piece(self, piece: Any) -> None:
        """The recorded paths are members and members of items of lists."""
        place: Any = self.calls[-1][1]
        steps = piece["jsonPath"].removeprefix("$.").replace("[", ".[").split(".")
        for step, following in itertools.pairwise(steps):
            if step.startswith("["):
                no = int(step[1:-1])
                place += [{}] * (no + 1 - len(place))
                place = place[no]
            else:
                place = place.setdefault(step, [] if following.startswith("[") else {})
        value = piece.get("stringValue", piece.get("numberValue", piece.get("boolValue")))
        last: Any = int(steps[-1][1:-1]) if steps[-1].startswith("[") else steps[-1]
        if isinstance(place, list):
            place += [None] * (last + 1 - len(place))
            before = place[last]
        else:
            before = place.get(last)
        place[last] = before + value if isinstance(before, str) else value


def check_openai(completion: ChatCompletion, expected: Expected, where: str) -> None:
    choice = completion.choices[0]
    assert (choice.message.content or "") == expected.text, where
    calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == expected.calls, where
    ids = [call.id for call in calls]
    assert len(set(ids)) == len(ids), where
    assert all(ids), where
    assert ids == [given or shown for given, shown in zip(expected.ids, ids, strict=True)], where
    stop = "tool_calls" if expected.calls and expected.finish == "STOP" else OPENAI_STOP.get(expected.finish, "stop")
    assert choice.finish_reason == stop, where
    assert (choice.message.refusal or "") == expected.refusal, where
    assert tokens_of_openai(completion) == expected.tokens, where


def tokens_of_openai(completion: ChatCompletion) -> tuple[int, int]:
    usage = completion.usage
    return (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)


def check_anthropic(message: Message, expected: Expected, where: str) -> None:
    assert "".join(block.text for block in message.content if block.type == "text") == expected.text + expected.refusal, where
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == expected.calls, where
    stop = "tool_use" if expected.calls and expected.finish == "STOP" else ANTHROPIC_STOP.get(expected.finish, "end_turn")
    assert message.stop_reason == stop, where
    assert "".join(block.thinking for block in message.content if block.type == "thinking") == expected.thoughts, where
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (usage.input_tokens + cached, usage.output_tokens) == expected.tokens, where


def check_gemini(said: dict[str, Any], expected: Expected, where: str) -> None:
    assert (said["text"], said["thoughts"], said["calls"], said["tokens"]) == (
        expected.text,
        expected.thoughts,
        expected.calls,
        expected.tokens,
    ), where
    assert len(set(said["ids"])) == len(said["ids"]), where


# ------------------------------------------------------------------------------------------------------------------- answers


def read(exchange: Exchange) -> ChatAnswer:
    answer = GEMINI.decode_answer(exchange["response_body"].encode())
    assert isinstance(answer, ChatAnswer), (exchange["id"], answer)
    return answer


def test_answers_reach_clients_of_every_kind_whole(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in unary(traffic):
        answer, where = read(exchange), exchange["id"]
        expected = Expected([json.loads(exchange["response_body"])])
        check_openai(ChatCompletion.model_validate_json(OPENAI_CHAT.encode_answer(answer, "shown", 1)), expected, where)
        check_anthropic(Message.model_validate_json(ANTHROPIC.encode_answer(answer, "shown", 1)), expected, where)
        again = GEMINI.encode_answer(answer, answer.model, answer.created_s)
        check_gemini(said_by([answer_of(again)]), expected, where)
        counted[exchange["provider"]] += 1
        counted["calls"] += len(expected.calls)
        counted["thoughts"] += bool(expected.thoughts)
        counted["refusals"] += bool(expected.refusal)
    print(f"\ngemini answers → openai, anthropic, gemini clients: {dict(counted)} of {len(unary(traffic))}")
    assert counted["gemini"] + counted["vertex"] == len(unary(traffic))


def test_answers_read_written_and_read_again_are_the_same(traffic: list[Exchange]) -> None:
    placed = 0
    for exchange in unary(traffic):
        answer = read(exchange)
        assert GEMINI.decode_answer(GEMINI.encode_answer(answer, answer.model, answer.created_s)) == answer, exchange["id"]
        placed += sum(citation.start >= 0 for part in answer.parts for citation in getattr(part, "citations", ()))
    print(f"\ngemini answers, there and back: {len(unary(traffic))}; citations with a place: {placed}")
    assert placed > 50


def test_usage_classes_add_up_to_the_providers_totals(traffic: list[Exchange]) -> None:
    counted = 0
    for exchange in unary(traffic):
        recorded = json.loads(exchange["response_body"])
        facts = GEMINI.read_usage(exchange["response_body"].encode())
        usage = recorded.get("usageMetadata") or {}
        assert facts.model == recorded["modelVersion"]
        if not any(name.endswith("TokenCount") for name in usage):
            assert facts.usage is None
            continue
        assert facts.usage is not None
        assert facts.usage.credible
        parts = sum(usage.get(name, 0) for name in COUNTS)
        assert facts.usage.total == usage.get("totalTokenCount", parts) == parts, exchange["id"]
        assert facts.usage.cached_read == usage.get("cachedContentTokenCount", 0)
        assert facts.usage.reasoning == usage.get("thoughtsTokenCount", 0)
        assert facts.usage == read(exchange).usage
        counted += 1
    print(f"\ngemini: {counted} usages add up")
    assert counted > 400


# ------------------------------------------------------------------------------------------------------------------- streams


def frames(exchange: Exchange) -> list[Any]:
    body = exchange["response_body"]
    return list(json.loads(body)) if body.lstrip().startswith("[") else [json.loads(data) for data in datas(body.encode())]


def test_taps_forward_every_byte_and_see_the_same_under_every_split(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in streamed(traffic):
        if not exchange["streaming"]:
            counted["lists, not watched"] += 1
            continue
        tap = tap_checked(GEMINI, exchange["response_body"].encode())
        expected = Expected(frames(exchange))
        assert (tap.done, tap.finish, tap.error, tap.content_started) == (True, expected.finish, None, True), exchange["id"]
        assert tap.events == len(frames(exchange))
        total = tap.usage.prompt_total if tap.usage else 0, tap.usage.completion_total if tap.usage else 0
        assert total == expected.tokens, exchange["id"]
        assert tap.model == (frames(exchange)[-1].get("modelVersion") or "")
        counted["byte-exact"] += 1
    print(f"\ngemini taps: {dict(counted)}")
    assert counted["byte-exact"] > 35


def test_streams_reach_clients_of_every_kind_whole(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in streamed(traffic):
        where = exchange["id"]
        events = events_checked(GEMINI, exchange["response_body"].encode())
        assert isinstance(events[-1], Finished), where
        expected = Expected(frames(exchange))
        check_openai(completion_of(rendered(OPENAI_CHAT, events)), expected, where)
        check_anthropic(message_of(rendered(ANTHROPIC, events)), expected, where)
        own = rendered(GEMINI, events)
        check_gemini(said_by(chunks_of(own)), expected, where)
        assert told(GEMINI, own) == folded(events), where
        counted["events" if exchange["streaming"] else "list"] += 1
        counted["calls"] += len(expected.calls)
        counted["calls in pieces"] += exchange["response_body"].count('"partialArgs"') > 0
    print(f"\ngemini streams → openai, anthropic, gemini clients: {dict(counted)} of {len(streamed(traffic))}")
    assert counted["events"] + counted["list"] == len(streamed(traffic))


def folded(events: list[StreamEvent]) -> ChatAnswer:
    answer = fold(events)
    assert isinstance(answer, ChatAnswer)
    return msgspec.structs.replace(answer, model="", created_s=0)


def told(dialect: Dialect, stream: bytes) -> ChatAnswer:
    decoder = dialect.stream_decoder()
    return folded(decoder.feed(stream) + decoder.finish())


def test_streams_become_the_json_list_that_google_writes(traffic: list[Exchange]) -> None:
    turned = 0
    for exchange in streamed(traffic):
        if not exchange["streaming"]:
            continue
        stream = exchange["response_body"].encode()
        lists = []
        for chunks in cuts_of(stream):
            framer = GeminiArrayFramer()
            lists.append(b"".join([framer.feed(chunk) for chunk in chunks]) + framer.finish())
        assert len(set(lists)) == 1
        assert json.loads(lists[0]) == frames(exchange)
        assert told(GEMINI, lists[0]) == told(GEMINI, stream), exchange["id"]
        turned += 1
    print(f"\ngemini streams → JSON lists: {turned}")
    assert turned > 35


# ------------------------------------------------------------------------------------------------------------------ requests


def asked(traffic: list[Exchange]) -> list[tuple[Exchange, ChatRequest]]:
    found = []
    for exchange in traffic:
        if exchange["request_json"] and exchange["status"] == 200:
            request = GEMINI.decode_request(json.dumps(exchange["request_json"]).encode())
            assert isinstance(request, ChatRequest), (exchange["id"], request)
            found.append((exchange, request))
    assert found
    return found


def test_requests_read_written_and_read_again_are_the_same_and_taken_by_googles_types(traffic: list[Exchange]) -> None:
    lost: Counter[str] = Counter()
    for exchange, request in asked(traffic):
        encoded = GEMINI.encode_request(request, model_of(exchange), stream=False)
        assert isinstance(encoded, Encoded), (exchange["id"], encoded)
        taken_by_server(encoded.body)
        assert GEMINI.decode_request(encoded.body) == request, exchange["id"]
        assert spoken(json.loads(encoded.body)) == spoken(exchange["request_json"]), exchange["id"]
        lost.update(encoded.losses)
    print(f"\ngemini requests, there and back: {len(asked(traffic))}; losses: {dict(lost)}")
    assert not lost


@pytest.mark.parametrize("target", [OPENAI_CHAT, ANTHROPIC])
def test_requests_are_said_to_other_providers(traffic: list[Exchange], target: Dialect) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange, request in asked(traffic):
        encoded = target.encode_request(request, MODELS[target.name], stream=False)
        if isinstance(encoded, Fault):
            assert encoded.kind is FaultKind.unsupported, (exchange["id"], encoded)
            counted[f"cannot be said: {encoded.message[:70]}"] += 1
            continue
        body = json.loads(encoded.body)
        consume(PARAMS[target.name].validate_python(in_parts(body)))
        written = "".join(json.dumps(body).split())
        assert all("".join(json.dumps(text)[1:-1].split()) in written for text in spoken(exchange["request_json"])), exchange["id"]
        assert function_names(exchange["request_json"]) <= {
            tool.get("name") or tool.get("function", {}).get("name") for tool in body.get("tools") or ()
        } | allowed_out(exchange["request_json"]), exchange["id"]
        lost.update(encoded.losses)
        counted["said"] += 1
    print(f"\ngemini requests → {target.name}: {dict(counted)} of {len(asked(traffic))}\n  losses: {dict(lost.most_common(30))}")
    assert counted["said"] > 420


@pytest.mark.parametrize(
    ("surface", "source", "model"),
    [
        ("openai.chat", OPENAI_CHAT, "gemini-2.5-flash"),
        ("openai.chat", OPENAI_CHAT, "gemini-3-pro-preview"),
        ("anthropic.messages", ANTHROPIC, "gemini-2.5-flash"),
        ("anthropic.messages", ANTHROPIC, "gemini-3-pro-preview"),
    ],
)
def test_requests_of_other_clients_are_taken_by_googles_types(surface: str, source: Dialect, model: str) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange in load(surface):
        if not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = source.decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted[f"not read: {request.message[:60]}"] += 1
            continue
        encoded = GEMINI.encode_request(request, model, stream=False)
        if isinstance(encoded, Fault):
            counted[f"cannot be said: {encoded.param}"] += 1
            continue
        taken_by_server(encoded.body)
        again = GEMINI.decode_request(encoded.body)
        assert isinstance(again, ChatRequest), (exchange["id"], again)
        rewritten = GEMINI.encode_request(again, model, stream=False)
        assert isinstance(rewritten, Encoded)
        assert GEMINI.decode_request(rewritten.body) == again, exchange["id"]
        lost.update(encoded.losses)
        counted["said"] += 1
    print(f"\n{surface} requests → {model}: {dict(counted)}\n  losses: {dict(lost.most_common(30))}")
    assert counted["said"] > 300


def spoken(request: Any) -> list[str]:
    """Every text of user and model, streamed texts of one turn put together."""
    texts: list[str] = []
    last: tuple[str, bool] | None = None
    for content in request["contents"]:
        for part in content["parts"]:
            kind = content.get("role") or "user", bool(part.get("thought"))
            if part.get("text"):
                if kind == last and kind[0] == "model":
                    texts[-1] += part["text"]
                elif not part.get("thought"):
                    texts.append(part["text"])
                last = kind if not part.get("thought") else None
            else:
                last = None
    return texts


def entries(tools: Any) -> list[Any]:
    return tools if isinstance(tools, list) else [tools] if tools else []


def function_names(request: Any) -> set[str]:
    found = [entry.get("functionDeclarations") or entry.get("function_declarations") for entry in entries(request.get("tools"))]
    return {function["name"] for functions in found for function in functions or ()}


def allowed_out(request: Any) -> set[str]:
    """Functions that are declared but not allowed; they are left out."""
    calling = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames")
    return function_names(request) - set(allowed) if allowed else set()


# -------------------------------------------------------------------------------------------------------------------- others


def test_recorded_errors_are_told_apart(traffic: list[Exchange]) -> None:
    wanted = {404: FaultKind.unknown_model, 400: FaultKind.upstream_refused}
    tried = 0
    for exchange in traffic:
        if exchange["status"] == 200:
            continue
        fault = GEMINI.classify_fault(exchange["status"], {}, exchange["response_body"].encode(), 0.0)
        assert fault.kind is wanted[exchange["status"]], exchange["id"]
        assert fault.upstream_status == exchange["status"]
        tried += 1
    assert tried > 5


def test_recorded_counts_of_tokens() -> None:
    counted = 0
    for exchange in load("gemini.countTokens"):
        request = decode_count_request(json.dumps(exchange["request_json"]).encode())
        assert isinstance(request, ChatRequest)
        encoded = encode_count_request(request, "m")
        assert isinstance(encoded, Encoded)
        assert decode_count_request(encoded.body) == request
        count = read_count(exchange["response_body"].encode())
        recorded = json.loads(exchange["response_body"])
        if exchange["status"] == 200:
            assert count == recorded["totalTokens"]
        else:
            assert isinstance(count, Fault)
        counted += 1
    print(f"\ncountTokens: {counted}")
    assert counted > 5
