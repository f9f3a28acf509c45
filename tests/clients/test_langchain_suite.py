"""LangChain's own suite for chat models passes through the gateway, and no fewer of its tests than were seen to."""

import pytest
from tests.clients.clients import CLIENTS
from tests.clients.conftest import needs_installed
from tools.clients.run_langchain_tests import CASES, read_result, run_case

PASSED_MIN = {
    "chat-to-openai": 48,
    "chat-to-anthropic": 47,
    "responses-to-openai": 49,
    "responses-to-chat": 49,
    "responses-to-anthropic": 48,
}
"""A ratchet: it may only go up."""


@pytest.mark.parametrize("name", CASES)
def test_the_suite_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    needs_installed(next(client for client in CLIENTS if client.name == "langchain"))
    result = run_case(CASES[name])
    with capsys.disabled():
        print(f"\nlangchain-tests {name}: {result}")
    assert not result.failed, "\n".join([*result.failures, result.output[-8000:]])
    assert result.passed >= PASSED_MIN[name]


def test_a_failure_and_an_error_count_as_failed() -> None:
    output = (
        "PASSED a.py::T::one\nSKIPPED [2] a.py:7: why\nFAILED a.py::T::two - AssertionError\nERROR a.py::T::three\nXFAIL a.py::T::four\n"
    )
    result = read_result(output)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 3)
    assert result.failures == ("T::two - AssertionError", "T::three")
