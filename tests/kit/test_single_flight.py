"""Equal requests at one time: who works, who waits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.kit.single_flight import WAIT_S, WAITERS_MAX, Follower, SingleFlight


def test_the_first_leads_and_the_others_wait_five_seconds_at_most() -> None:
    flights: SingleFlight[str] = SingleFlight()
    assert flights.join(b"k", "a", 10.0) == "leader"
    assert flights.join(b"k", "b", 11.0) == Follower(11.0 + WAIT_S)
    assert flights.join(b"k", "c", 12.0) == Follower(17.0)
    assert flights.join(b"other", "d", 12.0) == "leader"
    assert flights.settle(b"k") == ["b", "c"]


def test_a_key_has_at_most_a_thousand_followers_and_the_next_goes_alone() -> None:
    flights: SingleFlight[int] = SingleFlight()
    flights.join(b"k", -1, 0.0)
    joined = [flights.join(b"k", number, 0.0) for number in range(WAITERS_MAX + 1)]
    assert joined[-2:] == [Follower(5.0), "full"]
    assert len(flights.settle(b"k")) == WAITERS_MAX == 1_000


def test_after_a_settlement_the_next_leads() -> None:
    flights: SingleFlight[str] = SingleFlight()
    flights.join(b"k", "a", 0.0)
    assert flights.settle(b"k") == []
    assert flights.settle(b"k") == []
    assert flights.join(b"k", "b", 0.0) == "leader"


def test_whoever_left_is_not_told_and_makes_room() -> None:
    flights: SingleFlight[str] = SingleFlight(waiters_max=1)
    flights.join(b"k", "a", 0.0)
    flights.join(b"k", "b", 0.0)
    assert flights.join(b"k", "c", 0.0) == "full"
    assert flights.leave(b"k", "b")
    assert not flights.leave(b"k", "b")
    assert not flights.leave(b"unknown", "b")
    assert flights.join(b"k", "c", 0.0) == Follower(5.0)
    assert flights.settle(b"k") == ["c"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "settle"]), st.sampled_from([b"x", b"y"]), st.integers(0, 3)), max_size=60))
def test_every_follower_is_told_exactly_once_unless_it_left(steps: list[tuple[str, bytes, int]]) -> None:
    flights: SingleFlight[tuple[int, int]] = SingleFlight(waiters_max=3)
    waiting: dict[bytes, list[tuple[int, int]]] = {}
    for serial, (step, key, pick) in enumerate(steps):
        if step == "join":
            joined = flights.join(key, (serial, pick), 0.0)
            assert (joined == "leader") == (key not in waiting)
            assert (joined == "full") == (len(waiting.get(key, [])) == 3)
            followers = waiting.setdefault(key, [])
            if isinstance(joined, Follower):
                followers.append((serial, pick))
        elif step == "leave" and waiting.get(key):
            followers = waiting[key]
            assert flights.leave(key, followers.pop(pick % len(followers)))
        elif step == "settle":
            assert flights.settle(key) == waiting.pop(key, [])
    assert len(flights) == len(waiting)
