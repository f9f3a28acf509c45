"""AWS's own client reads a Converse answer: JSON, and the binary frames of a stream."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}


class _Body:
    """What botocore reads a body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, amt: int = 1024, **_: Any) -> Iterator[bytes]:
        for at in range(0, len(self._body), amt):
            yield self._body[at : at + amt]

    def read(self, *_: Any) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        pass


class _Wire:
    """Stands where the network is: every request is answered with `body`."""

    def __init__(self) -> None:
        self.body = b""
        self.kind = "application/json"
        session = botocore.session.get_session()
        self.client = session.create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            aws_access_key_id="k",
            aws_secret_access_key="s",
        )
        self.client.meta.events.register("before-send.bedrock-runtime.*", self.answer)

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, {"content-type": self.kind}, _Body(self.body))


@cache
def wire() -> _Wire:
    return _Wire()


ASKED = [{"role": "user", "content": [{"text": "x"}]}]


def read(body: bytes) -> Said:
    network = wire()
    network.body, network.kind = body, "application/json"
    answer = network.client.converse(modelId="m", messages=ASKED)
    message = answer["output"]["message"]
    assert message["role"] == "assistant"
    assert set(answer) >= {"output", "stopReason", "usage", "metrics"}
    return _said(message["content"], answer["stopReason"], answer["usage"])


def read_stream(stream: bytes) -> Said:
    """botocore checks both checksums of every frame and parses its JSON; its users put the blocks together."""
    network = wire()
    network.body, network.kind = stream, "application/vnd.amazon.eventstream"
    blocks: dict[int, dict[str, Any]] = {}
    stop, usage, role, open_block = "", None, "", None
    for event in network.client.converse_stream(modelId="m", messages=ASKED)["stream"]:
        ((kind, said),) = event.items()
        assert bool(role) is (kind != "messageStart"), "messageStart comes first and once"
        if kind == "messageStart":
            role = said["role"]
        elif kind == "contentBlockStart":
            assert open_block is None
            open_block = said["contentBlockIndex"]
            assert open_block not in blocks
            blocks[open_block] = {"toolUse": {**said["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            assert not stop
            assert open_block in {None, said["contentBlockIndex"]}
            open_block = said["contentBlockIndex"]
            _grow(blocks.setdefault(open_block, {}), said["delta"])
        elif kind == "contentBlockStop":
            assert open_block == said["contentBlockIndex"]
            open_block = None
        elif kind == "messageStop":
            assert open_block is None
            stop = said["stopReason"]
        else:
            assert kind == "metadata"
            usage = said["usage"]
    assert role == "assistant"
    assert list(blocks) == list(range(len(blocks)))
    return _said(list(blocks.values()), stop, usage)


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    ((kind, piece),) = delta.items()
    if kind == "text":
        block["text"] = block.get("text", "") + piece
    elif kind == "toolUse":
        block["toolUse"]["input"] += piece["input"]
    elif kind == "reasoningContent":
        text = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        text["text"] += piece.get("text", "")
    else:
        assert kind == "citation"


def _said(blocks: list[dict[str, Any]], stop: str, usage: dict[str, int] | None) -> Said:
    gathered = Gathered()
    for block in blocks:
        if "text" in block:
            gathered.texts.append(block["text"])
        elif "citationsContent" in block:
            gathered.texts += [piece["text"] for piece in block["citationsContent"]["content"]]
        elif "toolUse" in block:
            call = block["toolUse"]
            gathered.calls.append((call["toolUseId"], call["name"], arguments_of(call["input"])))
        elif "reasoningContent" in block:
            gathered.thoughts.append(block["reasoningContent"].get("reasoningText", {}).get("text", ""))
    if usage is None:
        return gathered.said(STOPS[stop], None, None)
    prompt = usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    assert usage["totalTokens"] == prompt + usage["outputTokens"]
    return gathered.said(STOPS[stop], prompt, usage["outputTokens"])
