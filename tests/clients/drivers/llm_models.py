"""llm with its extra-openai-models.yaml, as its documentation tells users of other servers."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import llm  # type: ignore[import-not-found]
import openai
import yaml
from tests.clients.drivers.driving import DEGREES, FORM_SCHEMA, KEY, URL, serve

# llm has no setting for it, and each try more costs a second.
assert openai.OpenAI.__init__.__kwdefaults__
openai.OpenAI.__init__.__kwdefaults__["max_retries"] = 0
MODELS = json.loads(os.environ.get("SETPOINT_MODELS", "[]"))
ABLE = {"vision": True, "supports_tools": True, "supports_schema": True}
EXTRA = [{"model_id": f"gateway-{name}", "model_name": name, "api_base": f"{URL}/v1", "api_key_name": "gateway", **ABLE} for name in MODELS]
(Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml").write_text(yaml.safe_dump(EXTRA))
(Path(os.environ["LLM_USER_PATH"]) / "keys.json").write_text(json.dumps({"gateway": KEY}))


def _model(model: str) -> Any:
    return llm.get_model(f"gateway-{model}")


def _used(response: Any) -> dict[str, int]:
    usage = response.usage()
    return {"input": usage.input, "output": usage.output}


def chat(model: str, prompt: str, limit: int) -> Any:
    response = _model(model).prompt(prompt, stream=False, max_tokens=limit)
    return {"text": response.text(), **_used(response)}


def stream(model: str, prompt: str, limit: int) -> Any:
    response = _model(model).prompt(prompt, stream=True, max_tokens=limit)
    return {"pieces": [piece for piece in response if piece], **_used(response)}


def loop(model: str, prompt: str) -> Any:
    ran = []

    def get_weather(city: str) -> str:
        """The weather."""
        ran.append(city)
        return DEGREES[city]

    return {"text": _model(model).chain(prompt, tools=[get_weather], stream=False).text(), "ran": sorted(ran)}


def call(model: str, prompt: str, stream: bool) -> Any:
    def get_weather(city: str) -> str:
        """The weather."""
        return DEGREES[city]

    response = _model(model).prompt(prompt, tools=[get_weather], stream=stream)
    text = response.text()
    return {"calls": [[made.tool_call_id, made.name, made.arguments] for made in response.tool_calls()], "text": text}


def structure(model: str, prompt: str) -> Any:
    return json.loads(_model(model).prompt(prompt, schema=FORM_SCHEMA, stream=False).text())


def look(model: str, prompt: str, image: str) -> Any:
    attachment = llm.Attachment(content=base64.b64decode(image), type="image/png")
    return {"text": _model(model).prompt(prompt, attachments=[attachment], stream=False).text()}


serve(chat, stream, call, loop, structure, look)
