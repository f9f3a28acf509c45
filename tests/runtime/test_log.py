"""Log lines: their shape, and that no secret is in them."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from setpoint.runtime.log import VALUE_CHARS_MAX, Log


def lines_of(say: Callable[[Log], object]) -> list[dict[str, Any]]:
    lines: list[str] = []
    say(Log("worker-0", write=lines.append))
    return [json.loads(line) for line in lines]


def test_a_line_has_the_five_members() -> None:
    [line] = lines_of(lambda log: log.info("ready", pid=7, ok=True, names=["a"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {"level": "info", "target": "worker-0", "message": "ready", "fields": {"pid": 7, "ok": True, "names": ["a"]}}


def test_lines_below_the_level_are_left_out() -> None:
    def say(log: Log) -> None:
        log.debug("a")
        log.warning("b")
        log.error("c")

    assert [line["message"] for line in lines_of(say)] == ["b", "c"]


@pytest.mark.parametrize("name", ["api_key", "apikey", "Authorization", "client_secret", "admin_token", "password", "kek"])
def test_a_value_whose_name_says_secret_is_masked(name: str) -> None:
    [line] = lines_of(lambda log: log.info("x", **{name: "hunter2", "nested": {name: ["hunter2"]}}))
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize("text", ["sk-sp-abcdefghijkl-0123456789abcdef", "sk-ant-0123456789abcdef", "Bearer 0123456789abcdef"])
def test_text_that_looks_like_a_key_is_masked_wherever_it_is(text: str) -> None:
    [line] = lines_of(lambda log: log.info(text, error=f"bad {text} here", many=[text]))
    assert "0123456789abcdef" not in json.dumps(line)


def test_a_long_value_is_cut() -> None:
    [line] = lines_of(lambda log: log.info("x", body="y" * 10_000))
    assert len(line["fields"]["body"]) == VALUE_CHARS_MAX


def test_the_pretty_form_is_one_line() -> None:
    lines: list[str] = []
    Log("engine", pretty=True, write=lines.append).child("ingest").info("ready", pid=7)
    assert len(lines) == 1
    assert "ingest" in lines[0]
    assert "pid=7" in lines[0]
    assert lines[0].count("\n") == 1
