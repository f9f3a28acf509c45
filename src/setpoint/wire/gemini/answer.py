"""A unary generateContent answer, from bytes to nouns and back."""

import msgspec

from setpoint.domain.chat import ChatAnswer, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.gemini import answer_shapes, shapes
from setpoint.wire.gemini.answer_parts import read_call, read_other, written_part
from setpoint.wire.gemini.citations import grounding_of, places
from setpoint.wire.gemini.facts import shape_of, usage_of
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.gemini.words import create_time, created_s, finish_of, finish_reason, shown_tier

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]

BLOCK_REASON = "SAFETY"
"""The reason shown when a prompt was refused; the provider's own words go with it."""


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """The first candidate. A prompt that was blocked is an answer too: a refusal."""
    try:
        return _read(answer_shapes.decode(body), body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    except RecursionError:
        return unread_answer(ValueError("it is nested too deeply"))


def _read(answer: answer_shapes.Answer, body: bytes) -> ChatAnswer | Fault:
    if shapes.given(answer.error):
        return classify_gemini_fault(0, {}, body, 0.0)
    candidate = answer_shapes.first_candidate(answer)
    refusal = answer_shapes.blocked(answer)
    if candidate is None and not refusal and answer.candidates is None and answer.usage_metadata is None:
        return unread_answer(ValueError("it has no candidates"))
    parts: list[Part] = []
    tokens: tuple[TokenLogprob, ...] = ()
    finish = finish_of(None, called_tools=False)
    if candidate is not None:
        parts = _cited(candidate, _parts(candidate, answer.response_id or ""))
        refusal = refusal or answer_shapes.filtered(candidate)
        tokens = answer_shapes.tokens_of(candidate.logprobs_result)
        finish = finish_of(candidate.finish_reason, any(isinstance(part, ToolCall) for part in parts))
    if refusal:
        parts.append(Refusal(refusal))
        finish = "content_filter"
    shape = answer.usage_metadata
    return ChatAnswer(
        answer.response_id or "",
        answer.model_version or "",
        tuple(parts),
        finish,
        usage_of(shape),
        None,
        created_s(answer.create_time),
        tokens,
        shape.service_tier if shape is not None else None,
    )


def _parts(candidate: answer_shapes.Candidate, response_id: str) -> list[Part]:
    """Thoughts in a row are one; so are a text and the signature that follows it alone."""
    parts: list[Part] = []
    calls = 0
    for raw in shapes.items(candidate.content.parts) if candidate.content is not None else ():
        part = shapes.decode_part(raw)
        if part.function_call is not None:
            parts.append(read_call(part, response_id, calls))
            calls += 1
        else:
            for made in read_other(part, raw):
                last = parts[-1] if parts else None
                if isinstance(made, Thinking) and isinstance(last, Thinking) and not (last.signature or last.redacted or made.redacted):
                    parts[-1] = Thinking(last.text + made.text, made.signature)
                else:
                    parts.append(made)
    return parts


def _cited(candidate: answer_shapes.Candidate, parts: list[Part]) -> list[Part]:
    """`parts` with the citations at their texts."""
    if candidate.grounding_metadata is None and candidate.citation_metadata is None:
        return parts
    at = [no for no, part in enumerate(parts) if isinstance(part, Text)]
    texts = [(no, part.text) for no, part in enumerate(parts) if isinstance(part, Text)]
    for place in places(candidate.grounding_metadata, candidate.citation_metadata, texts):
        if not at:
            at = [len(parts)]
            parts = [*parts, Text("")]
        text = parts[at[place.text_no]]
        assert isinstance(text, Text)
        parts[at[place.text_no]] = Text(text.text, citations=(*text.citations, place.citation), signature=text.signature)
    return parts


def encode_answer(answer: ChatAnswer, model: str, created: int) -> bytes:
    refusals = "".join(part.text for part in answer.parts if isinstance(part, Refusal))
    filtered = answer.finish in {"content_filter", "refusal"}
    body: Json = {}
    if refusals and filtered and not any(isinstance(part, Text | ToolCall) for part in answer.parts):
        body["promptFeedback"] = {"blockReason": BLOCK_REASON, "blockReasonMessage": refusals}
    else:
        body["candidates"] = [_candidate(answer, refusals, filtered)]
    if answer.usage is not None or answer.service_tier is not None:
        body["usageMetadata"] = shape_of(answer.usage, shown_tier(answer.service_tier))
    body["modelVersion"] = model
    if created:
        body["createTime"] = create_time(created)
    if answer.id:
        body["responseId"] = answer.id
    return _encode(body)


def _candidate(answer: ChatAnswer, refusals: str, filtered: bool) -> Json:
    """A refusal that came with a filter is the message of the finish; the words of a model that refused are its text."""
    written: list[Json | msgspec.Raw] = []
    texts = []
    for part in answer.parts:
        if filtered and isinstance(part, Refusal):
            continue
        if isinstance(part, Text):
            texts.append((len(written), part.text, part.citations))
        if (made := written_part(part)) is not None:
            written.append(made)
    content: Json = {"parts": written, "role": "model"} if written else {"role": "model"}
    candidate: Json = {"content": content, "finishReason": finish_reason(answer.finish, bool(refusals)), "index": 0}
    if refusals and filtered:
        candidate["finishMessage"] = refusals
    if (grounding := grounding_of(texts)) is not None:
        candidate["groundingMetadata"] = grounding
    if answer.logprobs:
        candidate |= answer_shapes.logprobs_result(answer.logprobs)
    return candidate
