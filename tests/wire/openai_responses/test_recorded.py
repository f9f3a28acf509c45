"""Recorded traffic: every answer, stream and request in this dialect, by itself. To and from other dialects: `tests.pairs`."""

import itertools
import json
import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.pairs.judges.openai_schema import judge_response
from tests.pairs.recordings import CORPUS, SKIPPED, Recorded, answers, recordings, requests
from tests.pairs.vendors.openai_sdk import read_response, read_response_stream

from setpoint.domain.chat import ChatAnswer, ChatRequest, Text, Tool
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Failed, StreamEvent, fold
from setpoint.wire.dialect import DELTA_BYTES_MAX, Encoded
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.words import response_id
from setpoint.wire.sse import SseDecoder

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=SKIPPED)

NAME = "openai_responses"
UNFINISHED = {"queued", "in_progress"}
Json = dict[str, Any]


def datas(stream: bytes) -> list[Json]:
    decoder = SseDecoder()
    events = decoder.feed(stream) + decoder.finish()
    return [json.loads(event.data) for event in events if event.data != b"[DONE]"]


def cuts_of(stream: bytes, per_byte: bool) -> dict[str, list[bytes]]:
    rng = random.Random(len(stream))
    ways = {"whole": [stream]}
    events = [piece + b"\n\n" for piece in stream.split(b"\n\n")]
    ways["per event"] = [*events[:-1], events[-1][:-2]] if len(events) > 1 else [stream]
    wide = [i for i, byte in enumerate(stream) if byte & 0xC0 == 0x80][:200]
    for name, at in (("inside characters", wide), ("random", sorted(rng.sample(range(len(stream) + 1), min(20, len(stream)))))):
        ways[name] = [stream[a:b] for a, b in itertools.pairwise([0, *at, len(stream)])]
    if per_byte:
        ways["per byte"] = [stream[i : i + 1] for i in range(len(stream))]
    return ways


def events_of(chunks: list[bytes]) -> list[StreamEvent]:
    decoder = OPENAI_RESPONSES.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def rendered(events: list[StreamEvent]) -> bytes:
    renderer = OPENAI_RESPONSES.stream_renderer("shown", 1, include_usage=True)
    return b"".join(renderer.render(event) for event in events) + renderer.finish()


def is_one_answer(stream: bytes) -> bool:
    return [data["type"] for data in datas(stream)].count("response.created") == 1


def plain(answer: ChatAnswer) -> ChatAnswer:
    """Without what every answer gets anew: the id as it is shown, the name of the model, the time."""
    return msgspec.structs.replace(answer, id=response_id(answer.id), model="", created_s=0)


# ------------------------------------------------------------------------------------------------------------------- taps


def test_taps_forward_every_byte_and_see_the_same_under_every_split() -> None:
    counted: Counter[str] = Counter()
    for no, recorded in enumerate(answers(NAME, streaming=True)):
        stream = recorded.body
        seen = set()
        for way, chunks in cuts_of(stream, per_byte=no % 10 == 0 and len(stream) < 60_000).items():
            tap = OPENAI_RESPONSES.tap()
            assert b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush() == stream, (recorded.id, way)
            seen.add((tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error is None))
            counted[way] += 1
        assert len(seen) == 1, recorded.id
        kinds = {data["type"] for data in datas(stream)}
        assert tap.model, recorded.id
        assert tap.done is ("response.completed" in kinds or "response.incomplete" in kinds), recorded.id
        assert (tap.error is not None) is bool(kinds & {"error", "response.failed"}), recorded.id
        assert tap.content_started is any(kind.endswith(".delta") for kind in kinds) or not tap.error
        assert (tap.usage is not None) is tap.done, recorded.id
    print(f"\nopenai_responses taps: {dict(counted)}")


# ------------------------------------------------------------------------------------------------------------------ usage


def billed(usage: Json) -> tuple[int, int, int, int]:
    inside, beside = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return usage["input_tokens"], usage["output_tokens"], inside.get("cached_tokens") or 0, beside.get("reasoning_tokens") or 0


def test_usage_classes_add_up_to_the_providers_totals() -> None:
    counted = 0
    for recorded in answers(NAME, streaming=False):
        body = json.loads(recorded.body)
        facts = OPENAI_RESPONSES.read_usage(recorded.body)
        assert facts.model == body["model"], recorded.id
        assert facts.finish == body["status"], recorded.id
        if not body.get("usage"):
            assert facts.usage is None, recorded.id
            continue
        usage = facts.usage
        assert usage is not None
        assert (usage.prompt_total, usage.completion_total, usage.cached_read, usage.reasoning) == billed(body["usage"]), recorded.id
        counted += 1
    print(f"\nopenai_responses: {counted} usages add up")
    assert counted > 300


# ---------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_read_and_written_is_read_as_the_same() -> None:
    counted: Counter[str] = Counter()
    for recorded in answers(NAME, streaming=False):
        answer = OPENAI_RESPONSES.decode_answer(recorded.body)
        if isinstance(answer, Fault):
            assert json.loads(recorded.body)["status"] in UNFINISHED, (recorded.id, answer)
            counted["not answered yet, as recorded"] += 1
            continue
        written = OPENAI_RESPONSES.encode_answer(answer, "shown", 1)
        again = OPENAI_RESPONSES.decode_answer(written)
        assert isinstance(again, ChatAnswer)
        assert plain(again) == plain(answer), recorded.id
        assert "".join(part.text for part in answer.parts if isinstance(part, Text)) == read_response(written).text
        counted[recorded.provider] += 1
    print(f"\nopenai_responses answers, there and back: {dict(counted)}")
    assert counted.total() > 300


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the SDK, about sources of a search that it does not know
def test_a_stream_read_and_written_is_read_as_the_same() -> None:
    counted: Counter[str] = Counter()
    for recorded in answers(NAME, streaming=True):
        ways = cuts_of(recorded.body, per_byte=False)
        events = events_of([recorded.body])
        assert all(events == events_of(chunks) for chunks in ways.values()), recorded.id
        if isinstance(events[-1], Failed):
            assert b"response.failed" in recorded.body, (recorded.id, events[-1])
            counted["failed, as recorded"] += 1
            continue
        answer = fold(events)
        assert isinstance(answer, ChatAnswer)
        stream = rendered(events)
        again = fold(events_of([stream]))
        assert isinstance(again, ChatAnswer)
        assert plain(again) == plain(answer), recorded.id
        said = read_response_stream(stream)
        assert said.text == "".join(part.text for part in answer.parts if isinstance(part, Text)), recorded.id
        assert all(len(data["delta"].encode()) <= DELTA_BYTES_MAX for data in datas(stream) if data["type"].endswith(".delta"))
        counted[recorded.provider] += 1
    print(f"\nopenai_responses streams, there and back: {dict(counted)}")
    assert counted.total() > 90


def test_a_stream_tells_what_its_last_event_repeats() -> None:
    """Signatures are encrypted anew each time, so it is texts and calls that are compared."""
    counted: Counter[str] = Counter()
    for recorded in answers(NAME, streaming=True):
        whole = next((data["response"] for data in datas(recorded.body) if data["type"] == "response.completed"), None)
        if whole is None or not is_one_answer(recorded.body) or recorded.id in SHORTENED:
            counted["not one whole answer"] += 1
            continue
        told = fold(events_of([recorded.body]))
        wanted = OPENAI_RESPONSES.decode_answer(json.dumps(whole).encode())
        assert isinstance(told, ChatAnswer)
        assert isinstance(wanted, ChatAnswer)
        assert outline(told) == outline(wanted), recorded.id
        counted["the same"] += 1
    print(f"\nopenai_responses streams and their last event: {dict(counted)}")
    assert counted["the same"] > 90


SHORTENED = {"c8ca8dbd962ec0d1"}
"""Its deltas were cut short by hand and say something else than the whole text."""


def outline(answer: ChatAnswer) -> tuple[object, ...]:
    parts = Counter((type(part).__name__, getattr(part, "text", getattr(part, "arguments", ""))) for part in answer.parts)
    return parts, answer.finish, answer.usage, len(answer.logprobs), answer.model


# --------------------------------------------------------------------------------------------------------------- requests


def essence(request: ChatRequest) -> ChatRequest:
    """Without what this API cannot leave out, or may leave out: strictness and arguments of tools, members no noun carries."""
    tools = tuple(msgspec.structs.replace(tool, strict=bool(tool.strict), schema=schema_of(tool)) for tool in request.tools)
    choice = request.tool_choice if tools else None
    parallel = request.parallel_tool_calls if tools else None
    return msgspec.structs.replace(request, tools=tools, tool_choice=choice, parallel_tool_calls=parallel, extras={}, model="")


def schema_of(tool: Tool) -> bytes | None:
    return tool.schema or b"{}" if tool.foreign is None else None


def refused_for(recorded: Recorded, fault: Fault) -> str:
    assert recorded.request is not None
    assert fault.kind is FaultKind.unsupported, (recorded.id, fault)
    assert fault.param is not None
    assert "upstream speaks Responses" in fault.message
    return f"refused: {fault.param.partition('[')[0]}"


def test_a_request_read_and_written_is_admitted_and_read_as_the_same() -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for recorded in requests(NAME):
        assert recorded.request is not None
        request = OPENAI_RESPONSES.decode_request(recorded.request)
        if isinstance(request, Fault):
            counted[refused_for(recorded, request)] += 1
            continue
        encoded = OPENAI_RESPONSES.encode_request(request, request.model, request.stream)
        assert isinstance(encoded, Encoded), recorded.id
        judge_response(encoded.body, request.stream)
        lost.update(encoded.losses)
        again = OPENAI_RESPONSES.decode_request(encoded.body)
        assert isinstance(again, ChatRequest)
        if not encoded.losses:
            assert essence(again) == essence(request), recorded.id
        if "thinking (of earlier turns)" not in encoded.losses:
            assert again.messages == request.messages, recorded.id
        counted["the same"] += 1
    print(f"\nopenai_responses requests, there and back: {dict(counted)}\n  losses: {dict(lost)}")
    assert counted["the same"] > 250


def test_recorded_errors_keep_the_providers_words_and_kind() -> None:
    kinds: Counter[str] = Counter()
    for recorded in recordings():
        if recorded.dialect != NAME or recorded.status == 200:
            continue
        said = json.loads(recorded.body)["error"]["message"]
        fault = OPENAI_RESPONSES.classify_fault(recorded.status, {}, recorded.body, 0.0)
        assert fault.message == said, recorded.id
        assert fault.http_status in {recorded.status, 404}, recorded.id
        kinds[fault.kind.name] += 1
    print(f"\nopenai_responses errors: {dict(kinds)}")
    assert kinds.total() > 5
