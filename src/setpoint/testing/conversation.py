"""Conversation tests: what a client, the gateway and its upstreams say to each other, readable by anyone on call.

    await (
        talk(gateway, {"eu-1": eu, "us-1": us})
        .client(chat("hi"))
        .upstream("eu-1", sees=chat("hi"), says=status(503))
        .upstream("us-1", sees=chat("hi"), says=text("hello"))
        .client_sees(text("hello"), attempts=2)
    )

The lines are in the order in which things must happen. Nothing is sent until the conversation is awaited (or `hold`); then the whole
of it is compared, and the first difference is raised as a `Mismatch` that shows the conversation as it really went.
"""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any, Protocol, Self

import msgspec

from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.hearing import heard_text
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import Refusal, Reply, Says, text
from setpoint.testing.upstream_book import Seen

CHAT_PATH = "/v1/chat/completions"
MESSAGES_PATH = "/v1/messages"


class Mismatch(AssertionError):
    """What happened is not what was said to happen."""


class Ask(msgspec.Struct, frozen=True):
    """A client's request. `members` are further members of its body."""

    path: str
    prompt: str
    model: str = "fake-1"
    stream: bool = False
    members: dict[str, Any] = {}

    def body(self) -> bytes:
        streamed = {"stream": True} if self.stream else {}
        messages = [{"role": "user", "content": self.prompt}]
        return msgspec.json.encode({"model": self.model, "messages": messages, "max_tokens": 100, **streamed, **self.members})


def chat(prompt: str, *, model: str = "fake-1", stream: bool = False, **members: Any) -> Ask:
    """An OpenAI chat request."""
    return Ask(CHAT_PATH, prompt, model, stream, members)


def messages(prompt: str, *, model: str = "fake-1", stream: bool = False, **members: Any) -> Ask:
    """An Anthropic messages request."""
    return Ask(MESSAGES_PATH, prompt, model, stream, members)


class Gateway(Protocol):
    """What a conversation needs of a gateway."""

    port: int
    key: str


class _Turn(msgspec.Struct):
    """One upstream's part: what it must see, what it then says."""

    name: str
    sees: Ask | None
    says: Says | None


class Conversation:
    """See the module. Every method returns the conversation itself; awaiting it (or `hold`) lets it take place."""

    def __init__(self, gateway: Gateway, upstreams: Mapping[str, FakeUpstream]) -> None:
        self._gateway = gateway
        self._upstreams = upstreams
        self._ask: Ask | None = None
        self._headers: dict[str, str] = {}
        self._turns: list[_Turn] = []
        self._expected: Reply | Refusal | None = None
        self._attempts: int | None = None
        self._expected_headers: dict[str, str] = {}

    def client(self, ask: Ask, **headers: str) -> Self:
        """The client sends this, with the gateway's key; header names are written with underscores."""
        self._ask, self._headers = ask, headers
        return self

    def upstream(self, name: str, *, sees: Ask | None = None, says: Says | None = None) -> Self:
        """The next call goes to upstream `name`. `sees` and `says` may come in one line or in two."""
        last = self._turns[-1] if self._turns else None
        if sees is None and says is not None and last is not None and last.name == name and last.says is None:
            last.says = says
        else:
            self._turns.append(_Turn(name, sees, says))
        return self

    def client_sees(self, reply: Reply | Refusal, *, attempts: int | None = None, **headers: str) -> Self:
        """What comes back: its text, or the status of a refusal; how many upstream calls it took; headers that must be there."""
        self._expected, self._attempts, self._expected_headers = reply, attempts, headers
        return self

    def __await__(self) -> Generator[Any, None, Received]:
        return asyncio.to_thread(self.hold).__await__()

    def hold(self) -> Received:
        """Let it take place now. Returns what the client received. Raises Mismatch."""
        if self._ask is None:
            raise ValueError("a conversation begins with client(...)")
        for name, up in self._upstreams.items():
            up.forget()
            up.says(*[turn.says or text("hello") for turn in self._turns if turn.name == name] or [text("hello")])
        with RawClient(self._gateway.port, tls=getattr(self._gateway, "client_tls", None)) as client:
            headers = {"authorization": f"Bearer {self._gateway.key}", "content_type": "application/json", **self._headers}
            received = client.send(request_bytes("POST", self._ask.path, self._ask.body(), **headers)).receive()
        self._compare(received)
        return received

    def _compare(self, received: Received) -> None:
        calls = sorted(((seen.at_ns, name, seen) for name, up in self._upstreams.items() for seen in up.seen), key=lambda call: call[0])
        account = self._account(received, [(name, seen) for _, name, seen in calls])
        wrong = [*_wrong_calls(self._turns, [(name, seen) for _, name, seen in calls]), *self._wrong_answer(received)]
        if wrong:
            raise Mismatch("\n".join([*wrong, "", "it went so:", *account]))

    def _wrong_answer(self, received: Received) -> list[str]:
        wrong = []
        expected = self._expected
        if isinstance(expected, Refusal) and received.status != expected.status:
            wrong.append(f"the client got status {received.status} instead of {expected.status}")
        if isinstance(expected, Reply) and (received.status != 200 or heard_text(received) != expected.text):
            wrong.append(f"the client got {received.status} {heard_text(received)!r} instead of {expected.text!r}")
        named = {name.replace("_", "-"): value for name, value in self._expected_headers.items()}
        if self._attempts is not None:
            named["x-setpoint-attempts"] = str(self._attempts)
        got = received.headers
        wrong += [f"header {name} is {got.get(name)!r} instead of {value!r}" for name, value in named.items() if got.get(name) != value]
        return wrong

    def _account(self, received: Received, calls: list[tuple[str, Seen]]) -> list[str]:
        lines = [f"  client    → {self._ask!r}"]
        lines += [f"  gateway   → {name}: {seen.request.method} {seen.path} {seen.body.decode('utf-8', 'replace')}" for name, seen in calls]
        return [*lines, f"  client    ← {received.status} {received.body.decode('utf-8', 'replace')}"]


def talk(gateway: Gateway, upstreams: Mapping[str, FakeUpstream]) -> Conversation:
    """Begin a conversation. `upstreams` are the fake ones by the names they have in the plan; what they had been told is forgotten."""
    return Conversation(gateway, upstreams)


def _wrong_calls(turns: list[_Turn], calls: list[tuple[str, Seen]]) -> list[str]:
    planned, made = [turn.name for turn in turns], [name for name, _ in calls]
    if planned != made:
        return [f"the gateway called {made} instead of {planned}"]
    wrong = []
    for turn, (name, seen) in zip(turns, calls, strict=True):
        said = prompt_of(seen)
        if turn.sees is not None and said != turn.sees.prompt:
            wrong.append(f"{name} saw the prompt {said!r} instead of {turn.sees.prompt!r}")
    return wrong


def prompt_of(seen: Seen) -> str:
    """The text of the last turn of the user, in any dialect."""
    return seen.asked.prompt
