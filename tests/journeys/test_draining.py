"""A worker that is told to leave loses nothing that it accepted; one that is alone serves on. On the real worker, and on a real tree."""

import socket
import threading
from pathlib import Path

from tests.app.process_tree import process_tree

from setpoint.app.ctl_client import ask as ask_supervisor
from setpoint.testing.conversation import chat
from setpoint.testing.gateway import RunningGateway, wait_for
from setpoint.testing.hearing import heard_text, sse_error
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.stage import stage
from setpoint.testing.wire_faults import WireFault

WORDS = ["word "] * 60
ROLLS = 2


def asked(gateway: RunningGateway, prompt: str = "hi", *, stream: bool = False) -> bytes:
    wanted = chat(prompt, stream=stream)
    return request_bytes("POST", wanted.path, wanted.body(), authorization=f"Bearer {gateway.key}")


def ask_until_closed(client: RawClient, message: bytes) -> list[Received]:
    """Asks again and again, until an answer says that the connection ends."""
    answers: list[Received] = []
    while not answers or answers[-1].headers.get("connection") != "close":
        answers.append(client.send(message).receive())
    return answers


def test_streams_that_are_under_way_finish_and_open_connections_are_told_to_close() -> None:
    with stage() as on:
        on.openai.says(text(*WORDS))
        on.openai.breaks(WireFault("slow_drip", drip_s=0.01))
        gateway = on.gateway
        with RawClient(gateway.port) as streaming, RawClient(gateway.port) as open_one, RawClient(gateway.port) as unary:
            streaming.send(asked(gateway, stream=True)).read_until(b"word")
            open_one.send(request_bytes("GET", "/health/live")).receive()
            unary.send(asked(gateway))
            on.openai.wait_for_requests(2)
            gateway.tell("drain 20 stop")
            answers = ask_until_closed(open_one, request_bytes("GET", "/v1/models", authorization=f"Bearer {gateway.key}"))
            assert {answer.status for answer in answers} == {200}
            assert open_one.wait_for_end() == "closed"
            whole, one = streaming.receive(), unary.receive()
            assert (whole.complete, heard_text(whole), sse_error(whole.body)) == (True, "".join(WORDS), None)
            assert (one.status, one.complete) == (200, True)
            assert (streaming.wait_for_end(), unary.wait_for_end()) == ("closed", "closed")
        assert len(gateway.wait_for_ends(2)) == 2, "and each has its trace"


def test_a_stream_that_is_not_over_in_time_ends_with_an_error_event() -> None:
    with stage() as on:
        on.openai.says(text(*WORDS))
        on.openai.breaks(WireFault("stall_mid_body", after_pieces=5))
        with RawClient(on.gateway.port) as client:
            client.send(asked(on.gateway, stream=True)).read_until(b"word")
            on.gateway.tell("drain 0.3 stop")
            answer = client.receive()
        assert answer.complete
        error = sse_error(answer.body)
        assert error is not None
        assert "shutting down" in error["message"]


def test_connections_that_wait_to_be_accepted_are_served_by_a_worker_that_leaves() -> None:
    with stage() as on:
        with RawClient(on.gateway.port) as first:
            first.send(asked(on.gateway)).receive()
            clients = [RawClient(on.gateway.port) for _ in range(50)]
            on.gateway.tell("drain 20 stop")
            answers = [client.send(asked(on.gateway, f"{no}")).receive() for no, client in enumerate(clients)]
            for client in clients:
                client.close()
        assert [answer.status for answer in answers] == [200] * 50
        assert {answer.headers.get("connection") for answer in answers[-10:]} == {"close"}


def test_inference_goes_on_from_the_last_snapshot_while_the_engine_is_down() -> None:
    with stage() as on:
        Path(on.gateway.engine_path).unlink()
        with RawClient(on.gateway.port) as client:
            managed = client.send(request_bytes("GET", "/api/v1/keys", authorization=f"Bearer {on.keys['admin']}")).receive()
            assert (managed.status, managed.headers["retry-after"]) == (503, "1")
            assert client.send(asked(on.gateway)).receive().status == 200
            assert client.send(request_bytes("GET", "/health/live")).receive().status == 200


class Asker(threading.Thread):
    """Asks over one connection, and opens the next one when that ends."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.done = threading.Event()
        self.statuses: list[int] = []

    def run(self) -> None:
        while not self.done.is_set():
            with RawClient(self.port) as client:
                while not self.done.is_set():
                    answer = client.send(request_bytes("GET", "/health/live")).receive()
                    self.statuses.append(answer.status)
                    if answer.headers.get("connection") == "close" or not answer.complete:
                        break


def test_real_workers_are_replaced_without_a_failed_request(tmp_path: Path) -> None:
    with process_tree(
        tmp_path / "data", engine=True, published=False, worker_entry="setpoint.app.worker:run", drain_s=10, stop_s=20
    ) as tree:
        wait_for(lambda: _answers(tree.port), "the first answer")
        askers = [Asker(tree.port) for _ in range(4)]
        for asker in askers:
            asker.start()
        rolled = [ask_supervisor(tree.data_dir, "roll", 60) for _ in range(ROLLS)]
        counts = [len(asker.statuses) for asker in askers]
        wait_for(lambda: all(len(a.statuses) > count + 50 for a, count in zip(askers, counts, strict=True)), "more answers")
        for asker in askers:
            asker.done.set()
            asker.join()
    assert [answer["error"] for answer in rolled] == [None] * ROLLS
    assert {status for asker in askers for status in asker.statuses} == {200}


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
