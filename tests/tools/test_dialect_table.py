"""The tables of the page on dialects are what the dialects do."""

import pytest
from tools.dialect_table import MODELS, PAGE, REQUESTS, Notes, rewritten, said_answer, said_finish, said_request

from setpoint.domain.chat import Refusal, Text
from setpoint.gateway.dialects import DIALECTS


def test_the_page_shows_what_the_code_does() -> None:
    page = PAGE.read_text()
    assert rewritten(page) == page, "run tools/dialect_table.py"


def test_every_dialect_has_a_column() -> None:
    assert set(MODELS) == set(DIALECTS)


@pytest.mark.parametrize(
    ("name", "title", "cell"),
    [
        ("anthropic", "top_k", "yes"),
        ("openai_chat", "top_k", "named [1]"),
        ("anthropic", "several answers (n)", "refused [1]"),
        ("openai_completions", "image, inline", "refused [1]"),
    ],
)
def test_a_cell_tells_what_was_said_lost_or_refused(name: str, title: str, cell: str) -> None:
    assert said_request(name, REQUESTS[title], Notes()) == cell  # type: ignore[arg-type]  # a name of the registry


def test_a_cell_of_an_answer_tells_whether_it_came_back() -> None:
    assert said_answer(DIALECTS["openai_chat"], {"parts": (Text("a"),)}) == "yes"
    assert said_answer(DIALECTS["ollama"], {"parts": (Refusal("no"),)}) == "–"
    assert said_finish(DIALECTS["ollama"], "pause") == "stop"


def test_the_same_words_get_the_same_number() -> None:
    notes = Notes()
    assert [notes.mark(text) for text in ("a", "b", "a")] == ["[1]", "[2]", "[1]"]
    assert list(notes.lines()) == ["1. a", "2. b"]
