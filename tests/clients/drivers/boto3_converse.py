"""boto3's bedrock-runtime client on Converse, with a gateway key as the Bedrock API key it sends as a bearer token, on TLS
only."""

import base64
import json
import os
from typing import Any

from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, FORM_SCHEMA, KEY, URL, serve

os.environ["AWS_BEARER_TOKEN_BEDROCK"] = KEY

import boto3  # type: ignore[import-not-found]
from botocore.config import Config

CONFIG = Config(retries={"total_max_attempts": 1}, read_timeout=DEADLINE_S)
CA = os.environ["SETPOINT_CA"]
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, config=CONFIG, verify=CA)
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "description": "the weather", "inputSchema": {"json": CITY_SCHEMA}}}]}


def _says(*content: Any) -> Any:
    return [{"role": "user", "content": list(content)}]


def _text(content: Any) -> str:
    return "".join(block.get("text", "") for block in content)


def _content(answer: Any) -> Any:
    return answer["output"]["message"]["content"]


def _used(usage: Any) -> dict[str, int]:
    return {"input": usage["inputTokens"], "output": usage["outputTokens"]}


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.converse(modelId=model, messages=_says({"text": prompt}), inferenceConfig={"maxTokens": limit})
    return {"text": _text(_content(answer)), **_used(answer["usage"])}


def stream(model: str, prompt: str, limit: int) -> Any:
    asked = {"modelId": model, "messages": _says({"text": prompt}), "inferenceConfig": {"maxTokens": limit}}
    events = list(client.converse_stream(**asked)["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    usage = next(event["metadata"]["usage"] for event in events if "metadata" in event)
    return {"pieces": [delta["text"] for delta in deltas if "text" in delta], **_used(usage)}


def _turn(model: str, messages: Any, *, stream: bool) -> Any:
    if not stream:
        return _content(client.converse(modelId=model, messages=messages, toolConfig=TOOLS))
    blocks: dict[int, Any] = {}
    for event in client.converse_stream(modelId=model, messages=messages, toolConfig=TOOLS)["stream"]:
        if started := event.get("contentBlockStart"):
            blocks[started["contentBlockIndex"]] = {"toolUse": {**started["start"]["toolUse"], "input": ""}}
        if said := event.get("contentBlockDelta"):
            block = blocks.setdefault(said["contentBlockIndex"], {"text": ""})
            if "text" in said["delta"]:
                block["text"] += said["delta"]["text"]
            else:
                block["toolUse"]["input"] += said["delta"]["toolUse"]["input"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[index] for index in sorted(blocks)]


def _calls(content: Any) -> list[Any]:
    made = [block["toolUse"] for block in content if "toolUse" in block]
    return [[use["toolUseId"], use["name"], use["input"]] for use in made]


def call(model: str, prompt: str, stream: bool) -> Any:
    content = _turn(model, _says({"text": prompt}), stream=stream)
    return {"calls": _calls(content), "text": _text(content)}


def loop(model: str, prompt: str) -> Any:
    messages, ran = _says({"text": prompt}), []
    while calls := _calls(content := _turn(model, messages, stream=False)):
        ran += [arguments["city"] for _, _, arguments in calls]
        results = [{"toolResult": {"toolUseId": i, "content": [{"text": DEGREES[arguments["city"]]}]}} for i, _, arguments in calls]
        messages += [{"role": "assistant", "content": content}, *_says(*results)]
    return {"text": _text(content), "ran": ran}


def structure(model: str, prompt: str) -> Any:
    form = {"schema": json.dumps(FORM_SCHEMA), "name": "city"}
    config = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": form}}}
    answer = client.converse(modelId=model, messages=_says({"text": prompt}), outputConfig=config)
    return json.loads(_text(_content(answer)))


def look(model: str, prompt: str, image: str) -> Any:
    picture = {"image": {"format": "png", "source": {"bytes": base64.b64decode(image)}}}
    return {"text": _text(_content(client.converse(modelId=model, messages=_says({"text": prompt}, picture))))}


serve(chat, stream, call, loop, structure, look)
