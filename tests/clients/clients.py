"""Which real clients are run, on which surface, and how a test talks to one: each is a process in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from setpoint.domain.plan import DialectName

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv-clients"
PYTHON = HOME / "bin" / "python"
NODE_HOME = HOME / "node"
INSTALL = "run `make test` or tools/clients/install.sh first"
REFUSED, NOT_FOUND, LIMITED, FAILED = 400, 404, 429, 502
"""Statuses the gateway answers with; a provider's own failure, a 500 of it, becomes the last."""
OPENAI_ERRORS = {REFUSED: "BadRequestError", NOT_FOUND: "NotFoundError", LIMITED: "RateLimitError", FAILED: "InternalServerError"}
"""The classes of the openai package, and of those that let them through."""


class Client(msgspec.Struct, frozen=True):
    """`program` is a module of tests/clients/drivers, `cannot` what it is not driven to, `errors` the classes it raises by status."""

    name: str
    program: str
    dialect: DialectName
    environ: dict[str, str] = {}
    cannot: tuple[str, ...] = ()
    errors: dict[int, str] = msgspec.field(default_factory=lambda: OPENAI_ERRORS)
    tls: bool = False

    @property
    def is_node(self) -> bool:
        return self.program.endswith(".mjs")

    @property
    def is_installed(self) -> bool:
        return (NODE_HOME if self.is_node else HOME).joinpath(".installed").exists()

    def command(self) -> list[str]:
        if self.is_node:
            return ["node", str(ROOT / "tests/clients/drivers" / self.program)]
        return [str(PYTHON), "-m", f"tests.clients.drivers.{self.program}"]


ON_RESPONSES = {"SETPOINT_RESPONSES": "1"}
_LANGCHAIN = {
    REFUSED: "OpenAIInvalidRequestError", NOT_FOUND: "OpenAIModelNotFoundError", LIMITED: "OpenAIRateLimitError", FAILED: "OpenAIAPIError",
}  # fmt: skip
_PYDANTIC = {
    REFUSED: "ModelRequestRejectedError", NOT_FOUND: "ModelNotFoundError", LIMITED: "ModelRateLimitError", FAILED: "ModelServerError",
}  # fmt: skip
_GOOGLE = {REFUSED: "ClientError", NOT_FOUND: "ClientError", LIMITED: "ClientError", FAILED: "ServerError"}
_AWS = {
    REFUSED: "ValidationException", NOT_FOUND: "ResourceNotFoundException",
    LIMITED: "ThrottlingException", FAILED: "ModelErrorException or InternalServerException",
}  # fmt: skip
_COHERE = {**OPENAI_ERRORS, LIMITED: "TooManyRequestsError", FAILED: "ApiError"}
_OLLAMA = dict.fromkeys(OPENAI_ERRORS, "ResponseError")


def _pair(name: str, program: str, cannot: tuple[str, ...] = ("embed",), errors: dict[int, str] = OPENAI_ERRORS) -> tuple[Client, Client]:
    """A client that can be told which of OpenAI's surfaces to use."""
    on_responses = Client(f"{name}-responses", program, "openai_responses", ON_RESPONSES, (*cannot, "embed"), errors)
    return Client(name, program, "openai_chat", {}, cannot, errors), on_responses


CLIENTS: tuple[Client, ...] = (
    Client("openai", "openai_chat", "openai_chat"),
    Client("openai-responses", "openai_responses", "openai_responses", cannot=("embed",)),
    *_pair("langchain", "langchain_openai_chat", (), _LANGCHAIN),
    *_pair("pydantic-ai", "pydantic_ai_chat", errors=_PYDANTIC),
    *_pair("openai-agents", "openai_agents", ("call", "embed")),
    *_pair("node", "openai_node.mjs", ()),
    Client("llm", "llm_models", "openai_chat", cannot=("embed",)),
    Client("anthropic", "anthropic_messages", "anthropic", cannot=("embed",)),
    Client("google-genai", "google_genai", "gemini", errors=_GOOGLE),
    Client("boto3", "boto3_converse", "bedrock_converse", cannot=("embed",), errors=_AWS, tls=True),
    Client("cohere", "cohere_chat", "cohere", errors=_COHERE),
    Client("ollama", "ollama_chat", "ollama", errors=_OLLAMA),
)


def driven_to(*deeds: str) -> list[Client]:
    """The clients that are driven to all of `deeds`."""
    return [client for client in CLIENTS if not set(deeds) & set(client.cannot)]


class ClientRaisedError(Exception):
    """What the client raised: the name of its class, the HTTP status and the code it knows of, its text."""

    def __init__(self, kind: str, status: int | None, message: str, code: str) -> None:
        super().__init__(f"{kind} {status}: {message}")
        self.kind, self.status, self.message, self.code = kind, status, message, code


class ClientProcess:
    """A driver and its client, running until `end`. `deeds` is what it is driven to."""

    def __init__(self, client: Client, url: str, key: str, models: list[str], folder: Path, ca_file: str = "") -> None:
        self.client = client
        self._log = (folder / f"{client.name}.log").open("wb")
        environ = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_API_BASE", "_proxy", "_PROXY"))}
        environ |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "SETPOINT_URL": url,
            "SETPOINT_KEY": key,
            "SETPOINT_NODE": str(NODE_HOME),
        }
        environ |= {
            "SETPOINT_MODELS": json.dumps(models),
            "LLM_USER_PATH": str(folder),
            "HOME": str(folder),
            "LANGSMITH_TRACING": "false",
            "SETPOINT_CA": ca_file,
        }
        self._process = subprocess.Popen(
            client.command(), cwd=folder, env=environ | client.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self.deeds: list[str] = self._read()
        assert not set(self.deeds) & set(client.cannot), f"{client.name} is driven to more than it is asked"

    def do(self, deed: str, **given: Any) -> Any:
        """What the client gave back. Raises ClientRaisedError when it raised."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": deed, "with": given}).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> None:
        self._process.communicate(timeout=20)
        self._log.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.client.name} ended: {Path(self._log.name).read_text()[-4000:]}"
        said = json.loads(line)
        if raised := said.get("raised"):
            raise ClientRaisedError(**raised)
        return said["gave"]
