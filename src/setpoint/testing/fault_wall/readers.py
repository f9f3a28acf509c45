"""What an answer says, read as the vendor's own client reads it: one reader a surface, for whole answers and for streams.

An event that is no JSON makes a vendor's client raise an error; one of a type it does not know is passed over.
"""

from collections.abc import Callable, Iterator

import msgspec

from setpoint.testing.fault_wall import openai_readers, other_readers
from setpoint.testing.fault_wall.framings import Said, Unreadable, frames, json_lines, sse_events
from setpoint.testing.fault_wall.reading import DONE, Document, Reading, document_of
from setpoint.testing.fault_wall.surfaces import SurfaceName


class Reader(msgspec.Struct, frozen=True):
    """`whole` reads a unary document, `step` one event of a stream, `refusal` says whether a document is an error answer of the surface."""

    whole: Callable[[Document, Reading], None]
    step: Callable[[Said, Reading], None]
    refusal: Callable[[Document, dict[str, str], int], bool]
    content_type: str = "text/event-stream"
    events: Callable[[bytes], Iterator[Said]] = sse_events


def read_stream(surface: SurfaceName, body: bytes) -> Reading:
    """All of it. Behind its end, or an error, only `[DONE]` may follow, which nobody reads there. Raises Unreadable."""
    reader, reading = READERS[surface], Reading()
    for said in reader.events(body):
        if not (reading.terminal or reading.error):
            _walk(reader.step, said, reading)
        elif said.data != DONE:
            reading.protest = "something follows the end"
        if reading.protest:
            break
    return reading


def read_whole(surface: SurfaceName, body: bytes) -> Reading:
    """A unary answer. Raises Unreadable."""
    reading = Reading()
    _walk(lambda said, r: READERS[surface].whole(document_of(said.data), r), Said("", body), reading)
    return reading


def is_refusal(surface: SurfaceName, status: int, headers: dict[str, str], body: bytes) -> bool:
    """Whether it is an error answer in the shape of the surface, with a message for people."""
    try:
        return bool(READERS[surface].refusal(document_of(body), headers, status))
    except (Unreadable, KeyError, TypeError, AttributeError):
        return False


def _walk(step: Callable[[Said, Reading], None], said: Said, reading: Reading) -> None:
    try:
        step(said, reading)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        reading.protest = f"a member is missing or of another type: {error!r} in {said.data[:200]!r}"


def _no_step(_: Said, reading: Reading) -> None:
    reading.protest = "this surface has no streams"


READERS: dict[SurfaceName, Reader] = {
    "chat": Reader(openai_readers.chat, openai_readers.chat_step, openai_readers.openai_refusal),
    "responses": Reader(openai_readers.response, openai_readers.response_step, openai_readers.openai_refusal),
    "messages": Reader(other_readers.message, other_readers.message_step, other_readers.anthropic_refusal),
    "gemini": Reader(other_readers.gemini, other_readers.gemini_step, other_readers.gemini_refusal),
    "completions": Reader(openai_readers.completion, openai_readers.completion_step, openai_readers.openai_refusal),
    "converse": Reader(
        other_readers.converse, other_readers.converse_step, other_readers.bedrock_refusal, "application/vnd.amazon.eventstream", frames
    ),
    "cohere": Reader(other_readers.cohere, other_readers.cohere_step, other_readers.message_refusal),
    "ollama": Reader(other_readers.ollama, other_readers.ollama_step, other_readers.ollama_refusal, "application/x-ndjson", json_lines),
    "embeddings": Reader(openai_readers.embeddings, _no_step, openai_readers.openai_refusal),
}
NO_END_OF_THEIR_OWN: frozenset[SurfaceName] = frozenset({"gemini"})
"""Surfaces whose last event is the one with the finish."""
