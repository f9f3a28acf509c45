"""Who is shed first: classes of requests and their shares."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from setpoint.domain.plan import RoleLimit
from setpoint.domain.principal import Principal
from setpoint.gateway.priority import ALL, FLOOR, HIGH, LOW, NORMAL, fractions, priority_of
from setpoint.gateway.published import Caller

figures = st.just(0.0) | st.floats(1, 1e6)
threes = st.tuples(figures, figures, figures)


def caller(highest: str) -> Caller:
    return Caller(Principal(1, "p", "developer"), RoleLimit(0, 0, highest))  # type: ignore[arg-type]


def admitted(parts: tuple[float, float, float], asked: tuple[float, float, float]) -> float:
    return sum(part * each for part, each in zip(parts, asked, strict=True))


@given(figures, threes)
def test_together_the_classes_get_what_there_is_and_no_more(capacity: float, asked: tuple[float, float, float]) -> None:
    assert admitted(fractions(capacity, asked), asked) == pytest.approx(min(capacity, sum(asked)), rel=1e-6, abs=1e-3)


@given(figures, threes)
def test_a_lower_class_never_has_a_greater_part(capacity: float, asked: tuple[float, float, float]) -> None:
    low, normal, high = fractions(capacity, asked)
    assert 0 <= low <= normal <= high <= 1


@given(figures, threes)
def test_no_class_starves_up_to_twentyfold_overload(capacity: float, asked: tuple[float, float, float]) -> None:
    assume(capacity > 0)
    assume(capacity >= sum(asked) * FLOOR)
    assert min(fractions(capacity, asked)) >= FLOOR * 0.999


@given(figures, threes)
def test_a_class_is_shed_only_when_those_below_have_only_their_floor(capacity: float, asked: tuple[float, float, float]) -> None:
    low, normal, high = fractions(capacity, asked)
    if normal < 1:
        assert low <= FLOOR * 1.001
    if high < 1:
        assert normal <= FLOOR * 1.001


@given(st.floats(1, 1e5), st.floats(1, 1e5), threes)
def test_more_room_takes_nothing_from_anybody(capacity: float, more: float, asked: tuple[float, float, float]) -> None:
    before, after = fractions(capacity, asked), fractions(capacity + more, asked)
    assert all(later >= sooner - 1e-6 for sooner, later in zip(before, after, strict=True))


def test_the_shares_are_those_that_the_documentation_shows() -> None:
    thirds = (100.0, 100.0, 100.0)
    assert fractions(300, thirds) == ALL
    assert fractions(200, thirds) == pytest.approx((0.05, 0.95, 1.0))
    assert fractions(100, thirds) == pytest.approx((0.05, 0.05, 0.9))
    assert fractions(30, thirds) == pytest.approx((0.05, 0.05, 0.2))
    assert fractions(3, thirds) == pytest.approx((0.01, 0.01, 0.01))


@pytest.mark.parametrize(
    ("highest", "header", "route", "found"),
    [
        ("normal", None, None, NORMAL),
        ("high", None, None, NORMAL),
        ("low", None, None, LOW),
        ("high", b"high", None, HIGH),
        ("normal", b"high", None, NORMAL),
        ("low", b"high", None, LOW),
        ("high", b"low", None, LOW),
        ("high", b" Low ", None, LOW),
        ("high", b"urgent", None, NORMAL),
        ("high", b"\xff", None, NORMAL),
        ("low", b"high", "high", HIGH),
        ("high", b"high", "low", LOW),
    ],
)
def test_a_class_comes_from_the_route_or_the_header_within_what_the_role_allows(
    highest: str, header: bytes | None, route: str | None, found: int
) -> None:
    assert priority_of(caller(highest), header, route) == found  # type: ignore[arg-type]


def test_a_key_that_nobody_issued_is_shed_first() -> None:
    assert priority_of(None, b"high") == LOW
