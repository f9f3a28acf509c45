"""Run LangChain's suite for chat models (langchain-tests, ChatModelIntegrationTests) through a gateway, and state the result.

    python tools/clients/run_langchain_tests.py [CASE ...]
    SETPOINT_KEY=... python tools/clients/run_langchain_tests.py --url http://127.0.0.1:4000 --model local/smollm2 --able=

Each case is a surface of the gateway and what is behind it: a fake provider that answers sensibly, of one dialect or another. With --url it
is a gateway that runs already, with a model it serves and what that model is able to do. Run `make test` or tools/clients/install.sh first.
Ends with status 1 when a test failed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from setpoint.domain.plan import DialectName
from setpoint.testing.asked import Asked
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import running_gateway
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.replies import Reply
from setpoint.testing.sensible import sensible

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / ".venv-clients/bin/python"
DEADLINE_S = 1800.0
RUNNING_TIMEOUT_S = 120.0
"""Of one request to a gateway that runs already, which may have a slow model behind it."""
ALL = ("tools", "forms", "images", "documents", "audio", "details")

_OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (.+)$", re.MULTILINE)


class Case(NamedTuple):
    """`behind` is the dialect of the fake provider, `models` are two of its, and `able` is what it can be asked for."""

    responses: bool
    behind: DialectName
    models: tuple[str, str]
    base_path: str = "/v1"
    able: tuple[str, ...] = ALL


_GPT, _CLAUDE = ("gpt-4.1", "gpt-4.1-mini"), ("claude-sonnet-4-5", "claude-haiku-4-5")
_NO_SOUND = ("tools", "forms", "images", "documents", "details")
CASES: dict[str, Case] = {
    "chat-to-openai": Case(False, "openai_chat", _GPT),
    "chat-to-anthropic": Case(False, "anthropic", _CLAUDE, able=_NO_SOUND),
    "responses-to-openai": Case(True, "openai_responses", _GPT),
    "responses-to-chat": Case(True, "openai_chat", _GPT),
    "responses-to-anthropic": Case(True, "anthropic", _CLAUDE, able=_NO_SOUND),
}


class Result(NamedTuple):
    """Counts of tests; `failures` are their names with the first line of what went wrong, `skips` the reasons."""

    passed: int
    failed: int
    skipped: int
    failures: tuple[str, ...]
    skips: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_case(case: Case) -> Result:
    """The suite through a gateway of its own to a fake provider that answers sensibly."""
    with FakeUpstream() as up:
        up.says(counted(sensible))
        upstream = fake(up, "one", case.behind, base_path=case.base_path)
        with running_gateway(plan((upstream,), tuple(route(model, "one") for model in case.models))) as gateway:
            return run_suite(gateway.url, gateway.key, case.models, responses=case.responses, able=case.able)


def counted(answers: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    """The same answers, with cached tokens and tokens of thinking among theirs."""
    return lambda asked: msgspec.structs.replace(answers(asked), input_tokens=9, cached_tokens=2, output_tokens=8, thinking_tokens=3)


def run_suite(
    url: str,
    key: str,
    models: tuple[str, str | None],
    *,
    responses: bool,
    able: tuple[str, ...],
    max_tokens: int = 0,
    timeout_s: float = 20,
) -> Result:
    """The suite against the gateway at `url`. The second model is for the tests that change it. Raises subprocess.TimeoutExpired."""
    setting: dict[str, Any] = {"url": url, "key": key, "model": models[0], "other_model": models[1], "responses": responses}
    setting |= {"able": able, "max_tokens": max_tokens, "timeout_s": timeout_s}
    command = [str(PYTHON), "-m", "pytest", "-c", str(HERE / "suite.ini"), "-p", "no:cacheprovider", "-q", "-rA", "--tb=short"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_", "PYTEST"))}
    environ |= {"SETPOINT_SUITE": json.dumps(setting), "LANGSMITH_TRACING": "false", "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="setpoint-suite-") as folder:
        ended = subprocess.run(
            [*command, str(HERE / "langchain_suite.py")],
            cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip
    return read_result(ended.stdout + ended.stderr)


def read_result(output: str) -> Result:
    """From what pytest prints with -rA. A line of skipped tests begins with their number in brackets."""
    told: dict[str, list[str]] = {}
    for outcome, text in _OUTCOME.findall(output):
        told.setdefault(outcome, []).append(text.partition("::")[2] or text)
    skips = told.get("SKIPPED", [])
    skipped = sum(int(found[1]) if (found := re.match(r"\[(\d+)\]", text)) else 1 for text in skips) + len(told.get("XFAIL", []))
    failures = told.get("FAILED", []) + told.get("ERROR", []) + told.get("XPASS", [])
    return Result(len(told.get("PASSED", [])), len(failures), skipped, tuple(failures), tuple(skips), output)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="LangChain's suite for chat models through a gateway")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--url", help="a running gateway; its key is read from SETPOINT_KEY")
    parser.add_argument("--model", help="a model it serves")
    parser.add_argument("--responses", action="store_true", help="use the Responses surface")
    parser.add_argument("--able", default=",".join(ALL), help="what the model is able to do (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=64, help="of an answer (default: %(default)s)")
    return parser.parse_args()


def results(given: argparse.Namespace) -> Iterator[tuple[str, Result]]:
    if given.url:
        key, able = os.environ.get("SETPOINT_KEY", ""), tuple(given.able.split(","))
        models = (given.model, None)
        limits = {"max_tokens": given.max_tokens, "timeout_s": RUNNING_TIMEOUT_S}
        yield given.model, run_suite(given.url, key, models, responses=given.responses, able=able, **limits)
    else:
        for name in given.cases or CASES:
            yield name, run_case(CASES[name])


def main() -> int:
    given = arguments()
    if not PYTHON.exists():
        print("the clients are not installed: run tools/clients/install.sh .venv/bin/python .venv-clients", file=sys.stderr)
        return 2
    failed = False
    for name, result in results(given):
        print(
            f"{name}: {result}",
            *(f"  failed: {text}" for text in result.failures),
            *(f"  skipped: {text}" for text in result.skips),
            sep="\n",
        )
        failed |= result.failed > 0 or not result.passed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
