"""An answer to a Responses client says again with what it was asked."""

import json

import pytest
from openai.types.responses import Response

from setpoint.domain.chat import ChatAnswer, Text
from setpoint.domain.stream import Finished, Started, TextDelta
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.repeated import repeated

ASKED = {
    "model": "m",
    "input": "hi",
    "instructions": "be brief",
    "temperature": 0.5,
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"verbosity": "low"},
    "reasoning": {"effort": "low"},
    "metadata": {"a": "b"},
    "user": None,
}
SAID = {
    "instructions": "be brief",
    "temperature": 0.5,
    "tools": ASKED["tools"],
    "tool_choice": ASKED["tool_choice"],
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": None},
    "metadata": {"a": "b"},
    "user": None,
    "parallel_tool_calls": True,
    "store": False,
}


def test_a_unary_answer_repeats_the_request() -> None:
    body = OPENAI_RESPONSES.encode_answer(ChatAnswer("r", "m", (Text("a"),), "stop"), "m", 1, json.dumps(ASKED).encode())
    made = json.loads(body)
    assert {name: made[name] for name in SAID} == SAID
    assert Response.model_validate_json(body).text is not None


def test_every_response_of_a_stream_repeats_the_request() -> None:
    renderer = OPENAI_RESPONSES.stream_renderer("m", 1, True, json.dumps(ASKED).encode())
    out = b"".join(renderer.render(event) for event in (Started("r"), TextDelta("a"), Finished("stop"))) + renderer.finish()
    responses = [json.loads(line[6:])["response"] for line in out.split(b"\n") if line.startswith(b"data: ") and b'"response":' in line]
    assert len(responses) == 3
    for response in responses:
        assert {name: response[name] for name in SAID} == SAID


@pytest.mark.parametrize("asked", [b"", b"[]", b"{", b'{"text":5}', b"\xff", b"[" * 10_000])
def test_a_request_that_cannot_be_read_is_not_repeated(asked: bytes) -> None:
    assert repeated(asked) == {}
