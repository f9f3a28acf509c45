"""The workers' pages as text: what Prometheus reads, joined over workers living and dead."""

import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.faults import FaultKind
from setpoint.domain.trace import Surface
from setpoint.wire import gauge_page as g
from setpoint.wire.prometheus_text import render_prometheus

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? ([0-9.e+-]+)$')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def parse(text: str) -> tuple[Samples, dict[str, str]]:
    """Exposition format 0.0.4, strictly: HELP then TYPE then all samples of a family, each family and series once."""
    samples: Samples = defaultdict(dict)
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    current = ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current in helped
            assert current not in kinds
            kinds[current] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name = match[1]
            suffixes = ("_bucket", "_sum", "_count") if kinds[current] == "histogram" else ("",)
            assert name in {current + suffix for suffix in suffixes}, line
            labels = tuple(LABEL.findall(match[2] or ""))
            assert labels not in samples[name]
            samples[name][labels] = float(match[3])
    return samples, kinds


def live(*pages: g.Page) -> list[g.Seen]:
    return [g.Seen(page, live=True) for page in pages]


def page_of(numbers: dict[int, int]) -> g.Page:
    page = g.new_page()
    for place, number in numbers.items():
        page[place] = number
    return page


pages = st.lists(
    st.builds(
        g.Seen, st.dictionaries(st.integers(g.FIRST_PLACE, g.PLACES - 1), st.integers(0, 2**53), max_size=60).map(page_of), st.booleans()
    ),
    max_size=4,
)


@given(pages)
def test_any_numbers_render_as_valid_text(seen: list[g.Seen]) -> None:
    samples, kinds = parse(render_prometheus(seen))
    assert {family.name for family in g.FAMILIES} < set(kinds)
    for family in g.FAMILIES:
        if family.kind != "histogram":
            assert len(samples[family.name]) == family.places
            continue
        buckets = list(samples[family.name + "_bucket"].values())
        assert buckets == sorted(buckets)
        assert buckets[-1] == samples[family.name + "_count"][()]


@given(st.lists(pages, max_size=3), st.data())
def test_counters_only_grow_when_workers_die_and_begin_again(generations: list[list[g.Seen]], data: st.DataObject) -> None:
    for seen in generations:
        before, kinds = parse(render_prometheus(seen))
        for page in seen:
            if data.draw(st.booleans()):
                g.begin_life(page.page, 2**64 - 1, 1, 1)
        after, _ = parse(render_prometheus([g.Seen(page.page, data.draw(st.booleans())) for page in seen]))
        for name in (name for name, kind in kinds.items() if kind == "counter"):
            assert all(after[name][labels] >= value for labels, value in before[name].items())


def test_every_named_place_belongs_to_the_family_it_names() -> None:
    """The constants the hot lane adds to, checked through the text."""
    page = g.new_page()
    page[g.REQUESTS + Surface.anthropic_messages * g.STATUS_CLASSES + 429 // 100] += 1
    page[g.ERRORS[FaultKind.upstream_cut]] += 2
    page[g.LIMIT_REFUSALS_STREAMS] += 3
    page[g.TOKENS_IMAGE_INPUT] += 4
    page[g.COST_NANOUSD] += 5_000_000_000
    page[g.IN_FLIGHT] += 6
    page[g.LOOP_LAG_NS] = 7_000_000
    samples, _ = parse(render_prometheus(live(page)))
    assert samples["setpoint_requests_total"][("surface", "anthropic_messages"), ("status_class", "4xx")] == 1
    assert samples["setpoint_errors_total"][(("error", "upstream_cut"),)] == 2
    assert samples["setpoint_limit_refusals_total"][(("limit", "streams"),)] == 3
    assert samples["setpoint_worker_tokens_total"][(("class", "image_input"),)] == 4
    assert samples["setpoint_worker_cost_usd_total"][()] == 5.0
    assert samples["setpoint_in_flight_requests"][()] == 6
    assert samples["setpoint_loop_lag_seconds"][()] == pytest.approx(0.007)


def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass() -> None:
    page = g.new_page()
    for duration_ns in (0, 5_000_000, 5_000_001, 3_600_000_000_000):
        g.observe(page, g.DURATION, duration_ns)
    samples, _ = parse(render_prometheus(live(page)))
    buckets = samples["setpoint_request_duration_seconds_bucket"]
    assert [buckets[(("le", bound),)] for bound in ("0.005", "0.01", "81.92", "+Inf")] == [2, 3, 3, 4]
    assert samples["setpoint_request_duration_seconds_sum"][()] == pytest.approx(3600.010000001)


def test_workers_are_joined_as_each_family_says() -> None:
    one, two = g.new_page(), g.new_page()
    for page, number in ((one, 3), (two, 5)):
        for place in (g.ATTEMPTS, g.IN_FLIGHT, g.OPEN_BREAKERS, g.CONFIG_VERSION):
            page[place] = number
    samples, _ = parse(render_prometheus(live(one, two)))
    names = ("setpoint_worker_attempts_total", "setpoint_in_flight_requests", "setpoint_open_breakers", "setpoint_config_version")
    assert [samples[name][()] for name in names] == [8, 8, 5, 3]


def test_a_dead_workers_counters_count_and_its_gauges_do_not() -> None:
    page = g.new_page()
    page[g.ATTEMPTS] = page[g.IN_FLIGHT] = 3
    samples, _ = parse(render_prometheus([g.Seen(page, live=False)]))
    assert (samples["setpoint_worker_attempts_total"][()], samples["setpoint_in_flight_requests"][()], samples["setpoint_workers"][()]) == (
        3,
        0,
        0,
    )
