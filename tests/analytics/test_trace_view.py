"""The page about traces names everything a trace shows."""

from pathlib import Path

import pytest

from setpoint.analytics.trace_view import said, whole_trace
from setpoint.domain.trace import RecordHead, RecordTail
from setpoint.domain.trace_query import ATTRIBUTES, PARAMETERS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "traces.md"


def test_the_page_names_every_field_attribute_and_parameter() -> None:
    head = RecordHead(2, 0, 1, 1, 200, 1, bytes(16), bytes(16), 0, 1, 0, 0, -1, 1, 0, 0, 1, 0, 1, 1, 0, streamed=False)
    trace = whole_trace(head, RecordTail(), [], b"", b"")
    text = PAGE.read_text()
    missing = [name for name in [*trace, *ATTRIBUTES, *PARAMETERS] if f"`{name}`" not in text and f"`{name} " not in text]
    assert missing == []


def test_an_unknown_price_is_null_and_not_zero() -> None:
    head = RecordHead(2, 0, 1, 1, 200, 1, bytes(16), bytes(16), 0, 1, 0, 0, -1, 1, 0, 0, 1, 0, 1, 1, 0, streamed=False)
    assert whole_trace(head, RecordTail(), [], b"", b"")["cost"] is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [(b"", None), (b"data: x\n\n", "data: x\n\n"), (b'{"cut": ', '{"cut": '), (b"\xff", {"base64": "/w=="})],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, shown: object) -> None:
    assert said(body) == shown
