"""A whole answer told as a stream folds to the same answer."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Image, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.stream import ForeignShown, fold
from setpoint.domain.unfold import unfold
from setpoint.domain.usage import Usage

SIGNATURES = st.sampled_from(["", "gemini:s"])
WORDS = st.text(min_size=1, max_size=8)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, WORDS, citations=st.lists(st.builds(Citation, WORDS), max_size=2).map(tuple), signature=SIGNATURES),
    st.builds(Thinking, WORDS, signature=WORDS),
    st.builds(Thinking, st.just(""), redacted=WORDS),
    st.builds(ToolCall, WORDS, WORDS, st.sampled_from(["", "{}", '{"a":1}'])),
    st.builds(Foreign, WORDS, st.just("gemini"), st.just(b"{}")),
)
ANSWERS = st.builds(
    ChatAnswer,
    WORDS,
    WORDS,
    st.lists(PARTS, max_size=5).map(tuple),
    st.sampled_from(["stop", "length", "tool_calls"]),
    st.one_of(st.none(), st.builds(Usage, st.integers(0, 9), output=st.integers(0, 9))),
    st.one_of(st.none(), WORDS),
    st.integers(0, 99),
    st.lists(st.builds(TokenLogprob, WORDS, st.just(-0.5)), max_size=2).map(tuple),
    st.one_of(st.none(), WORDS),
)


@given(ANSWERS)
def test_an_answer_is_told_whole(answer: ChatAnswer) -> None:
    assert fold(list(unfold(answer))) == answer


def test_a_refusal_is_told() -> None:
    answer = ChatAnswer("i", "m", (Refusal("no"),), "refusal")
    assert fold(list(unfold(answer))) == answer


def test_a_part_that_no_stream_tells_is_named() -> None:
    events = list(unfold(ChatAnswer("i", "m", (Image(url="https://x.test"),), "stop")))
    assert ForeignShown(Foreign("image")) in events
