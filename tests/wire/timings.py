"""What the hot pieces of the wire cost, in microseconds: python tests/wire/timings.py

Not a test: figures hang on the machine. Read them beside each other.
"""

import json
import timeit
from collections.abc import Callable

from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, StreamTap
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_chat.stream_usage import ask_for_stream_usage
from setpoint.wire.splice import replace_model

TEXT = "hello there " * 25
CHUNK = {
    "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
    "object": "chat.completion.chunk",
    "created": 1767225600,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_51db84afab",
    "choices": [{"index": 0, "delta": {"content": " word7"}, "logprobs": None, "finish_reason": None}],
    "usage": None,
}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word7"}}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


OPENAI_EVENT = b"data: " + compact(CHUNK) + b"\n\n"
ANTHROPIC_EVENT = b"event: content_block_delta\ndata: " + compact(DELTA) + b"\n\n"
OPENAI_REQUEST = compact(
    {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}], "max_tokens": 256}
)
ANTHROPIC_REQUEST = compact({"model": "claude", "max_tokens": 256, "system": "Be brief.", "messages": [{"role": "user", "content": TEXT}]})
USAGE = {"prompt_tokens": 57, "completion_tokens": 17, "total_tokens": 74, "prompt_tokens_details": {"cached_tokens": 0}}
OPENAI_ANSWER = compact(
    {
        **CHUNK,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": None}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


def microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=5_000, repeat=5)) / 5_000 * 1e6


def show(name: str, work: Callable[[], object]) -> None:
    print(f"{microseconds(work):8.2f}  {name}")


def time_tap(name: str, tap: StreamTap, event: bytes) -> None:
    tap.feed(event)
    for n in (1, 20):
        data = event * n
        show(f"tap, {name}, {n} events ({len(data)} B)", lambda data=data: tap.feed(data))  # type: ignore[misc]


def time_translation(client: Dialect, upstream: Dialect, request: bytes, answer: bytes, event: bytes) -> None:
    def both_ways() -> None:
        asked = client.decode_request(request)
        assert isinstance(asked, ChatRequest)
        upstream.encode_request(asked, "m", False)
        told = upstream.decode_answer(answer)
        assert isinstance(told, ChatAnswer)
        client.encode_answer(told, "m", 1)

    show(f"{client.name} client, {upstream.name} upstream: request {len(request)} B and answer {len(answer)} B", both_ways)
    decoder, renderer = upstream.stream_decoder(), client.stream_renderer("m", 1, True)
    show("  one streamed event", lambda: [renderer.render(told) for told in decoder.feed(event)])


if __name__ == "__main__":
    told = OPENAI_CHAT.decode_answer(OPENAI_ANSWER)
    assert isinstance(told, ChatAnswer)
    anthropic_answer = ANTHROPIC.encode_answer(told, "claude", 1)
    time_tap("OpenAI", OPENAI_CHAT.tap(), OPENAI_EVENT)
    time_tap("OpenAI hiding usage", OPENAI_CHAT.tap(hide_usage=True), OPENAI_EVENT)
    time_tap("Anthropic", ANTHROPIC.tap(), ANTHROPIC_EVENT)
    show(f"read_usage, OpenAI ({len(OPENAI_ANSWER)} B)", lambda: OPENAI_CHAT.read_usage(OPENAI_ANSWER))
    show(f"read_usage, Anthropic ({len(anthropic_answer)} B)", lambda: ANTHROPIC.read_usage(anthropic_answer))
    show("replace_model", lambda: replace_model(OPENAI_REQUEST, "gpt-4o-mini", "gpt-4o"))
    show("ask_for_stream_usage", lambda: ask_for_stream_usage(OPENAI_REQUEST))
    time_translation(ANTHROPIC, OPENAI_CHAT, ANTHROPIC_REQUEST, OPENAI_ANSWER, OPENAI_EVENT)
    time_translation(OPENAI_CHAT, ANTHROPIC, OPENAI_REQUEST, anthropic_answer, ANTHROPIC_EVENT)
