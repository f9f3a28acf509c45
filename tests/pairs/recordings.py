"""The recorded chat traffic: one object an exchange, under the name of the dialect it speaks.

The recordings lie beside the repository, not in it. SETPOINT_SHARED names the folder; without it these tests skip and say so.
"""

import base64
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).parents[3] / "shared"))
CORPUS = SHARED / "corpus"
RECORDED = 2_968
SKIPPED = f"no recorded traffic at SETPOINT_SHARED: {RECORDED} exchanges not tried"

DIALECT_OF = {
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "openai.completions": "openai_completions",
    "anthropic.messages": "anthropic",
    "gemini.generateContent": "gemini",
    "gemini.streamGenerateContent": "gemini",
    "bedrock.converse": "bedrock_converse",
    "bedrock.converse-stream": "bedrock_converse",
    "cohere.chat.v2": "cohere",
    "ollama.chat": "ollama",
}
"""Which dialect a recorded surface speaks; surfaces that are no chat, or older than the dialects, are left out."""


@dataclass(frozen=True)
class Recorded:
    """`body` is the answer as it was on the wire. `streaming` says whether it came in events, or in an array of them."""

    id: str
    provider: str
    dialect: str
    streaming: bool
    status: int
    body: bytes
    request: bytes | None


@cache
def recordings() -> tuple[Recorded, ...]:
    return tuple(_load()) if CORPUS.is_dir() else ()


def _load() -> Iterator[Recorded]:
    for path in sorted(CORPUS.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                exchange = json.loads(line)
                dialect = DIALECT_OF.get(exchange["surface"])
                if dialect is None:
                    continue
                text, asked = exchange["response_body"], exchange["request_json"]
                yield Recorded(
                    exchange["id"],
                    exchange["provider"],
                    dialect,
                    bool(exchange["streaming"]) or exchange["surface"] == "gemini.streamGenerateContent",
                    exchange["status"],
                    base64.b64decode(text) if exchange["body_encoding"] == "base64" else text.encode(),
                    json.dumps(asked, ensure_ascii=False).encode() if asked else None,
                )


def answers(dialect: str, streaming: bool) -> list[Recorded]:
    return [one for one in recordings() if one.dialect == dialect and one.status == 200 and one.streaming is streaming]


def requests(dialect: str) -> list[Recorded]:
    """Those the provider took, each body once."""
    seen: dict[bytes, Recorded] = {}
    for one in recordings():
        if one.dialect == dialect and one.status == 200 and one.request is not None:
            seen.setdefault(one.request, one)
    return list(seen.values())
