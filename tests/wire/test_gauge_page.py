"""The page of numbers: places do not overlap, and what a new owner finds."""

from setpoint.wire import gauge_page as g


def test_versions_in_use_are_those_of_living_workers() -> None:
    living, dead = g.new_page(), g.new_page()
    for page, version in ((living, 7), (dead, 5)):
        page[g.CONFIG_EPOCH], page[g.CONFIG_VERSION], page[g.CONFIG_OLDEST_EPOCH], page[g.CONFIG_OLDEST_VERSION] = (
            1,
            version,
            1,
            version - 1,
        )
    assert g.versions_in_use([g.Seen(living, live=True), g.Seen(dead, live=False), g.Seen(g.new_page(), live=True)]) == {(1, 7), (1, 6)}


def test_no_two_families_share_a_name_or_a_place() -> None:
    assert len({family.name for family in g.FAMILIES}) == len(g.FAMILIES)
    taken = [place for family, start in g.PLACED for place in range(start, start + family.places)]
    assert taken == list(range(g.FIRST_PLACE, g.PLACES))
    assert max(g.BOOT, g.PID, g.LIVES) < g.FIRST_PLACE
    assert g.PLACES * 8 <= g.PAGE_BYTES


def test_a_new_owner_counts_on_and_starts_its_gauges_again() -> None:
    page = g.new_page()
    for place in range(g.FIRST_PLACE, g.PLACES):
        page[place] = 5
    g.begin_life(page, 2**63 + 1, 42, 9)
    kept = {family.name for family, start in g.PLACED if all(page[place] == 5 for place in range(start, start + family.places))}
    assert kept == {family.name for family in g.FAMILIES if family.kind != "gauge"}
    assert (page[g.PID], page[g.LIVES], page[g.STARTED_NS], page[g.BOOT] % 2**64) == (42, 1, 9, 2**63 + 1)
