"""Made-up answers, streams and requests: every dialect says back what it was told, and every two say the same."""

import json
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pairs import strategies
from tests.pairs.normal_forms import KEEPS, RULES
from tests.pairs.nouns import fine_print, said_of, unexplained
from tests.pairs.registry import SURFACES, Surface, differences

from setpoint.domain.chat import ChatAnswer, ChatRequest, Message, Text
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, StreamEvent, TextDelta, fold
from setpoint.wire.dialect import Dialect, StreamDecoder
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from tools import fuzz_dialects

EXAMPLES = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
MUTANTS = 250
"""Of each dialect and kind; the seeds themselves are among them."""
FEWER = settings(EXAMPLES, max_examples=10)

each = pytest.mark.parametrize("name", list(SURFACES))
pairs = pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name in SURFACES for other in SURFACES if name != other], ids=lambda name: name
)


def sayable(surface: Surface, answer: ChatAnswer) -> bool:
    return surface.cannot(said_of(answer)) is None


def encoded(dialect: Dialect, answer: ChatAnswer) -> bytes:
    return dialect.encode_answer(answer, answer.model, answer.created_s or 1)


def decoded(dialect: Dialect, body: bytes) -> ChatAnswer:
    answer = dialect.decode_answer(body)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def events_of(dialect: Dialect, chunks: list[bytes]) -> list[StreamEvent]:
    decoder = dialect.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def rendered(dialect: Dialect, events: list[StreamEvent], model: str = "shown") -> bytes:
    renderer = dialect.stream_renderer(model, 1, include_usage=True)
    return b"".join(map(renderer.render, events)) + renderer.finish()


def folded(events: list[StreamEvent]) -> ChatAnswer:
    answer = fold(events)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def noun_differences(told: ChatAnswer, read: ChatAnswer, surface: Surface) -> list[str]:
    """As `differences`; a refusal may come back as one though the API only has text for it."""
    return differences(said_of(told), surface.place(said_of(read)), surface)


def kept(name: str, answer: ChatAnswer) -> dict[str, Any]:
    return {what: said for what, said in fine_print(answer).items() if what in KEEPS[name]}


# ---------------------------------------------------------------------------------------------------------------- answers


@each
@EXAMPLES
@given(answer=strategies.answers())
def test_an_answer_comes_back_in_its_normal_form(name: str, answer: ChatAnswer) -> None:
    surface = SURFACES[name]
    if not sayable(surface, answer):
        return
    back = decoded(surface.dialect, encoded(surface.dialect, answer))
    assert not noun_differences(answer, back, surface)
    assert kept(name, back) == kept(name, answer)
    assert decoded(surface.dialect, encoded(surface.dialect, back)) == back, "the normal form is not final"


@pairs
@FEWER
@given(answer=strategies.answers())
def test_an_answer_comes_back_from_another_dialect(name: str, other: str, answer: ChatAnswer) -> None:
    """A → B → A: what A read first is what A reads after B told it on, as far as B has a place for it."""
    surface, through = SURFACES[name], SURFACES[other]
    if not sayable(surface, answer) or not sayable(through, answer):
        return
    first = decoded(surface.dialect, encoded(surface.dialect, answer))
    told_on = decoded(through.dialect, encoded(through.dialect, first))
    back = decoded(surface.dialect, encoded(surface.dialect, told_on))
    assert not noun_differences(first, told_on, through)
    assert not noun_differences(told_on, back, surface)
    shared = KEEPS[name] & KEEPS[other]
    assert {what: said for what, said in fine_print(back).items() if what in shared} == {
        what: said for what, said in fine_print(first).items() if what in shared
    }


@each
@EXAMPLES
@given(answer=strategies.answers())
def test_the_vendors_client_reads_an_answer(name: str, answer: ChatAnswer) -> None:
    surface = SURFACES[name]
    if sayable(surface, answer):
        read = surface.read_answer(surface.dialect.encode_answer(answer, "shown", 1))
        assert not differences(said_of(answer), read, surface)


# ---------------------------------------------------------------------------------------------------------------- streams


@each
@EXAMPLES
@given(data=st.data(), answer=strategies.answers())
def test_a_stream_tells_what_the_unary_answer_tells(name: str, answer: ChatAnswer, data: st.DataObject) -> None:
    surface = SURFACES[name]
    if not sayable(surface, answer):
        return
    events = data.draw(strategies.streams(answer))
    streamed = folded(events_of(surface.dialect, [rendered(surface.dialect, events)]))
    unary = decoded(surface.dialect, encoded(surface.dialect, folded(events)))
    assert said_of(streamed) == said_of(unary)
    assert kept(name, streamed) == kept(name, unary)
    assert streamed.usage == unary.usage
    assert streamed.finish == unary.finish


@each
@EXAMPLES
@given(data=st.data(), answer=strategies.answers())
def test_the_vendors_client_reads_a_stream(name: str, answer: ChatAnswer, data: st.DataObject) -> None:
    surface = SURFACES[name]
    if sayable(surface, answer):
        read = surface.read_stream(rendered(surface.dialect, data.draw(strategies.streams(answer))))
        assert not differences(said_of(answer), read, surface)


@each
@EXAMPLES
@given(data=st.data(), answer=strategies.answers())
def test_any_cut_of_a_stream_gives_the_same_events(name: str, answer: ChatAnswer, data: st.DataObject) -> None:
    dialect = SURFACES[name].dialect
    if not sayable(SURFACES[name], answer):
        return
    stream = rendered(dialect, data.draw(strategies.streams(answer)))
    chunks = data.draw(strategies.cuts(stream))
    assert events_of(dialect, chunks) == events_of(dialect, [stream])
    whole, cut = dialect.tap(), dialect.tap()
    assert whole.feed(stream) + whole.flush() == stream
    assert b"".join([cut.feed(chunk) for chunk in chunks]) + cut.flush() == stream
    assert (cut.usage, cut.model, cut.finish, cut.done) == (whole.usage, whole.model, whole.finish, whole.done)
    assert whole.done
    assert whole.error is None


@pairs
@FEWER
@given(data=st.data(), answer=strategies.answers())
def test_a_stream_passes_through_another_dialect(name: str, other: str, answer: ChatAnswer, data: st.DataObject) -> None:
    surface, through = SURFACES[name], SURFACES[other]
    if not sayable(surface, answer) or not sayable(through, answer):
        return
    there = events_of(through.dialect, [rendered(through.dialect, data.draw(strategies.streams(answer)))])
    back = folded(events_of(surface.dialect, [rendered(surface.dialect, there)]))
    assert not noun_differences(folded(there), back, surface)
    assert not noun_differences(answer, folded(there), through)


# --------------------------------------------------------------------------------------------------------------- requests


@each
@settings(EXAMPLES, max_examples=60)
@given(request=strategies.requests(), stream=st.booleans())
def test_a_request_comes_back_but_for_what_is_named(name: str, request: ChatRequest, stream: bool) -> None:
    surface = SURFACES[name]
    made = surface.dialect.encode_request(request, surface.model, stream)
    if isinstance(made, Fault):
        assert made.kind is FaultKind.unsupported
        assert made.param
        return
    back = surface.dialect.decode_request(made.body)
    assert isinstance(back, ChatRequest), back
    found = unexplained(request, back, made.losses)
    rules = RULES[name]
    assert not {facet: change for facet, change in found.items() if facet not in rules or not rules[facet](request, back)}


@each
@settings(EXAMPLES, max_examples=30)
@given(request=strategies.requests(), stream=st.booleans())
def test_the_vendors_schema_admits_a_request(name: str, request: ChatRequest, stream: bool) -> None:
    surface = SURFACES[name]
    made = surface.dialect.encode_request(request, surface.model, stream)
    if not isinstance(made, Fault):
        surface.judge(made.body, stream)


def test_the_made_up_requests_are_mostly_taken() -> None:
    """So that the properties of requests are not about refusals only."""
    made_up: list[ChatRequest] = []

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(request=strategies.requests())
    def make_up(request: ChatRequest) -> None:
        made_up.append(request)

    make_up()
    made_up.append(ChatRequest("m", (Message("user", (Text("hi"),)),)))  # nearly all that a completions model takes
    for name, surface in SURFACES.items():
        taken = 0
        for request in made_up:
            taken += not isinstance(surface.dialect.encode_request(request, surface.model, False), Fault)
        assert taken >= (1 if name == "openai_completions" else 20), f"{name} takes {taken} of {len(made_up)}"


# ---------------------------------------------------------------------------------------------------------------- mutants


@cache
def seeds() -> tuple[dict[str, Dialect], fuzz_dialects.Pools]:
    known = fuzz_dialects.dialects()
    return known, fuzz_dialects.pools_of_seeds(known)


@pytest.mark.parametrize("kind", fuzz_dialects.KINDS)
@each
def test_mutated_bytes_crash_nothing_and_read_the_same_however_cut(name: str, kind: str) -> None:
    """A short walk of `tools/fuzz_dialects.py`, without its coverage: the same mutants each time."""
    known, pools = seeds()
    assert set(known) == set(SURFACES)
    pool = pools[name, kind]
    rng = random.Random(f"{name} {kind}")
    others = [other for other in known.values() if other.name != name]
    for no in range(MUTANTS):
        body = fuzz_dialects.mutated(rng, rng.choice(pool), rng.choice(pool)) if no >= len(pool) else pool[no]
        fuzz_dialects.exercise(known[name], kind, body, rng.randrange(len(body) + 1), rng.choice(others))


def test_the_fuzzer_sees_what_breaks() -> None:
    """Its promises fail for a dialect that breaks them."""

    class Careless(type(OPENAI_CHAT)):  # type: ignore[misc]  # a class made on the spot
        def decode_request(self, body: bytes) -> ChatRequest | Fault:
            return ChatRequest(json.loads(body)["model"], ())

        def stream_decoder(self) -> StreamDecoder:
            return Forgetful()

    class Forgetful:
        def feed(self, data: bytes) -> list[StreamEvent]:
            return [TextDelta(str(len(data)))]

        def finish(self) -> list[StreamEvent]:
            return [Finished("stop")]

    with pytest.raises(json.JSONDecodeError):
        fuzz_dialects.exercise(Careless(), "request", b"{", 0, OPENAI_CHAT)
    with pytest.raises(fuzz_dialects.BrokenPromiseError, match="a cut changes nothing"):
        fuzz_dialects.exercise(Careless(), "stream", b"data: {}", 3, OPENAI_CHAT)
    edges = fuzz_dialects.Edges()
    assert edges.run(lambda: fuzz_dialects.exercise(OPENAI_CHAT, "request", b"{}", 0, OPENAI_CHAT))
    assert not edges.run(lambda: fuzz_dialects.exercise(OPENAI_CHAT, "request", b"{}", 0, OPENAI_CHAT))
    assert edges.run(lambda: fuzz_dialects.exercise(OPENAI_CHAT, "request", json.dumps(fuzz_dialects.ASKED).encode(), 0, OPENAI_CHAT))
