"""LangChain's own suite for chat models, on ChatOpenAI through a gateway. Run by run_langchain_tests.py in the environment of the clients.

What the suite fetches from the Internet (a picture, a document, a sound) is replaced by small files of the same kinds.
"""

import json
import os
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage  # type: ignore[import-not-found]
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]
from langchain_tests.integration_tests import ChatModelIntegrationTests  # type: ignore[import-not-found]

SETTING: dict[str, Any] = json.loads(os.environ["SETPOINT_SUITE"])
"""url, key, model, other_model, responses, and what the model behind the gateway is able to do."""
_PNG = (
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da6368000000820081dd436af40000000049454e44ae426082"
)
_SOUND_HEAD = "524946462c00000057415645666d7420100000000100010040 1f0000803e0000020010006461746108000000"
FILES = {
    ".png": bytes.fromhex(_PNG),
    ".pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n",
    ".wav": bytes.fromhex(_SOUND_HEAD) + bytes(8),
}


@pytest.fixture(autouse=True)
def files_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=FILES[url[url.rindex(".") :]])

    monkeypatch.setattr(httpx, "get", get)


class TestThroughTheGateway(ChatModelIntegrationTests):  # type: ignore[misc]
    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        given = {"base_url": SETTING["url"] + "/v1", "api_key": SETTING["key"], "max_retries": 0, "timeout": SETTING["timeout_s"]}
        limit = {"max_tokens": SETTING["max_tokens"]} if SETTING["max_tokens"] else {}
        return {"model": SETTING["model"], "use_responses_api": SETTING["responses"], "stream_usage": True, **given, **limit}

    @property
    def model_override_value(self) -> str | None:
        other: str | None = SETTING["other_model"]
        return other

    @property
    def has_tool_calling(self) -> bool:
        return "tools" in SETTING["able"]

    @property
    def has_tool_choice(self) -> bool:
        return "tools" in SETTING["able"]

    @property
    def has_structured_output(self) -> bool:
        return "forms" in SETTING["able"]

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}

    @property
    def supports_json_mode(self) -> bool:
        return "forms" in SETTING["able"]

    @property
    def supports_image_inputs(self) -> bool:
        return "images" in SETTING["able"]

    @property
    def supports_image_urls(self) -> bool:
        return "images" in SETTING["able"]

    @property
    def supports_image_tool_message(self) -> bool:
        return "images" in SETTING["able"]

    @property
    def supports_pdf_inputs(self) -> bool:
        return "documents" in SETTING["able"]

    @property
    def supports_pdf_tool_message(self) -> bool:
        """Chat Completions has no documents in what tools say."""
        return "documents" in SETTING["able"] and bool(SETTING["responses"])

    @property
    def supports_audio_inputs(self) -> bool:
        return "audio" in SETTING["able"]

    @property
    def supports_anthropic_inputs(self) -> bool:
        return "tools" in SETTING["able"]

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        details = ["cache_read_input", "reasoning_output"] if "details" in SETTING["able"] else []
        return {"invoke": details, "stream": details}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._asked(stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._asked(stream=stream)

    def _asked(self, *, stream: bool) -> AIMessage:
        model = ChatOpenAI(**self.chat_model_params)
        if not stream:
            return model.invoke("hello")
        first, *rest = model.stream("hello")
        for chunk in rest:
            first += chunk
        return first
