"""What Setpoint itself says of each fault, beyond what the wall asks of any gateway: its status, its number, how many calls."""

from collections import defaultdict

import pytest
from tests.faults.wall import asked

from setpoint.domain.faults import FaultKind
from setpoint.testing.conversation import chat
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.fault_wall.cells import cells
from setpoint.testing.fault_wall.modes import MODE_OF, MODES
from setpoint.testing.fault_wall.own import RETRIES
from setpoint.testing.fault_wall.rules import RULES
from setpoint.testing.fault_wall.surfaces import SurfaceName, UpstreamDialect
from setpoint.testing.fault_wall.verdict import Result
from setpoint.testing.gateway import running_gateway
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.wire_faults import FaultName, WireFault

OVERLOADED, SERVER, LATE = FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout
CUT = FaultKind.upstream_cut
KINDS: dict[str, tuple[int | tuple[int, ...], set[FaultKind]]] = {
    "status 400": (400, {FaultKind.upstream_refused}),
    "status 413": (413, {FaultKind.too_large}),
    "status 422": (422, {FaultKind.upstream_refused}),
    "status 401": (502, {FaultKind.upstream_auth}),
    "status 402": (502, {FaultKind.upstream_quota}),
    "status 403": (502, {FaultKind.upstream_auth}),
    "status 429": (429, {FaultKind.upstream_rate}),
    "rate_limited_seconds": (429, {FaultKind.upstream_rate}),
    "rate_limited_date": (429, {FaultKind.upstream_rate}),
    "status 500": (502, {SERVER}),
    "status 502": (502, {SERVER}),
    "status 503": ((502, 503), {OVERLOADED, SERVER}),
    "status 504": ((502, 504), {LATE, SERVER}),
    "status 529": ((502, 503), {OVERLOADED, SERVER}),
    "another vendor's error": (503, {OVERLOADED}),
    "html_error": (502, {SERVER}),
    "empty_error": (503, {OVERLOADED}),
    **dict.fromkeys(("early_reset", "reset_before_head", "close_before_head"), (502, {CUT})),
    **dict.fromkeys(("hang_before_head", "head_then_hang", "stall_mid_body"), (504, {LATE})),
    **dict.fromkeys(("cut", "reset_mid_body", "cut_in_character", "long_content_length"), (502, {CUT})),
    **dict.fromkeys(("ended_early", "missing_terminator", "bad_json"), (502, {SERVER})),
    "short_content_length": (502, {SERVER}),
}
"""Of whole answers; those of streams before their first content are the same, as far as they can happen there. Two statuses: some vendors
call every 5xx a server error."""
PAIRS: tuple[tuple[SurfaceName, UpstreamDialect], ...] = (
    ("chat", "openai_chat"), ("chat", "anthropic"), ("messages", "anthropic"), ("messages", "openai_chat"), ("responses", "openai_chat"),
)  # fmt: skip


@pytest.fixture(scope="module")
def results() -> dict[str, list[Result]]:
    """Unary ones by mode, without a spare."""
    modes = [MODE_OF[name] for name in KINDS]
    every = [cell for surface, dialect in PAIRS for cell in cells(modes, [surface], [dialect], [False]) if not cell.streamed]
    found = defaultdict(list)
    for result in asked(every)[0]:
        found[result.cell.mode.name].append(result)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_each_fault_has_its_status_and_its_number(results: dict[str, list[Result]], name: str) -> None:
    status, kinds = KINDS[name]
    assert {result.status for result in results[name]} <= ({status} if isinstance(status, int) else set(status))
    assert {FaultKind(result.fault) for result in results[name]} <= kinds, [FaultKind(result.fault) for result in results[name]]


@pytest.mark.parametrize("name", KINDS)
def test_as_many_calls_are_made_as_the_route_allows_and_no_more(results: dict[str, list[Result]], name: str) -> None:
    again = results[name][0].cell.rule.again == "again"
    assert {result.attempts for result in results[name]} == {RETRIES.attempts if again else 1}


def test_the_table_knows_every_mode_that_ends_in_a_status() -> None:
    by_rule = {mode.name for mode in MODES if mode.unary and RULES[mode.unary].ends == ("status",)}
    assert by_rule == KINDS.keys() | {"html_error 429", "html_error 413"}


def test_a_retry_after_in_seconds_reaches_the_client_as_it_is() -> None:
    with FakeUpstream() as up, running_gateway(plan((fake(up, "one"),), (route("fake-1", "one"),))) as gateway:
        up.breaks(WireFault("rate_limited_seconds", retry_after="7"))
        assert answer(gateway.port, gateway.key).headers["retry-after"] == "7"


def answer(port: int, key: str) -> Received:
    ask = chat("hi", stream=True)
    with RawClient(port) as client:
        return client.send(request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {key}")).receive()


def test_a_broken_connection_is_not_used_again_and_a_good_one_is() -> None:
    broken: tuple[FaultName, ...] = ("cut", "reset_mid_body", "short_content_length", "close_after_answer")
    with FakeUpstream() as up, running_gateway(plan((fake(up, "one"),), (route("fake-1", "one"),))) as gateway:
        for name in broken:
            up.breaks(WireFault(name))
            answer(gateway.port, gateway.key)
        up.breaks(None)
        opened = up.connections
        for _ in range(5):
            assert answer(gateway.port, gateway.key).status == 200
        assert up.connections <= opened + 1
        up.wait_for(lambda: up.connections_open <= 1)
