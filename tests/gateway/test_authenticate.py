"""Who is asking, wherever the client's SDK puts the key."""

import pytest
from tests.gateway.world import TOKEN, WALL_NS, ask, headers_of, key_table, plan_of, status_of, world

from setpoint.domain.faults import Fault
from setpoint.domain.plan import RoleLimit
from setpoint.domain.principal import ROLES, Principal
from setpoint.gateway import published as published_module
from setpoint.gateway.server import Request
from setpoint.gateway.stages.authenticate import EXPIRED, MISSING, TOKEN_BYTES_MAX, UNKNOWN, identify, token_of
from setpoint.gateway.stages.limit import limit_lines, over_limit
from setpoint.ports.limit_ledger import Grant


def request(target: str = "/v1/chat/completions", **headers: str) -> Request:
    made = Request()
    made.target = target.encode()
    made.headers = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return made


@pytest.mark.parametrize(
    ("sent", "token"),
    [
        (request(authorization="Bearer abc"), b"abc"),
        (request(authorization="bearer   abc "), b"abc"),
        (request(authorization="Basic abc"), b""),
        (request(authorization="Bearer"), b""),
        (request(authorization="Basic abc", x_api_key="k"), b"k"),
        (request(x_api_key="k"), b"k"),
        (request(api_key="k"), b"k"),
        (request(x_goog_api_key="k"), b"k"),
        (request(authorization="Bearer abc", x_api_key="k"), b"abc"),
        (request("/v1/x?key=k&a=b"), b"k"),
        (request("/v1/x?a=b&key=k%2Dz"), b"k-z"),
        (request("/v1/x?monkey=k"), b""),
        (request("/v1/x?key="), b""),
        (request("/v1/x?key=one&key=two"), b"one"),
        (request(), b""),
    ],
)
def test_the_key_is_found_in_all_its_places(sent: Request, token: bytes) -> None:
    assert token_of(sent) == token


def answer_to(token: str, *principals: Principal, wall_s: float = WALL_NS / 1e9, required: bool = True) -> object:
    with world(plan_of(keys_required=required), key_table(*principals or (Principal(7, "p", "developer"),))) as w:
        sent = request(authorization=f"Bearer {token}") if token else request()
        return identify(w.lane.published, sent, lambda: wall_s)


def test_no_key_an_unknown_key_and_an_absurd_key_are_told_apart() -> None:
    assert answer_to("") is MISSING
    assert answer_to("other") is UNKNOWN
    assert answer_to("x" * (TOKEN_BYTES_MAX + 1)) is UNKNOWN


def test_without_required_keys_everybody_is_a_developer_but_a_wrong_key_is_still_wrong() -> None:
    found = answer_to("", required=False)
    assert not isinstance(found, Fault)
    assert found.principal.role == "developer"  # type: ignore[attr-defined]
    assert answer_to("other", required=False) is UNKNOWN


@pytest.mark.parametrize(("wall_s", "good"), [(999.9, True), (1_000.0, False), (1_000.1, False)])
def test_a_key_expires_on_the_second(wall_s: float, good: bool) -> None:
    found = answer_to(TOKEN, Principal(7, "p", "developer", expires_s=1_000), wall_s=wall_s)
    assert (found is not EXPIRED) is good


def test_a_key_that_expires_while_it_is_remembered_is_refused() -> None:
    now_s = 10.0
    with world(keys=key_table(Principal(7, "p", "developer", expires_s=20))) as w:
        sent = request(authorization=f"Bearer {TOKEN}")
        assert not isinstance(identify(w.lane.published, sent, lambda: now_s), Fault)
        now_s = 20.0
        assert identify(w.lane.published, sent, lambda: now_s) is EXPIRED


def test_what_is_remembered_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_module, "MEMO_MAX", 5)
    with world() as w:
        for no in range(20):
            assert w.lane.published.caller(b"%d" % no) is None
            assert len(w.lane.published._callers) <= 5
        assert w.lane.published.caller(TOKEN.encode()) is w.lane.published.caller(TOKEN.encode())


@pytest.mark.parametrize("role", ROLES)
def test_only_some_roles_may_call_a_model(role: str) -> None:
    with world(keys=key_table(Principal(7, "p", role))) as w:  # type: ignore[arg-type]  # one of ROLES
        client = w.client()
        client.says(ask())
        w.loop.spin()
        refused = role in ("viewer", "billing", "auditor")
        assert (status_of(client.sent) == 403 if refused else client.sent == b"") is True


def test_a_refusal_is_in_the_clients_dialect_and_recorded() -> None:
    with world() as w:
        client = w.client()
        client.says(ask(token="nobody"))
        client.says(ask(token="").replace(b"/chat/completions", b"/messages", 1))
        w.loop.spin()
        assert client.sent.count(b"HTTP/1.1 401") == 2
        assert b'"type":"authentication_error"' in client.sent
        assert [end.head.status for end in w.sink.ends()] == [401, 401]
        assert w.clean


# ---- limits


@pytest.mark.parametrize(
    ("principal", "role_limit", "rpm", "burst"),
    [
        (Principal(1, "p", "developer"), None, 10_000, 12_000),
        (Principal(1, "p", "developer"), RoleLimit(7, 9), 7, 9),
        (Principal(1, "p", "developer", rpm=100), None, 100, 120),
        (Principal(1, "p", "developer", rpm=1), None, 1, 1),
        (Principal(1, "p", "developer", rpm=100, burst=3), None, 100, 3),
        (Principal(1, "p", "developer"), RoleLimit(0, 0), 0, 0),
    ],
)
def test_the_key_s_own_limit_comes_before_its_roles(principal: Principal, role_limit: RoleLimit | None, rpm: int, burst: int) -> None:
    limits = {} if role_limit is None else {"developer": role_limit}
    with world(plan_of(role_limits=limits), key_table(principal)) as w:
        caller = w.lane.published.caller(TOKEN.encode())
        assert caller is not None
        assert (caller.rpm, caller.burst) == (rpm, burst)
        lines = limit_lines(caller, Grant(allowed=True, remaining=-1, reset_s=1.2, retry_after_s=0))
        assert (lines == b"") is (rpm == 0)


def test_limit_lines_are_whole_numbers_in_both_spellings() -> None:
    with world(keys=key_table(Principal(1, "p", "developer", rpm=60, burst=5))) as w:
        caller = w.lane.published.caller(TOKEN.encode())
        assert caller is not None
        assert limit_lines(caller, Grant(allowed=True, remaining=4, reset_s=0.3, retry_after_s=0)) == (
            b"x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 4\r\nx-ratelimit-reset-requests: 1s\r\n"
            b"X-RateLimit-Limit: 60\r\nX-RateLimit-Remaining: 4\r\nX-RateLimit-Reset: 1\r\n"
        )
        fault = over_limit(caller, Grant(allowed=False, remaining=0, reset_s=5, retry_after_s=0.25))
        assert (fault.retry_after_s, "60 requests a minute (burst 5)" in fault.message) == (0.25, True)


def test_a_refused_request_says_when_to_come_back_and_reads_no_body() -> None:
    with world() as w:
        w.ledger.grant = Grant(allowed=False, remaining=0, reset_s=9, retry_after_s=1.5)
        client = w.client()
        client.says(ask().replace(b'{"model"', b'{"modem"'))
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["retry-after"], found["retry-after-ms"]) == (429, "2", "1500")
        assert found["x-ratelimit-remaining-requests"] == "0"
        assert w.ledger.taken == [(7, 10_000, 12_000)]


def test_a_key_without_a_limit_takes_nothing_from_any_bucket() -> None:
    with world(plan_of(role_limits={"developer": RoleLimit(0, 0)})) as w:
        client = w.client()
        client.says(ask())
        w.loop.spin()
        assert w.ledger.taken == []
