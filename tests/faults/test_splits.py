"""However an upstream's bytes are cut and framed, the client hears the same, in its own dialect, and the same usage is recorded."""

from collections.abc import Iterator
from typing import get_args

import pytest

from setpoint.testing.answers import Framing
from setpoint.testing.conversation import CHAT_PATH, MESSAGES_PATH, chat, messages
from setpoint.testing.hearing import heard_text, is_terminated
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.splits import SplitMode
from setpoint.testing.stage import Stage, stage

SAID = text("good ", "day, Zoë ", "🙂\n\ndata: [DONE]\n\n", input_tokens=11, output_tokens=4)


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with stage() as started:
        yield started


@pytest.mark.parametrize("mode", get_args(SplitMode))
@pytest.mark.parametrize("framing", get_args(Framing))
@pytest.mark.parametrize("surface", [CHAT_PATH, MESSAGES_PATH], ids=["chat", "messages"])
@pytest.mark.parametrize("model", ["fake-1", "claude-1"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_the_client_hears_the_same(running: Stage, mode: SplitMode, framing: Framing, surface: str, model: str, stream: bool) -> None:
    running.reset()
    up = running.anthropic if model == "claude-1" else running.openai
    up.says(SAID)
    up.writes(mode, 3, framing)
    ask = (chat if surface == CHAT_PATH else messages)("hi", model=model, stream=stream)
    with RawClient(running.gateway.port) as client:
        answer = client.send(request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {running.gateway.key}")).receive()
    assert (answer.status, answer.complete) == (200, True)
    assert heard_text(answer) == SAID.text
    assert is_terminated(answer.body) or not stream
    request_id = bytes.fromhex(answer.headers["x-setpoint-request-id"])
    head = next(r.head for r in running.gateway.ends() if r.head.request_id == request_id)
    assert (head.outcome, head.input, head.output) == (0, 11, 4)
