"""Restart torture: kills every part of a running gateway under load, many times, and counts the requests that failed.

    python tools/restart_torture.py [--rounds 100] [--keep-going]

A real tree (the settings that `setpoint init` writes, on a free port) answers from the simulated models, while clients of several
kinds ask without a pause: a new connection for each request, keep-alive, streamed, and the management interface; then all of them
again over TLS. Each round does one thing to the tree:

    worker zygote engine ingest query   kill -9, then wait until it is back
    roll                                a rolling restart
    stop                                SIGTERM, then a new supervisor
    supervisor                          kill -9, then a new supervisor

What may fail: a request that a killed worker held (its connection was accepted there),
and 503 on management paths while the engine is away.
The listening sockets are held by this program and passed as systemd does, so that connections wait while there is no supervisor; with
`--no-activation` the supervisor binds itself, and connections refused while nobody listens are counted apart.

Prints one row per kind of round: rounds, requests answered, failed although nobody who held them was killed, held by the killed, longest
wait. Exits 1 when the first failure column is not 0.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from setpoint.app.ctl_client import SupervisorGoneError, ask
from setpoint.testing.certificates import self_signed

ACTS = ("worker", "zygote", "engine", "ingest", "query", "roll", "stop", "supervisor")
ALL_ACTS = (*ACTS, "sim")
"""A killed upstream opens the circuits of the workers for 30 s, as it should; so that act is not mixed with the others."""
PATIENCE_S = 30.0
ANSWER_S = 20.0
BODY = {"model": "sim/echo", "messages": [{"role": "user", "content": "one two three"}]}
SLOW = {"model": "sim/fast", "stream": True, "max_tokens": 40, "messages": [{"role": "user", "content": "tell me more"}]}


@dataclass
class Tally:
    """What happened to the requests of one kind of round."""

    rounds: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    held: int = 0
    refused: int = 0
    longest_ms: float = 0.0


@dataclass
class Outcome:
    """One request that did not end well."""

    kind: str
    text: str


class Gateway:
    """The tree under torture."""

    def __init__(self, folder: Path, *, tls: bool, activation: bool) -> None:
        self.folder, self.tls = folder, tls
        self.data_dir = folder / "data"
        self.main = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.main.getsockname()[1]
        self.activation = activation
        self.key = ""
        self.log = folder / "log"
        if not activation:
            self.main.close()

    def start(self) -> None:
        """A new supervisor; returns when all is ready."""
        environment = {**os.environ, "SETPOINT_KEYS__ADMIN": "sk-sp-torture00000-" + "t" * 40}
        config = str(self.folder / "setpoint.yaml")
        argv = [sys.executable, "-c", _LAUNCH, str(self.main.fileno() if self.activation else -1), "serve", "-c", config]
        overrides = [
            f"server.port={self.port}", "server.metrics_port=null", f"storage.data_dir={self.data_dir}", "providers.local.enabled=false",
            "observability.log.format=json", "limits.roles.admin.rpm=0", "limits.roles.admin.burst=0",
            *([f"server.tls.cert={self.folder / 'cert.pem'}", f"server.tls.key={self.folder / 'key.pem'}"] if self.tls else []),
        ]  # fmt: skip
        for override in overrides:
            argv += ["--set", override]
        with self.log.open("ab") as log:
            passed = (self.main.fileno(),) if self.activation else ()
            self.process = subprocess.Popen(argv, stderr=log, stdout=log, pass_fds=passed, env=environment, start_new_session=True)
        self.key = environment["SETPOINT_KEYS__ADMIN"]

    def end(self) -> None:
        """No supervisor any more, whatever state it is in."""
        self.process.kill()
        self.process.wait()

    def status(self) -> dict[str, Any]:
        try:
            return ask(self.data_dir, "status", 5)
        except SupervisorGoneError:
            return {"services": [], "pid": None}

    def pids(self) -> dict[str, int]:
        return {s["name"]: s["pid"] for s in self.status()["services"] if s["pid"] and s["state"] == "Running"}

    async def wait_ready(self, but: dict[str, int] | None = None) -> None:
        """Until every service runs, and none of those in `but` still under its old pid."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            status = await asyncio.to_thread(self.status)
            states = [s["state"] for s in status["services"]]
            pids = {s["name"]: s["pid"] for s in status["services"]}
            if states and set(states) == {"Running"} and all(pids.get(name) != pid for name, pid in (but or {}).items()):
                return
            await asyncio.sleep(0.02)
        raise SystemExit(f"the tree did not come back: {states}; the end of its log:\n{self.log.read_text()[-3000:]}")


_LAUNCH = """
import os, sys
fd = int(sys.argv[1])
if fd >= 0:
    os.dup2(fd, 3)
    os.environ["LISTEN_FDS"] = "1"
del sys.argv[1]
from setpoint.cli.main import main
main()
"""


class Client:
    """One client of one kind, asking without a pause."""

    def __init__(self, kind: str, gateway: Gateway, tls: ssl.SSLContext | None) -> None:
        self.kind, self.gateway, self.tls = kind, gateway, tls
        self.answered = 0
        self.longest_s = 0.0
        self.outcomes: list[Outcome] = []
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self.once()
                self.answered += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
            except (OSError, asyncio.IncompleteReadError, EOFError, ValueError) as error:
                self.outcomes.append(Outcome(self.kind, repr(error)))
                self.close()
                await asyncio.sleep(0.005)

    async def once(self) -> None:
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.gateway.port, ssl=self.tls)
        fresh = self.kind in ("new", "stream")
        path = "/api/v1/services" if self.kind == "manage" else "/v1/chat/completions"
        body = {"manage": None, "stream": SLOW}.get(self.kind, BODY)
        sent = json.dumps(body).encode() if body else b""
        head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {self.gateway.key}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(sent)}\r\n"
        head += f"{'connection: close' if fresh else 'x-keep: yes'}\r\n\r\n"
        self.writer.write(head.encode() + sent)
        status, closes, answer = await read_answer(self.reader)
        if self.kind == "manage" and status == 503:
            pass  # the engine may be away for a moment; the worker says so
        elif status != 200:
            raise ValueError(f"status {status}: {answer[:120]!r}")
        elif self.kind == "stream" and b"data: [DONE]" not in answer:
            raise ValueError(f"a stream was cut after {len(answer)} bytes: {answer[-120:]!r}")
        if closes or fresh:
            self.close()

    def close(self) -> None:
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the connection closes, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, closes = int(head.split(b" ", 2)[1]), b"connection: close" in head
    if found := re.search(rb"content-length: (\d+)", head):
        return status, closes, await reader.readexactly(int(found[1]))
    if b"transfer-encoding: chunked" not in head:
        return status, True, await reader.read(-1)
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, closes, body


async def act(gateway: Gateway, what: str) -> None:
    """Does it, and waits until the tree is whole again."""
    pids = gateway.pids()
    if what == "worker":
        name = random.choice([name for name in pids if name.startswith("worker-")])
        os.kill(pids[name], signal.SIGKILL)
        await gateway.wait_ready({name: pids[name]})
    elif what == "roll":
        answer = await asyncio.to_thread(ask, gateway.data_dir, "roll", PATIENCE_S)
        if answer["error"]:
            raise SystemExit(f"the roll failed: {answer}")
        await gateway.wait_ready()
    elif what in ("stop", "supervisor"):
        gateway.process.send_signal(signal.SIGTERM if what == "stop" else signal.SIGKILL)
        code = await asyncio.to_thread(gateway.process.wait, 60)
        if what == "stop" and code != 0:
            raise SystemExit(f"a graceful stop ended with {code}")
        gateway.start()
        await gateway.wait_ready(pids)
    else:
        os.kill(pids[what], signal.SIGKILL)
        await gateway.wait_ready({what: pids[what]})


def judge(outcomes: list[Outcome], what: str, tally: Tally, examples: list[str]) -> None:
    """A request broken by a kill of its worker breaks with a reset or an early end; so many may be held as there are clients."""
    for outcome in outcomes:
        broken = any(word in outcome.text for word in ("IncompleteRead", "ConnectionReset", "BrokenPipe", "cut after"))
        if ("ConnectionRefused" in outcome.text or "Connect call failed" in outcome.text) and what in ("stop", "supervisor"):
            tally.refused += 1
        elif (what == "worker" and broken) or (what == "sim" and ("status 5" in outcome.text or "cut after" in outcome.text)):
            tally.held += 1
        else:
            tally.failed[outcome.kind] += 1
            if len(examples) < 12:
                examples.append(f"{what}: {outcome.kind}: {outcome.text[:200]}")


async def torture(arguments: argparse.Namespace, folder: Path, *, tls: bool, tallies: dict[str, Tally], examples: list[str]) -> None:
    client_tls = make_certificate(folder) if tls else None
    gateway = Gateway(folder, tls=tls, activation=not arguments.no_activation)
    gateway.start()
    kinds = ["new", "new", "keep-alive", "keep-alive", "keep-alive", "stream", "stream", "stream", "manage"]
    clients = [Client(kind, gateway, client_tls) for kind in kinds]
    tasks: list[asyncio.Task[None]] = []
    acts = arguments.acts or ACTS
    try:
        await gateway.wait_ready()
        tasks += [asyncio.create_task(client.run()) for client in clients]
        for number in range(arguments.rounds):
            what = acts[number % len(acts)]
            tally = tallies.setdefault(what + (" tls" if tls else ""), Tally())
            for client in clients:
                client.outcomes.clear()
                client.answered, client.longest_s = 0, 0.0
            await asyncio.sleep(random.uniform(0.02, 0.2))
            await act(gateway, what)
            await asyncio.sleep(0.2)
            tally.rounds += 1
            tally.answered += sum(client.answered for client in clients)
            tally.longest_ms = max(tally.longest_ms, *(client.longest_s * 1000 for client in clients))
            judge([o for client in clients for o in client.outcomes], what, tally, examples)
            print(f"\r{number + 1}/{arguments.rounds} {what:<12}", end="", file=sys.stderr, flush=True)
    finally:
        for task in tasks:
            task.cancel()
        gateway.end()
        print(file=sys.stderr)


def make_certificate(folder: Path) -> ssl.SSLContext:
    certificate = self_signed()
    (folder / "cert.pem").write_bytes(certificate.cert_pem)
    (folder / "key.pem").write_bytes(certificate.key_pem)
    context = ssl.create_default_context(cadata=certificate.cert_pem.decode())
    context.check_hostname = False
    return context


def report(tallies: dict[str, Tally]) -> bool:
    print(f"{'act':<16}{'rounds':>7}{'answered':>10}{'failed':>8}{'held':>6}{'refused':>9}{'longest ms':>12}")
    for what, tally in tallies.items():
        failed = sum(tally.failed.values())
        print(f"{what:<16}{tally.rounds:>7}{tally.answered:>10}{failed:>8}{tally.held:>6}{tally.refused:>9}{tally.longest_ms:>12.0f}")
    return not any(tally.failed for tally in tallies.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=99, help="rounds on the plain listener; half as many more with TLS")
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--no-activation", action="store_true", help="the supervisor binds the port itself")
    parser.add_argument("acts", nargs="*", choices=[*ALL_ACTS, []], help="only these")
    arguments = parser.parse_args()
    tallies: dict[str, Tally] = {}
    examples: list[str] = []
    with tempfile.TemporaryDirectory(prefix="setpoint-torture-") as folder:
        for tls in [False] if arguments.no_tls else [False, True]:
            place = Path(folder) / ("tls" if tls else "plain")
            place.mkdir()
            subprocess.run([sys.executable, "-c", "from setpoint.cli.main import main; main()", "init"], cwd=place, check=True)
            asyncio.run(torture(arguments, place, tls=tls, tallies=tallies, examples=examples))
        clean = report(tallies)
        for example in examples:
            print(example)
        if not clean:
            kept = Path(tempfile.mkdtemp(prefix="setpoint-torture-log-"))
            for log in Path(folder).glob("*/log"):
                (kept / f"{log.parent.name}.log").write_bytes(log.read_bytes())
            print(f"logs: {kept}")
    sys.exit(not clean)


if __name__ == "__main__":
    main()
