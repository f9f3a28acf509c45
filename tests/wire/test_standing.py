"""How upstreams stand: packing, several workers, and the text of it."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.wire import gauge_page as at
from setpoint.wire.gauge_page import Seen, begin_life, new_page
from setpoint.wire.standing import BAD, GOOD, UNSEEN, Standing, render_standings, unpacked, worst

byte = st.integers(0, 255)
standings = st.builds(Standing, st.tuples(byte, byte, byte), st.sampled_from([UNSEEN, GOOD, BAD]), st.integers(0, 65_535))
UPSTREAMS = (("one", "acme"), ("two", "acme"))


@given(standings)
def test_a_standing_survives_its_place_in_the_page(standing: Standing) -> None:
    page = new_page()
    page[at.STANDINGS] = standing.packed()
    assert unpacked(page[at.STANDINGS]) == standing


def test_more_than_fits_is_shown_as_the_most_that_fits() -> None:
    assert unpacked(Standing((300, 0, 256), GOOD, 1 << 20).packed()) == Standing((255, 0, 255), GOOD, 65_535)


def test_of_several_workers_the_worst_is_shown() -> None:
    seen = [Standing((2, 0, 0), GOOD, 0), Standing((1, 1, 0), BAD, 3), Standing((2, 0, 0), UNSEEN, 1)]
    assert worst(seen) == Standing((1, 1, 0), BAD, 3)


def page_of(version: int, *each: Standing, live: bool = True) -> Seen:
    page = new_page()
    page[at.CONFIG_EPOCH], page[at.CONFIG_VERSION] = 1, version
    for place, standing in enumerate(each):
        page[at.STANDINGS + place] = standing.packed()
    return Seen(page, live)


def test_only_living_workers_with_the_same_plan_are_shown() -> None:
    pages = [
        page_of(7, Standing((1, 1, 0), GOOD, 2)),
        page_of(6, Standing((0, 0, 9), BAD, 9)),
        page_of(7, Standing((0, 9, 0), BAD, 9), live=False),
    ]
    text = render_standings(pages, UPSTREAMS, 1, 7)
    shown = [line for line in text.splitlines() if not line.startswith("#")]
    assert shown == [
        'setpoint_provider_keys{upstream="one",state="ready"} 1',
        'setpoint_provider_keys{upstream="one",state="limited"} 1',
        'setpoint_provider_keys{upstream="one",state="refused"} 0',
        'setpoint_provider_health{provider="acme",upstream="one"} 1',
        'setpoint_provider_breakers_open{upstream="one"} 2',
        'setpoint_provider_breakers_open{upstream="two"} 0',
    ]


def test_at_most_as_many_upstreams_as_have_a_place_are_shown() -> None:
    names = [(f"u{number}", "acme") for number in range(at.STANDINGS_MAX + 5)]
    text = render_standings([page_of(7)], names, 1, 7)
    assert text.count("setpoint_provider_breakers_open{") == at.STANDINGS_MAX


def test_a_new_worker_does_not_inherit_what_the_dead_one_knew() -> None:
    seen = page_of(7, Standing((0, 1, 0), BAD, 1))
    begin_life(seen.page, 5, 4711, 1)
    assert unpacked(seen.page[at.STANDINGS]) == Standing()
