"""The judge of the fault wall: healthy answers of every provider are whole, and every kind of lie is found out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.testing.answers import answer
from setpoint.testing.fault_wall.judge import Got, Heard, judge
from setpoint.testing.fault_wall.readers import READERS
from setpoint.testing.fault_wall.rules import Ending
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, SURFACES, UNARY_ONLY, SurfaceName
from setpoint.testing.fault_wall.upstreams import SAID, pieces_before
from setpoint.testing.fault_wall.verdict import texts
from setpoint.testing.replies import status

STREAMED = [surface for surface in SURFACE_NAMES if surface not in UNARY_ONLY]
FORMS = [(surface, streamed) for surface in SURFACE_NAMES for streamed in (False, True) if not (streamed and surface in UNARY_ONLY)]


def provider(surface: SurfaceName, *, streamed: bool, says: object = SAID) -> Got:
    """What a healthy provider of the surface's own dialect answers."""
    asked = SURFACES[surface]
    body = msgspec.json.encode(asked.body("m", "hi", streamed))
    given = answer(says, asked.path("m", streamed), body)  # type: ignore[arg-type]
    return Got(given.status, dict(given.headers), b"".join(given.pieces), framed=True)


def pieces(surface: SurfaceName) -> tuple[bytes, ...]:
    asked = SURFACES[surface]
    return answer(SAID, asked.path("m", True), msgspec.json.encode(asked.body("m", "hi", True))).pieces


def heard(surface: SurfaceName, got: Got, *, streamed: bool = True) -> Heard:
    return judge(surface, got, frozenset(texts(surface)), streamed=streamed)


def stream_of(surface: SurfaceName, body: bytes, *, framed: bool = True) -> Heard:
    return heard(surface, Got(200, {"content-type": READERS[surface].content_type}, body, framed))


@pytest.mark.parametrize(("surface", "streamed"), FORMS)
def test_a_healthy_answer_is_whole_with_its_own_end_and_its_tokens(surface: SurfaceName, streamed: bool) -> None:
    found = heard(surface, provider(surface, streamed=streamed), streamed=streamed)
    assert (found.ending, found.text, found.terminal) == ("whole", texts(surface)[0], True), found
    if surface != "embeddings":
        assert found.usage in (None, (SAID.input_tokens, SAID.output_tokens))
    assert found.usage is not None or surface in ("embeddings", "completions")


@pytest.mark.parametrize(("surface", "streamed"), FORMS)
@pytest.mark.parametrize("code", [400, 429, 500, 503])
def test_a_refusal_in_the_surfaces_own_shape_is_a_status(surface: SurfaceName, streamed: bool, code: int) -> None:
    assert heard(surface, provider(surface, streamed=streamed, says=status(code)), streamed=streamed).ending == "status"


@pytest.mark.parametrize("surface", STREAMED)
def test_a_stream_that_ends_behind_any_of_its_events_is_never_taken_for_whole(surface: SurfaceName) -> None:
    """A gateway that truncates silently: HTTP says all is well, and the finish never came."""
    said = pieces(surface)
    for kept in range(pieces_before(answer_of(surface), "all")):
        found = stream_of(surface, b"".join(said[:kept]))
        assert found.ending == "truncated", (kept, found)


def answer_of(surface: SurfaceName):  # type: ignore[no-untyped-def]
    asked = SURFACES[surface]
    return answer(SAID, asked.path("m", True), msgspec.json.encode(asked.body("m", "hi", True)))


@pytest.mark.parametrize("surface", STREAMED)
def test_a_finish_behind_missing_content_does_not_make_it_whole(surface: SurfaceName) -> None:
    """A gateway that loses an event in the middle, or says "done" for a provider that never did."""
    said = pieces(surface)
    last = pieces_before(answer_of(surface), "all") - 1
    middle = next(i for i, piece in enumerate(said) if SAID.pieces[1].encode() in piece)
    lost = stream_of(surface, b"".join([*said[:middle], *said[middle + 1 :]]))
    assert lost.ending in ("misshapen", "truncated"), lost
    if last + 1 < len(said):
        cut_short = stream_of(surface, b"".join([*said[:middle], *said[last + 1 :]]))
        assert cut_short.ending in ("truncated", "misshapen"), cut_short


@pytest.mark.parametrize("surface", STREAMED)
def test_content_that_is_said_twice_is_no_answer(surface: SurfaceName) -> None:
    """A gateway that tries again after content and forwards both attempts."""
    said = pieces(surface)
    first = next(i for i, piece in enumerate(said) if SAID.pieces[0].encode() in piece)
    assert stream_of(surface, b"".join([*said[: first + 1], *said[first:]])).ending in ("misshapen", "truncated")


@pytest.mark.parametrize("surface", STREAMED)
def test_a_connection_that_ends_in_mid_body_is_a_cut(surface: SurfaceName) -> None:
    said = pieces(surface)
    middle = next(i for i, piece in enumerate(said) if SAID.pieces[1].encode() in piece)
    assert stream_of(surface, b"".join(said[:middle]), framed=False).ending == "cut"
    assert stream_of(surface, b"".join(said), framed=False).ending == "cut"


@pytest.mark.parametrize("surface", STREAMED)
def test_the_surfaces_own_error_event_is_honest(surface: SurfaceName) -> None:
    whole = answer_of(surface)
    begun = whole.pieces[: pieces_before(whole, "content")]
    found = stream_of(surface, b"".join(begun) + whole.error_event)
    assert (found.ending, found.text) == ("event", SAID.pieces[0])


@pytest.mark.parametrize("surface", STREAMED)
def test_the_error_event_of_another_vendor_is_not(surface: SurfaceName) -> None:
    whole = answer_of(surface)
    begun = whole.pieces[: pieces_before(whole, "content")]
    foreign = b'{"detail":"Internal Server Error"}'
    framed = foreign + b"\n" if surface == "ollama" else b"data: " + foreign + b"\n\n"
    assert stream_of(surface, b"".join(begun) + framed).ending in ("misshapen", "truncated", "raises")


PAGE = b"<html><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize(("surface", "streamed"), FORMS)
@pytest.mark.parametrize(
    ("got", "ending"),
    [
        (Got(hung=True), "hang"),
        (Got(200, {}, b"data: x", hung=True), "hang"),
        (Got(), "none"),
        (Got(502, {"content-type": "text/html"}, PAGE, framed=True), "misshapen"),
        (Got(502, {}, b"", framed=True), "misshapen"),
        (Got(502, {"content-type": "application/json"}, b'{"error":', framed=False), "cut"),
        (Got(200, {"content-type": "text/html"}, PAGE, framed=True), "misshapen"),
        (Got(200, {"content-type": "application/json"}, b'[{"detail":"Internal Server Error"}]', framed=True), "misshapen"),
    ],
)
def test_what_no_client_can_read_is_named(surface: SurfaceName, streamed: bool, got: Got, ending: Ending) -> None:
    assert heard(surface, got, streamed=streamed).ending == ending


@pytest.mark.parametrize("surface", ["chat", "messages", "responses", "gemini", "completions", "cohere"])
def test_an_event_that_is_no_json_makes_the_vendors_client_raise(surface: SurfaceName) -> None:
    said = pieces(surface)
    assert stream_of(surface, said[0] + b"data: {]\n\n").ending == "raises"


def test_half_a_unary_answer_is_none() -> None:
    for surface in SURFACE_NAMES:
        got = provider(surface, streamed=False)
        got.body = got.body[:-2]
        assert heard(surface, got, streamed=False).ending == "misshapen"


@given(surface=st.sampled_from(STREAMED), data=st.data())
def test_mutated_bytes_never_crash_the_judge_and_are_never_whole_without_all_content(surface: SurfaceName, data: st.DataObject) -> None:
    body = bytearray(b"".join(pieces(surface)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    found = stream_of(surface, bytes(body))
    assert found.ending != "whole" or found.text == SAID.text


@given(surface=st.sampled_from(STREAMED), cut=st.integers(1, 2_000))
def test_no_cut_anywhere_in_the_content_is_ever_whole(surface: SurfaceName, cut: int) -> None:
    said = pieces(surface)
    before_last = b"".join(said[: pieces_before(answer_of(surface), "all") - 1])
    assert stream_of(surface, before_last[: cut % len(before_last)]).ending in ("truncated", "raises", "misshapen")
