"""Answers and streams, read and written; Google's own client is the judge of what is written."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.gemini.oracle import answer_of, chunks_of, said_by

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Image, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.gemini.array_frames import GeminiArrayFramer
from setpoint.wire.gemini.count_tokens import decode_count_request, encode_count, encode_vertex_count_request, read_count
from setpoint.wire.gemini.dialect import GEMINI
from setpoint.wire.gemini.frames_in import AnswerFrames
from setpoint.wire.gemini.models import models_list, one_model
from setpoint.wire.gemini.partial_call import STEPS_MAX, PartialArguments
from setpoint.wire.gemini.shapes import PartialArg
from setpoint.wire.gemini.stream_in import GeminiStreamDecoder
from setpoint.wire.sse import SseDecoder


def body_of(*parts: Any, finish: Any = "STOP", **more: Any) -> bytes:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, **more.pop("candidate", {})}
    return json.dumps({"candidates": [candidate], "modelVersion": "m1", "responseId": "r1", **more}).encode()


def read(body: bytes) -> ChatAnswer:
    answer = GEMINI.decode_answer(body)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def written(answer: ChatAnswer) -> Any:
    return json.loads(GEMINI.encode_answer(answer, "shown", 0))


def frame(body: bytes) -> bytes:
    return b"data: " + body + b"\r\n\r\n"


def events_of(*chunks: bytes) -> list[StreamEvent]:
    decoder = GEMINI.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def rendered(events: list[StreamEvent]) -> bytes:
    renderer = GEMINI.stream_renderer("shown", 1, include_usage=True)
    return b"".join([renderer.render(event) for event in events]) + renderer.finish()


# ------------------------------------------------------------------------------------------------------------------ answers


def test_calls_without_an_id_get_one_that_differs_by_answer_and_place() -> None:
    parts = [{"functionCall": {"name": "f", "args": {"a": 1}}}, {"functionCall": {"name": "f"}, "thoughtSignature": "U0lH"}]
    assert read(body_of(*parts)).parts == (ToolCall("call_r1_0", "f", '{"a":1}'), ToolCall("call_r1_1", "f", "{}", signature="gemini:U0lH"))
    assert read(body_of(*parts)).finish == "tool_calls"
    long = read(body_of(*parts, responseId="r" * 99)).parts[0]
    assert isinstance(long, ToolCall)
    assert len(long.id) <= 40


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        *[(reason, "content_filter") for reason in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", 3, 8)],
        *[(reason, "unknown") for reason in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "LANGUAGE", "OTHER", "NEWER", None, 0)],
    ],
)
def test_finish_reasons_by_name_and_by_number(reason: Any, finish: str) -> None:
    answer = read(body_of({"text": "x"}, finish=reason))
    assert answer.finish == finish
    assert read(GEMINI.encode_answer(answer, "m1", 0)).finish == finish


def test_a_blocked_prompt_is_a_refusal_and_goes_back_as_one() -> None:
    blocked = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}).encode()
    answer = read(blocked)
    assert (answer.parts, answer.finish) == ((Refusal("The prompt was blocked: SAFETY."),), "content_filter")
    shown = answer_of(GEMINI.encode_answer(answer, "shown", 1))
    assert shown.candidates is None
    assert shown.prompt_feedback is not None
    assert shown.prompt_feedback.block_reason_message == "The prompt was blocked: SAFETY."
    assert fold(events_of(frame(blocked))) == answer
    assert read(GEMINI.encode_answer(answer, "", 0)) == answer


def test_what_a_filter_says_is_a_refusal_and_what_a_model_says_is_text() -> None:
    stopped = read(body_of({"text": "half"}, finish="SAFETY", candidate={"finishMessage": "hate"}))
    assert stopped.parts == (Text("half"), Refusal("hate"))
    assert read(GEMINI.encode_answer(stopped, "m1", 0)) == stopped
    model = written(ChatAnswer("x", "m", (Refusal("I will not"),), "stop"))["candidates"][0]
    assert (model["content"]["parts"], model["finishReason"]) == ([{"text": "I will not"}], "SAFETY")
    plain = read(body_of({"text": "x"}, candidate={"finishMessage": "Model generated function call(s)."}))
    assert plain.parts == (Text("x"),)


def test_usage_of_caches_tools_audio_and_images_is_disjoint_and_adds_up() -> None:
    shape = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": 2, "tokenCount": 9}, {"modality": "VIDEO"}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}],
        "serviceTier": "priority",
    }
    answer = read(body_of({"text": "x"}, usageMetadata=shape))
    assert answer.usage == Usage(input=38, cached_read=40, output=12, reasoning=5, audio_input=20, audio_output=8, image_input=9)
    assert answer.usage.total == 132
    again = read(GEMINI.encode_answer(answer, "m1", 0))
    assert (again.usage, again.service_tier) == (answer.usage, "priority")
    assert GEMINI.read_usage(body_of(usageMetadata={"trafficType": "ON_DEMAND"})).usage is None
    assert GEMINI.read_usage(b"[").usage is None


def test_citations_count_characters_inside_and_bytes_outside() -> None:
    metadata = {
        "groundingChunks": [
            {"web": {"uri": "u", "title": "t"}},
            {"retrievedContext": {"uri": "r", "text": "q"}},
            {"web": {"uri": "unused"}},
        ],
        "groundingSupports": [
            {"segment": {"startIndex": 4, "endIndex": 6, "text": "ü"}, "groundingChunkIndices": [0, 1, 9]},
            {"segment": {"endIndex": 99, "text": "moved"}, "groundingChunkIndices": [0]},
        ],
    }
    answer = read(body_of({"text": "ää"}, {"text": "ü moved"}, candidate={"groundingMetadata": metadata}))
    first, second = answer.parts
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    assert first.citations == ()
    assert second.citations == (
        Citation("u", "t", start=0, end=1),
        Citation("r", quote="q", start=0, end=1),
        Citation("u", "t", start=2, end=7),
        Citation("unused"),
    )
    assert read(GEMINI.encode_answer(answer, "m1", 0)) == answer
    chunks = answer_of(GEMINI.encode_answer(answer, "m1", 0)).candidates
    assert chunks is not None
    supports = chunks[0].grounding_metadata.grounding_supports  # type: ignore[union-attr]  # written above
    assert supports is not None
    assert [(s.segment.part_index, s.segment.start_index, s.segment.text) for s in supports if s.segment] == [
        (1, None, "ü"),
        (1, 3, "moved"),
    ]


@pytest.mark.parametrize("member", ["citationSources", "citations"])
def test_citations_of_recited_text(member: str) -> None:
    metadata = {member: [{"startIndex": 0, "endIndex": 2, "uri": "u"}, None]}
    (part,) = read(body_of({"text": "abc"}, candidate={"citationMetadata": metadata})).parts
    assert part == Text("abc", citations=(Citation("u", start=0, end=2),))


def test_log_probabilities_there_and_back() -> None:
    tokens = (TokenLogprob("a", -0.5, top=(TokenLogprob("a", -0.5), TokenLogprob("b", -2.0))), TokenLogprob("c", -1.5))
    answer = ChatAnswer("r", "m", (Text("ac"),), "stop", logprobs=tokens)
    body = GEMINI.encode_answer(answer, "m", 0)
    assert read(body).logprobs == tokens
    candidates = answer_of(body).candidates
    assert candidates is not None
    assert candidates[0].avg_logprobs == -1.0


def test_what_only_gemini_has_is_foreign_and_images_are_images() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "U0lH"}
    answer = read(body_of(code, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "QUJD"}))
    assert answer.parts == (
        Foreign("executableCode", "gemini", json.dumps(code).encode()),
        Image(data="AAAA", media_type="image/png"),
        Text("", signature="gemini:QUJD"),
    )
    assert written(answer)["candidates"][0]["content"]["parts"][0] == code


def test_thinking_of_other_providers_reaches_googles_client() -> None:
    parts = (Thinking("hm", "anthropic:S+/="), Thinking("", redacted="anthropic:R"), Text("x"), ToolCall("i", "f", "nonsense"))
    body = GEMINI.encode_answer(ChatAnswer("r", "m", parts, "tool_calls"), "shown", 1)
    said = said_by([answer_of(body)])
    assert (said["text"], said["thoughts"], said["calls"]) == ("x", "hm", [("f", {"INVALID_JSON": "nonsense"})])
    again = read(body).parts
    assert again[:3] == parts[:3]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FaultKind.upstream_server),
        (b"{}", FaultKind.upstream_server),
        (b'{"candidates": 5}', FaultKind.upstream_server),
        (b'{"candidates": [{"content": {"parts": [5]}}]}', FaultKind.upstream_server),
        (b'{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}', FaultKind.upstream_overloaded),
        (b'{"candidates":[{"content":{"parts":' + b"[" * 100_000, FaultKind.upstream_server),
    ],
)
def test_what_is_no_answer_is_a_fault(body: bytes, kind: FaultKind) -> None:
    fault = GEMINI.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


@pytest.mark.parametrize("empty", [{"candidates": [None]}, {"candidates": []}, {"candidates": [{"content": None, "finishReason": "STOP"}]}])
def test_answers_without_content_are_answers(empty: Any) -> None:
    assert read(json.dumps({**empty, "usageMetadata": {}}).encode()).parts == ()


# ------------------------------------------------------------------------------------------------------------------ streams

EVENTS: list[StreamEvent] = [
    Started("x", "up"),
    ThinkingDelta("hm"),
    ThinkingDelta(signature="anthropic:sig"),
    TextDelta("It is "),
    TextDelta("ü€😀."),
    Cited(Citation("u", "t", start=6, end=8)),
    TextEnded(),
    TextDelta("More."),
    Cited(Citation("v", start=0, end=4)),
    ToolCallStarted(0, "c0", "look"),
    ToolCallDelta(0, '{"x":'),
    ToolCallStarted(1, "c1", "look"),
    ToolCallDelta(1, '{"x":2}'),
    ToolCallDelta(0, "1}"),
    LogprobsReported((TokenLogprob("a", -1.0),)),
    UsageReported(Usage(input=3, cached_read=2, output=4, reasoning=1)),
    Finished("tool_calls", service_tier="default"),
]


def test_googles_client_reads_a_rendered_stream() -> None:
    chunks = chunks_of(rendered(EVENTS))
    said = said_by(chunks)
    assert said == {
        "text": "It is ü€😀.More.",
        "thoughts": "hm",
        "calls": [("look", {"x": 1}), ("look", {"x": 2})],
        "ids": ["c0", "c1"],
        "finish": "STOP",
        "tokens": (5, 5),
    }
    last = chunks[-1].candidates
    assert last is not None
    supports = last[0].grounding_metadata.grounding_supports  # type: ignore[union-attr]  # rendered above
    assert [s.segment.text for s in supports or () if s.segment] == ["ü€", "More"]


def test_calls_come_whole_and_ahead_of_what_follows_them() -> None:
    renderer = GEMINI.stream_renderer("m", 0, include_usage=True)
    assert renderer.render(ToolCallStarted(0, "a", "f")) == b""
    assert renderer.render(ToolCallDelta(0, '{"x":1}')) == b""
    out = renderer.render(TextDelta("after"))
    assert out.index(b"functionCall") < out.index(b"after")
    assert renderer.render(ToolCallDelta(0, " ")) == b""
    late = renderer.render(ToolCallDelta(0, "more"))
    assert b'"error"' in late
    assert renderer.finish() == b""


def test_a_stream_that_breaks_ends_in_an_error_and_not_in_a_finish() -> None:
    renderer = GEMINI.stream_renderer("m", 0, include_usage=True)
    out = renderer.render(TextDelta("x")) + renderer.finish()
    last = events_of(out)[-1]
    assert isinstance(last, Failed)
    tap = GEMINI.tap()
    assert tap.feed(out) + tap.flush() == out
    assert (tap.done, tap.error is not None) == (False, True)
    failed = GEMINI.stream_renderer("m", 0, True).render(Failed(Fault(FaultKind.upstream_rate, "slow", retry_after_s=3)))
    assert isinstance(last := events_of(failed)[-1], Failed)
    assert (last.fault.kind, last.fault.retry_after_s) == (FaultKind.upstream_rate, 3)


def test_long_texts_are_split_between_characters() -> None:
    text = "€" * DELTA_BYTES_MAX
    chunks = chunks_of(rendered([Started(), TextDelta(text), ThinkingDelta(text), Finished("stop")]))
    said = said_by(chunks)
    assert said["text"] == said["thoughts"] == text
    sizes = [len((part.text or "").encode()) for c in chunks for part in c.candidates[0].content.parts]  # type: ignore[index, union-attr]
    assert max(sizes) <= DELTA_BYTES_MAX


def test_refusals_wait_for_the_finish() -> None:
    for finish, parts in (("stop", (Text("no no"),)), ("content_filter", (Refusal("no no"),))):
        events: list[StreamEvent] = [Started("r"), RefusalDelta("no "), RefusalDelta("no"), Finished(finish)]  # type: ignore[arg-type]
        folded = fold(events_of(rendered(events)))
        assert isinstance(folded, ChatAnswer)
        assert (folded.parts, folded.finish) == (parts, "content_filter")


PIECES: list[Any] = [
    {"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "U0lH"},
    {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "Bos", "willContinue": True}], "willContinue": True}},
    {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "ton"}], "willContinue": True}},
    {"functionCall": {"partialArgs": [{"jsonPath": "$.l[0].b", "numberValue": 1}, {"jsonPath": "$.l[1].b"}], "willContinue": True}},
    {"functionCall": {"partialArgs": [{"jsonPath": "$['odd key'][99]", "boolValue": True}], "willContinue": True}},
    {"functionCall": {}},
    {"functionCall": {"name": "g", "args": {}}},
]


def test_calls_in_pieces_are_put_together() -> None:
    frames = [frame(body_of(part, finish=None)) for part in PIECES] + [frame(body_of({"text": ""}))]
    answer = fold(events_of(*frames))
    assert isinstance(answer, ChatAnswer)
    first, second = answer.parts
    assert isinstance(first, ToolCall)
    assert json.loads(first.arguments) == {"a": "Boston", "l": [{"b": 1}, {"b": None}], "odd key": [True]}
    assert (first.signature, second) == ("gemini:U0lH", ToolCall("call_r1_1", "g", "{}"))


@pytest.mark.parametrize("path", ["", "a", "$", "$[0]", "$.a[", "$" + ".a" * (STEPS_MAX + 1)])
def test_paths_that_name_no_place_are_left_out(path: str) -> None:
    made = PartialArguments()
    made.add(PartialArg(path, string_value="x"))
    made.add(PartialArg("$" + ".a" * STEPS_MAX, string_value="deep"))
    assert made.json().count("deep") == 1
    assert '"x"' not in made.json()


def test_usage_is_put_together_from_chunks_that_leave_members_out() -> None:
    frames = [
        frame(body_of({"text": "x"}, finish=None, usageMetadata={"promptTokenCount": 4, "trafficType": "ON_DEMAND"})),
        frame(body_of({"text": "y"}, usageMetadata={"candidatesTokenCount": 2, "serviceTier": "flex"})),
    ]
    events = events_of(*frames)
    assert events[-2:] == [UsageReported(Usage(input=4, output=2)), Finished("stop", None, "flex")]
    tap = GEMINI.tap()
    assert b"".join(map(tap.feed, frames)) + tap.flush() == b"".join(frames)
    assert (tap.usage, tap.model, tap.finish, tap.done, tap.events) == (Usage(input=4, output=2), "m1", "STOP", True, 2)


def test_only_the_first_of_several_candidates_is_told() -> None:
    def chunk(index: int, text: str, finish: str | None) -> bytes:
        return frame(body_of({"text": text}, finish=finish, candidate={"index": index}))

    events = events_of(chunk(0, "a", None), chunk(1, "b", "MAX_TOKENS"), chunk(0, "c", "STOP"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "ac"
    assert events[-1] == Finished("stop")


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}\n\n',
        b'[{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]',
        b'{\n "error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}',
    ],
)
def test_errors_inside_a_stream_in_every_form(stream: bytes) -> None:
    for cut in range(len(stream)):
        (failed,) = events_of(stream[:cut], stream[cut:])
        assert isinstance(failed, Failed)
        assert failed.fault.kind is FaultKind.upstream_overloaded


def test_an_image_in_a_stream_stays_whole_for_gemini_clients() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    events = events_of(frame(body_of(image)))
    shown = [event.part for event in events if isinstance(event, ForeignShown)]
    assert [part.kind for part in shown] == ["image"]
    assert b"AAAA" in rendered(events)


def test_a_stream_without_a_finish_reason_was_cut() -> None:
    for stream in (b"", b"[]", b"[", frame(body_of({"text": "x"}, finish=None)), b'data: {"candi', b"\xef\xbb"):
        last = events_of(stream)[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.upstream_cut


@pytest.mark.parametrize("form", ["events", "list"])
def test_an_object_over_the_limit_ends_the_stream(form: str) -> None:
    body = body_of({"text": "x" * 400})
    stream = frame(body) if form == "events" else b"[" + body + b"]"
    size = len(stream)
    fits, over = GeminiStreamDecoder(size), GeminiStreamDecoder(size - 10 if form == "events" else 300)
    assert isinstance((fits.feed(stream) + fits.finish())[-1], Finished)
    events = over.feed(stream[:350]) + over.feed(stream[350:]) + over.finish()
    assert isinstance(events[-1], Failed)
    assert len(events) == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_cut_gives_the_same_events_in_both_forms(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(alphabet='ab"\\{}[],:é€😀\n', max_size=8), min_size=1, max_size=4))
    bodies = [body_of({"text": text}, finish=None) for text in texts] + [body_of({"functionCall": {"name": "f", "args": {"]": '"\\'}}})]
    stream = b"".join(map(frame, bodies))
    framer = GeminiArrayFramer()
    listed = framer.feed(stream) + framer.finish()
    assert json.loads(listed) == [json.loads(body) for body in bodies]
    whole = events_of(stream)
    assert events_of(listed) == whole
    for form in (stream, listed, json.dumps(json.loads(listed), indent=2, ensure_ascii=False).encode()):
        at = sorted(data.draw(st.lists(st.integers(0, len(form)), max_size=6)))
        chunks = [form[a:b] for a, b in itertools.pairwise([0, *at, len(form)])]
        assert fold(events_of(*chunks)) == fold(whole)
        if form is stream:
            cut = GeminiArrayFramer()
            assert b"".join(map(cut.feed, chunks)) + cut.finish() == listed
            tap = GEMINI.tap()
            assert b"".join(map(tap.feed, chunks)) + tap.flush() == stream
            assert (tap.events, tap.finish, tap.done) == (len(bodies), "STOP", True)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_bytes_never_crash(data: st.DataObject) -> None:
    bodies = [
        body_of(
            {"text": "x", "thoughtSignature": "c2V0cG9pbnQ6"}, candidate={"groundingMetadata": {"groundingSupports": [{"segment": {}}]}}
        ),
        body_of(*PIECES[:4], finish=2, usageMetadata={"promptTokenCount": 1, "promptTokensDetails": [{"modality": 1}]}),
    ]
    stream = bytearray(b"".join(map(frame, bodies)) if data.draw(st.booleans()) else b"[" + b",".join(bodies) + b"]")
    for _ in range(data.draw(st.integers(1, 5))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    events = events_of(bytes(stream))
    assert isinstance(events[-1], Finished | Failed)
    rendered(events)
    tap = GEMINI.tap()
    tap.feed(bytes(stream))
    tap.flush()
    GEMINI.decode_answer(bytes(stream))
    framer = GeminiArrayFramer()
    framer.feed(bytes(stream))
    framer.finish()


def test_a_list_without_events_is_empty_and_a_terminal_of_others_is_no_item() -> None:
    framer = GeminiArrayFramer()
    assert framer.feed(b"data: [DONE]\n\n") == b""
    assert framer.finish() == b"[]\n"
    assert framer.finish() == b""
    error = GeminiArrayFramer()
    out = error.feed(frame(b'{"a":1}') + GEMINI.render_stream_fault(Fault(FaultKind.upstream_cut, "cut"), "q")) + error.finish()
    assert [*json.loads(out)[1]] == ["error"]


def test_frames_are_found_whatever_stands_between_them() -> None:
    frames = AnswerFrames()
    assert frames.feed(b'\n [{"a":"}\\"]["}') == [b'{"a":"}\\"]["}']
    assert frames.feed(b'\n,\r\n{"b":{}') == []
    assert frames.feed(b"}]") == [b'{"b":{}}']


# ------------------------------------------------------------------------------------------------------------------- others


def test_tokens_are_counted_for_instructions_and_tools_too() -> None:
    inner = {"contents": [{"parts": [{"text": "x"}]}], "systemInstruction": {"parts": [{"text": "s"}]}, "model": "models/m"}
    for body in (inner, {"generateContentRequest": inner}, {"generate_content_request": inner}):
        request = decode_count_request(json.dumps(body).encode())
        assert not isinstance(request, Fault)
        assert (request.messages[0].parts, request.system) == ((Text("x"),), (Text("s"),))
        vertex = encode_vertex_count_request(request, "m")
        assert not isinstance(vertex, Fault)
        assert set(json.loads(vertex.body)) == {"contents", "systemInstruction"}
    assert read_count(encode_count(7)) == 7
    assert all(isinstance(decode_count_request(body), Fault) for body in (b"{", b"{}", b'{"generateContentRequest": 5}'))
    assert all(isinstance(read_count(body), Fault) for body in (b"{", b"{}", b'{"error": {"code": 404}}'))


def test_models_are_listed_as_googles_client_reads_them() -> None:
    listed = json.loads(models_list([("a/b", "openai"), ("c", "")]))["models"]
    assert [model["name"] for model in listed] == ["models/a/b", "models/c"]
    assert "generateContent" in listed[0]["supportedGenerationMethods"]
    assert json.loads(one_model("c", "")) == listed[1]


def test_rendered_frames_are_events_of_one_line() -> None:
    decoder = SseDecoder()
    events = decoder.feed(rendered(EVENTS))
    assert all(b"\n" not in event.data for event in events)
    assert all(json.loads(event.data)["modelVersion"] == "shown" for event in events)
