"""The members of an answer that this program reads, the same for a whole answer and for a chunk of a stream
(https://ai.google.dev/api/generate-content#generatecontentresponse)."""

import msgspec

from setpoint.domain.chat import TokenLogprob
from setpoint.wire.gemini.citations import CitationMetadata, Grounding
from setpoint.wire.gemini.facts import UsageShape
from setpoint.wire.gemini.shapes import NO_RAW, Content
from setpoint.wire.gemini.words import finish_of, reason_name


class _Token(msgspec.Struct, gc=False, rename="camel"):
    token: str | None = None
    log_probability: float | None = None


class _Top(msgspec.Struct, gc=False):
    candidates: list[_Token] | None = None


class Logprobs(msgspec.Struct, gc=False, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Top | None] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    index: int | None = None
    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    grounding_metadata: Grounding | None = None
    citation_metadata: CitationMetadata | None = None
    logprobs_result: Logprobs | None = None


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | int | None = None
    block_reason_message: str | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[Candidate | None] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageShape | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: msgspec.Raw = NO_RAW


decode = msgspec.json.Decoder(Answer).decode


def first_candidate(answer: Answer) -> Candidate | None:
    """The first answer; others are not translated. Each chunk of a stream may hold any of them."""
    for candidate in answer.candidates or ():
        if candidate is not None and not candidate.index:
            return candidate
    return None


def blocked(answer: Answer) -> str:
    """Why the prompt was refused, in words; empty when it was not."""
    feedback = answer.prompt_feedback
    if feedback is None or not feedback.block_reason:
        return ""
    return feedback.block_reason_message or f"The prompt was blocked: {feedback.block_reason}."


def filtered(candidate: Candidate) -> str:
    """What Google says of an answer that its filter stopped; empty when it did not."""
    stopped = finish_of(candidate.finish_reason, called_tools=False) == "content_filter"
    return candidate.finish_message or "" if stopped and reason_name(candidate.finish_reason) else ""


def tokens_of(result: Logprobs | None) -> tuple[TokenLogprob, ...]:
    if result is None:
        return ()
    tops = result.top_candidates or []
    return tuple(
        TokenLogprob(chosen.token or "", chosen.log_probability or 0.0, top=_top(tops[no] if no < len(tops) else None))
        for no, chosen in enumerate(result.chosen_candidates or ())
    )


def _top(top: _Top | None) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token.token or "", token.log_probability or 0.0) for token in (top and top.candidates) or ())


def logprobs_result(tokens: tuple[TokenLogprob, ...]) -> dict[str, object]:
    """The members of a candidate that tell the probabilities of its tokens."""
    result: dict[str, object] = {"chosenCandidates": [_token(token) for token in tokens]}
    if any(token.top for token in tokens):
        result["topCandidates"] = [{"candidates": [_token(other) for other in token.top]} for token in tokens]
    average = sum(token.logprob for token in tokens) / len(tokens)
    return {"avgLogprobs": average, "logprobsResult": result}


def _token(token: TokenLogprob) -> dict[str, object]:
    return {"token": token.token, "logProbability": token.logprob}
