"""The usage that answers of no dialect state: images, audio, rerank.

    images, videos     {"usage": {"input_tokens", "output_tokens", "input_tokens_details": {"image_tokens", "text_tokens"}}}
    transcriptions     {"usage": {"type": "tokens", "input_tokens", "input_token_details": {"audio_tokens"}, "output_tokens"}}
    rerank             {"usage": {"total_tokens"}}

Sources: https://platform.openai.com/docs/api-reference (images, audio), https://docs.voyageai.com/reference/reranker-api. Answers that are
billed by the second, the picture or the search state no tokens; their usage is unknown.
"""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.sse import SseEvent
from setpoint.wire.tap import Tap


class _Details(msgspec.Struct, gc=False):
    image_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode
NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage and model; empty facts where the answer states none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOTHING
    return AnswerFacts(None if answer.usage is None else _usage_of(answer.usage), answer.model or "", "")


def _usage_of(stated: _Usage) -> Usage | None:
    if stated.input_tokens is None and stated.total_tokens is None:
        return None
    details = stated.input_tokens_details or stated.input_token_details or _Details()
    image, audio = details.image_tokens or 0, details.audio_tokens or 0
    prompt = stated.input_tokens if stated.input_tokens is not None else stated.total_tokens or 0
    return Usage(input=max(0, prompt - image - audio), output=stated.output_tokens or 0, image_input=image, audio_input=audio)


class MeterTap(Tap):
    """Watches a stream of events of any kind for the usage one of them states."""

    __slots__ = ()

    def _plain(self, region: bytes, _lines: int) -> bool:
        self.content_started = True
        return b'"usage"' not in region

    def _event(self, event: SseEvent) -> None:
        facts = read_usage(event.data)
        self.usage = facts.usage or self.usage


class BlindTap:
    """Passes bytes of any kind on."""

    __slots__ = ("content_started", "events")

    usage: Usage | None = None
    model = ""
    finish = ""
    done = False
    error = None

    def __init__(self) -> None:
        self.events = 0
        self.content_started = False

    def feed(self, data: bytes) -> bytes:
        self.content_started = True
        return data

    def flush(self) -> bytes:
        return b""
