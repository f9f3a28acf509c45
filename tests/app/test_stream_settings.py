"""The settings of streams: what a route says, and what it gets when it says nothing."""

import msgspec
import pytest
from tests.app.test_drafting import draft

from setpoint.control.compile import STREAM_BYTES_MIN, _timing_problems
from setpoint.domain.plan import LONG_TIMEOUTS, Route, StreamLimits, Target, Timeouts


def routed(text: str) -> Route:
    return draft({}, f"routes.a={text}").routes[0]


def test_a_route_that_says_nothing_leaves_the_preset_to_the_model() -> None:
    assert routed("{targets: [sim/x]}").long_by_itself
    assert routed("sim/x").long_by_itself
    assert routed("{targets: [sim/x], timeouts: auto}").timeouts == Timeouts()


@pytest.mark.parametrize("timeouts", ["guarded", "long", "{idle_s: 5}"])
def test_a_route_that_chose_keeps_its_choice(timeouts: str) -> None:
    assert not routed(f"{{targets: [sim/x], timeouts: {timeouts}}}").long_by_itself


def test_the_presets_have_the_figures_of_the_requirement() -> None:
    guarded = Timeouts()
    assert (guarded.stream_total_s, guarded.idle_s, guarded.stream_events_max, guarded.unary_total_s) == (60, 30, 10_000, 30)
    assert (LONG_TIMEOUTS.stream_total_s, LONG_TIMEOUTS.idle_s, LONG_TIMEOUTS.stream_events_max) == (600, 120, 200_000)
    assert StreamLimits() == StreamLimits(event_bytes_max=8 * 1024 * 1024, write_bytes_max=8_192, delta_bytes_max=4_096)


def test_what_a_route_says_of_its_streams_reaches_the_plan() -> None:
    made = routed(
        "{targets: [sim/x], on_client_gone: drain, continuation: auto, stream: {write_bytes_max: 1024}, timeouts: {first_token_s: 3}}"
    )
    assert (made.on_client_gone, made.continuation, made.stream.write_bytes_max) == ("drain", "auto", 1_024)
    assert made.timeouts.first_token_s == 3
    assert (routed("sim/x").on_client_gone, routed("sim/x").continuation) == ("abort", "off")


@pytest.mark.parametrize("name", StreamLimits.__struct_fields__)
@pytest.mark.parametrize(("beyond", "refused"), [(0, False), (1, True)])
def test_a_bound_may_be_lowered_only_and_not_to_nothing(name: str, beyond: int, refused: bool) -> None:
    for value in (STREAM_BYTES_MIN - beyond, getattr(StreamLimits(), name) + beyond):
        route = Route("a", (Target("sim"),), stream=StreamLimits(**{name: value}))
        problems = [problem.where for problem in _timing_problems("routes.a", route)]
        assert problems == ([f"routes.a.stream.{name}"] if refused else [])


def test_a_time_to_first_token_of_nothing_is_a_problem() -> None:
    route = Route("a", (Target("sim"),), timeouts=Timeouts(first_token_s=0))
    assert [problem.where for problem in _timing_problems("routes.a", route)] == ["routes.a.timeouts.first_token_s"]


def test_an_old_plan_without_these_members_still_loads() -> None:
    old = msgspec.msgpack.encode({"model": "a", "targets": [{"upstream": "sim"}]})
    assert msgspec.msgpack.decode(old, type=Route) == Route("a", (Target("sim"),))
    assert not Route("a", ()).long_by_itself
