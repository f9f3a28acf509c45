"""The server side of a connection: order, limits, deadlines and accounts, with a lane that answers when the test says so."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import VirtualLoop, Wire, virtual_loop

from setpoint.domain.faults import Fault
from setpoint.domain.plan import Limits
from setpoint.gateway import server
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.server import CLOSE_S, CONTINUE, HEADERS_MAX, LINGER_S, PIPELINE_MAX, ClientConnection, Request

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
LIMITS = Limits(body_bytes_max=1_000, bodies_bytes_max=3_000, head_bytes_max=2_000)


def post(body: bytes, path: bytes = b"/p", *lines: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (
        path,
        b"".join(line + b"\r\n" for line in lines),
        len(body),
        body,
    )


def chunked(*chunks: bytes, trailer: bytes = b"", lines: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)
    return b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n" + lines + b"\r\n" + body + b"0\r\n" + trailer + b"\r\n"


class Paused:
    """Work that counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def client_gone(self) -> None:
        self.told.append("gone")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Lane:
    """Remembers what was dispatched; `answer` answers the oldest, at once when `eager`."""

    def __init__(self, loop: VirtualLoop, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.deadlines = Deadlines(loop)
        self.draining = False
        self.body_bytes_held = 0
        self.full = False
        self.eager = False
        self.busy: Fault | None = None
        self.loop = loop
        self.connections: list[ClientConnection] = []
        self.waiting: list[tuple[ClientConnection, Request]] = []
        self.seen: list[Request] = []

    def opened(self, connection: ClientConnection) -> bool:
        self.connections.append(connection)
        return not self.full

    def closed(self, connection: ClientConnection) -> None:
        self.connections.remove(connection)

    def next_turn(self, callback: Callable[[], None]) -> None:
        self.loop.call_soon(callback)

    def dispatch(self, connection: ClientConnection, request: Request) -> None:
        self.seen.append(request)
        self.waiting.append((connection, request))
        if self.eager:
            self.answer()

    def at_head(self, connection: ClientConnection, request: Request) -> Fault | None:
        return self.busy

    def answer(self, data: bytes | None = None) -> Request:
        connection, request = self.waiting.pop(0)
        connection.write(b"<%b>" % request.target if data is None else data)
        connection.answered(keep_alive=request.keep_alive)
        self.loop.spin()
        return request

    def connect(self) -> Wire:
        connection = ClientConnection(self, "main", tls=False)
        wire = Wire(self.loop, connection)
        connection.connection_made(wire)
        return wire

    @property
    def targets(self) -> list[bytes]:
        return [request.target for request in self.seen]


@pytest.fixture
def lane() -> Iterator[Lane]:
    with virtual_loop() as loop:
        yield Lane(loop)


def refusal(lane: Lane) -> tuple[int, str]:
    """Status and words of the latest request, which must have been refused."""
    fault = lane.seen[-1].fault
    assert fault is not None
    return fault.status, fault.fault.message


# ---- order


def test_pipelined_requests_are_dispatched_one_at_a_time_in_order(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET + post(b"b") + GET.replace(b"/a", b"/z"))
    assert lane.targets == [b"/a"]
    for _ in range(3):
        lane.answer()
    assert lane.targets == [b"/a", b"/p", b"/z"]
    assert wire.sent == b"</a></p></z>"
    assert lane.body_bytes_held == 0


def test_what_comes_while_a_request_is_active_is_held_and_reading_pauses(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    wire.says(post(b"later"))
    assert (wire.paused, len(lane.seen)) == (True, 1)
    lane.answer()
    assert (wire.paused, lane.targets) == (False, [b"/a", b"/p"])
    assert lane.seen[1].body == b"later"


@given(st.lists(st.sampled_from([GET, post(b"body"), chunked(b"ab", b"c")]), min_size=1, max_size=6), st.data())
def test_requests_are_the_same_wherever_the_bytes_are_cut(requests: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(requests)
    with virtual_loop() as loop:
        lane = Lane(loop)
        lane.eager = True
        wire = lane.connect()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            if start < end:
                wire.says(whole[start:end])
                loop.spin()
        loop.spin(20)
        bodies = {GET: b"", post(b"body"): b"body", chunked(b"ab", b"c"): b"abc"}
        assert [request.body for request in lane.seen] == [bodies[each] for each in requests]
        assert all(request.fault is None for request in lane.seen)
        assert lane.body_bytes_held == 0


def test_a_pipeline_has_an_end(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET * (PIPELINE_MAX + 5))
    lane.eager = True
    lane.answer()
    lane.loop.spin(2 * PIPELINE_MAX)
    assert len(lane.seen) == PIPELINE_MAX + 1
    assert refusal(lane)[0] == 503
    assert wire.half_closed


def test_what_follows_a_closing_request_is_nobodys(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET.replace(b"host", b"connection: close\r\nhost") + GET)
    lane.answer()
    assert len(lane.seen) == 1
    assert wire.gone


def test_empty_lines_between_requests_leave_the_connection_with_a_deadline(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    wire.says(b"\r\n")
    lane.answer()
    lane.loop.advance(LIMITS.idle_s + 1)
    assert wire.gone


# ---- reading slowly


def test_a_client_that_does_not_read_gets_no_second_answer_to_pile_up(lane: Lane) -> None:
    wire = lane.connect()
    connection = lane.connections[0]
    wire.says(GET + GET)
    connection.pause_writing()
    lane.answer()
    wire.says(GET)
    lane.loop.spin()
    assert (len(lane.seen), wire.paused) == (1, True)
    connection.resume_writing()
    lane.loop.spin()
    assert len(lane.seen) == 2
    lane.answer()
    assert (len(lane.seen), wire.paused) == (3, False)


def test_a_client_that_never_reads_is_cut_off_in_the_end(lane: Lane) -> None:
    wire = lane.connect()
    wire.stuck = True
    wire.says(GET)
    lane.connections[0].pause_writing()
    lane.answer(b"x" * 100_000)
    lane.loop.advance(LIMITS.idle_s + 1)
    assert wire.closing
    assert not wire.aborted
    lane.loop.advance(2 * CLOSE_S + 1)
    assert wire.aborted


def test_a_client_that_takes_its_last_answer_slowly_is_waited_for(lane: Lane) -> None:
    wire = lane.connect()
    wire.stuck = True
    wire.says(GET.replace(b"host", b"connection: close\r\nhost"))
    lane.answer(b"x" * 1_000)
    for _ in range(8):
        lane.loop.advance(CLOSE_S * 0.9)
        wire.sent = wire.sent[100:]
    assert not wire.aborted
    lane.loop.advance(3 * CLOSE_S)
    assert wire.aborted


def test_work_is_told_to_pause_and_to_go_on(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    connection = lane.connections[0]
    work = connection.work = Paused()
    connection.pause_writing()
    connection.resume_writing()
    wire.ends()
    assert work.told == ["pause", "resume", "gone"]


# ---- 100-continue


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_100_continue_is_said_to_those_who_know_it(lane: Lane, version: bytes) -> None:
    wire = lane.connect()
    wire.says(b"POST /p HTTP/%b\r\nhost: x\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\n" % version)
    assert wire.take() == (CONTINUE if version == b"1.1" else b"")
    wire.says(b"hi")
    assert lane.seen[0].body == b"hi"


def test_100_continue_is_not_said_for_a_body_that_will_be_refused(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n")
    assert (wire.sent, refusal(lane)[0]) == (b"", 413)


def test_100_continue_waits_for_its_turn(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET + b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert wire.sent == b""
    lane.answer()
    assert wire.take() == b"</a>" + CONTINUE
    wire.says(b"hi")
    lane.answer()
    assert wire.take() == b"</p>"


def test_other_expectations_fail(lane: Lane) -> None:
    lane.connect().says(b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: a-pony\r\ncontent-length: 2\r\n\r\n")
    assert refusal(lane)[0] == 417


# ---- upgrades


@pytest.mark.parametrize("cut", [10, 60, 130, 150])
def test_an_upgrade_nobody_here_knows_is_ignored_and_the_body_stays_a_body(lane: Lane, cut: int) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    data = post(smuggled, b"/p", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"X-Twice: 1", b"X-Twice: 2")
    lane.eager = True
    wire = lane.connect()
    wire.says(data[:cut])
    wire.says(data[cut:] + GET)
    lane.loop.spin()
    assert lane.targets == [b"/p", b"/a"]
    first = lane.seen[0]
    assert (first.body, first.upgrade, first.keep_alive) == (smuggled, False, True)
    assert (first.headers[b"x-twice"], first.repeated) == (b"2", [(b"x-twice", b"1")])
    assert lane.body_bytes_held == 0


def test_a_websocket_is_handed_over_with_what_came_behind_it(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n" + b"\x81\x01a")
    wire.says(b"\x81\x01b")
    connection, request = lane.waiting[0]
    assert request.upgrade
    got: list[bytes] = []

    class Other:
        def from_client(self, data: bytes) -> None:
            got.append(data)

        def client_lost(self) -> None:
            got.append(b"lost")

    connection.spliced = Other()
    assert connection.take_held() == b"\x81\x01a\x81\x01b"
    connection.resume_reading()
    wire.says(b"\x81\x01c")
    wire.ends()
    assert got == [b"\x81\x01c", b"lost"]


def test_http_2_is_told_what_is_spoken_here(lane: Lane) -> None:
    lane.connect().says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    status, text = refusal(lane)
    assert (status, "HTTP/1.1" in text) == (505, True)


# ---- limits


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "more than one Host"),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", 405, "CONNECT"),
        (b"GET /a HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 2_000 + b"\r\n\r\n", 431, "2000 bytes"),
        (b"GET /" + b"y" * 2_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 431, "2000 bytes"),
        (b"GET /a HTTP/1.1\r\nhost: a\r\n" + b"".join(b"%d: \r\n" % no for no in range(HEADERS_MAX)) + b"\r\n", 431, "fields"),
        (post(b"x" * 1_001), 413, "1000 bytes"),
        (chunked(b"x" * 600, b"x" * 600), 413, "1000 bytes"),
        (b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "not valid"),
        (b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "not valid"),
        (b"\x16\x03\x01\x02\x00", 400, "not valid"),
    ],
)
def test_what_is_refused_says_why_and_is_the_last(lane: Lane, data: bytes, status: int, says: str) -> None:
    wire = lane.connect()
    wire.says(data)
    found, text = refusal(lane)
    assert (found, says in text) == (status, True), text
    lane.answer()
    wire.says(GET)
    assert len(lane.seen) == 1
    wire.ends()
    assert (lane.body_bytes_held, lane.connections) == (0, [])


@pytest.mark.parametrize(
    "data", [b"GET /a HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 1_900 + b"\r\n\r\n", post(b"x" * 1_000), chunked(b"x" * 999)]
)
def test_what_just_fits_is_taken(lane: Lane, data: bytes) -> None:
    lane.connect().says(data)
    assert lane.seen[0].fault is None


def test_a_head_that_is_large_only_with_its_body_is_taken(lane: Lane) -> None:
    lane.limits = Limits(head_bytes_max=200)
    lane.connect().says(post(b"x" * 5_000))
    assert lane.seen[0].fault is None


def test_a_head_in_pieces_has_the_same_limit(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(b"GET /a HTTP/1.1\r\nhost: a\r\nx: ")
    for _ in range(21):
        wire.says(b"y" * 100)
    assert refusal(lane)[0] == 431


def test_a_large_body_leaves_the_next_head_its_whole_limit(lane: Lane) -> None:
    lane.limits = Limits(head_bytes_max=500)
    lane.eager = True
    wire = lane.connect()
    whole = post(b"x" * 5_000)
    for start in range(0, len(whole), 1_000):
        wire.says(whole[start : start + 1_000])
    wire.says(GET[:10])
    wire.says(GET[10:])
    assert [request.fault for request in lane.seen] == [None, None]


def test_a_head_behind_another_request_has_the_same_limit(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET + b"GET /b HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 2_500 + b"\r\n\r\n")
    lane.answer()
    assert refusal(lane)[0] == 431


def test_trailers_change_nothing_that_the_head_said(lane: Lane) -> None:
    lane.connect().says(
        chunked(b"ab", trailer=b"authorization: Bearer other\r\nx-new: 1\r\nhost: y\r\n", lines=b"authorization: Bearer mine\r\n")
    )
    request = lane.seen[0]
    assert request.fault is None
    assert request.headers == {b"host": b"x", b"transfer-encoding": b"chunked", b"authorization": b"Bearer mine"}
    assert request.repeated == []


@pytest.mark.parametrize("piece", [b"x-more: yes\r\n", b"a" * 40])
def test_trailers_without_end_are_refused(lane: Lane, piece: bytes) -> None:
    wire = lane.connect()
    wire.says(b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ")
    for _ in range(500):
        wire.says(piece)
    assert refusal(lane)[0] == 400


def test_small_chunks_are_no_offence(lane: Lane) -> None:
    wire = lane.connect()
    data = chunked(*[b"a"] * 900)
    for start in range(0, len(data), 50):
        wire.says(data[start : start + 50])
    assert lane.seen[0].body == b"a" * 900


# ---- deadlines


def test_a_connection_that_says_nothing_is_closed(lane: Lane) -> None:
    wire = lane.connect()
    lane.loop.advance(LIMITS.head_s - 0.1)
    assert not wire.closing
    lane.loop.advance(0.2)
    assert (wire.gone, lane.seen) == (True, [])


@pytest.mark.parametrize(
    ("first", "more", "limit_s", "part"), [(GET[:20], b"x", 10.0, "head"), (post(b"x" * 900)[:80], b"x", 60.0, "body")]
)
def test_a_request_that_trickles_in_has_one_deadline(lane: Lane, first: bytes, more: bytes, limit_s: float, part: str) -> None:
    wire = lane.connect()
    wire.says(first)
    for _ in range(3):
        lane.loop.advance(limit_s / 3 - 0.1)
        wire.says(more)
    assert lane.seen == []
    lane.loop.advance(1)
    status, text = refusal(lane)
    assert (status, part in text) == (408, True)


def test_a_connection_at_rest_is_closed_but_not_while_its_answer_is_made(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    lane.loop.advance(10 * LIMITS.idle_s)
    assert not wire.closing
    lane.answer()
    lane.loop.advance(LIMITS.idle_s - 1)
    assert not wire.closing
    lane.loop.advance(2)
    assert wire.gone
    assert len(lane.deadlines) == 0


def test_half_a_request_behind_an_active_one_has_its_deadline_when_its_turn_comes(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET + post(b"abc")[:-1])
    lane.loop.advance(100)
    lane.answer()
    assert len(lane.seen) == 1
    lane.loop.advance(LIMITS.body_s + 1)
    assert refusal(lane)[0] == 408


def test_a_refused_client_may_go_on_sending_for_a_moment_and_reads_the_refusal(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(post(b"x" * 2_000)[:500])
    lane.answer(b"413")
    assert (wire.half_closed, wire.closing) == (True, False)
    wire.says(b"x" * 1_500)
    lane.loop.advance(LINGER_S + 0.2)
    assert wire.gone
    assert lane.body_bytes_held == 0


# ---- accounts


def test_bodies_of_all_connections_together_have_a_limit(lane: Lane) -> None:
    wires = [lane.connect() for _ in range(4)]
    for wire in wires[:3]:
        wire.says(post(b"x" * 1_000))
    wires[3].says(post(b"x"))
    assert refusal(lane)[0] == 503
    for _ in range(4):
        lane.answer()
    assert lane.body_bytes_held == 0


@pytest.mark.parametrize(
    "data",
    [
        post(b"x" * 100),
        post(b"x" * 100)[:-1],
        post(b"x" * 100) + post(b"y" * 50),
        GET + post(b"x" * 100)[:-20],
        post(b"x" * 100) + post(b"y" * 50)[:-1],
        chunked(b"x" * 600)[:-4],
        post(b"x" * 1_001)[:500],
    ],
)
@pytest.mark.parametrize("answers", [0, 1])
def test_a_client_that_leaves_gives_its_bodies_back(lane: Lane, data: bytes, answers: int) -> None:
    wire = lane.connect()
    wire.says(data)
    if answers and lane.waiting:
        lane.answer()
    wire.ends(ConnectionResetError())
    assert (lane.body_bytes_held, lane.connections) == (0, [])


def test_an_answer_after_the_client_left_changes_no_account(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(post(b"x" * 100))
    wire.ends()
    lane.answer()
    assert (lane.body_bytes_held, wire.sent) == (0, b"")


def test_one_connection_too_many_is_cut(lane: Lane) -> None:
    lane.full = True
    wire = lane.connect()
    lane.loop.spin()
    assert (wire.aborted, lane.connections) == (True, [])


# ---- HTTP/1.0 and small things


@pytest.mark.parametrize(("lines", "stays"), [(b"", False), (b"connection: keep-alive\r\n", True)])
def test_http_1_0_is_served_without_host_and_without_chunks(lane: Lane, lines: bytes, stays: bool) -> None:
    wire = lane.connect()
    wire.says(b"GET /old HTTP/1.0\r\n" + lines + b"\r\n")
    connection, request = lane.waiting[0]
    assert (request.http10, request.keep_alive, connection.chunked, request.fault) == (True, stays, False, None)
    connection.write_piece(b"ab")
    assert wire.take() == b"ab"
    lane.answer()
    assert wire.closing is not stays


def test_pieces_are_chunks_for_everybody_else(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    lane.connections[0].write_piece(b"0123456789abcdef")
    assert wire.sent == b"10\r\n0123456789abcdef\r\n"


def test_idle_means_nothing_under_way_and_nothing_half_read(lane: Lane) -> None:
    wire = lane.connect()
    connection = lane.connections[0]
    idle = [connection.idle]
    for piece in (GET[:5], GET[5:]):
        wire.says(piece)
        idle.append(connection.idle)
    lane.answer()
    assert [*idle, connection.idle] == [True, False, False, True]


def test_a_bug_in_a_callback_is_not_called_the_clients_fault(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(server.ClientConnection, "on_headers_complete", bug)
    wire = lane.connect()
    with pytest.raises(RuntimeError, match="a bug"):
        wire.says(GET)
