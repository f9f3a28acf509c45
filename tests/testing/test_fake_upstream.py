"""The fake upstream does what its faults say, as seen by real SDKs and by a raw client."""

import gzip
from collections.abc import Iterator

import anthropic
import httpx2
import msgspec
import openai
import pytest

from setpoint.testing.certificates import self_signed
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import calls, raw, status, text
from setpoint.testing.wire_faults import FAULT_NAMES, HARMLESS, FaultName, WireFault

ASK = {"model": "fake-1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeUpstream]:
    with FakeUpstream() as up:
        yield up


@pytest.fixture
def up(running: FakeUpstream) -> FakeUpstream:
    running.forget()
    return running


def ask(up: FakeUpstream, *, stream: bool = False, surface: str = "chat") -> Received:
    with RawClient(up.port, deadline_s=5) as client:
        body = msgspec.json.encode({**ASK, "stream": stream})
        return client.send(request_bytes("POST", PATHS[surface], body)).receive()


def test_the_openai_sdk_understands_it(up: FakeUpstream) -> None:
    up.says(text("hel", "lo"), text("hel", "lo"), calls("get_weather", city="Oslo"))
    with openai.OpenAI(api_key="k", base_url=up.base_url + "/v1", max_retries=0) as client:
        assert client.chat.completions.create(**ASK).choices[0].message.content == "hello"  # type: ignore[call-overload]
        chunks = list(client.chat.completions.create(**ASK, stream=True))  # type: ignore[call-overload]
        assert [c.choices[0].delta.content for c in chunks] == ["", "hel", "lo", None]
        called = client.chat.completions.create(**ASK).choices[0].message.tool_calls  # type: ignore[call-overload]
        assert called[0].function.arguments == '{"city":"Oslo"}'
        assert client.embeddings.create(model="fake-1", input=["a", "b"], encoding_format="float").data[1].embedding == [0.6, 0.8, 1.0]
        assert [m.id for m in client.models.list()] == ["fake-1", "fake-2"]
    assert up.seen[0].headers["authorization"] == "Bearer k"
    assert up.seen[0].json == ASK


def test_the_anthropic_sdk_understands_it(up: FakeUpstream) -> None:
    up.says(text("hel", "lo"), text("hel", "lo"), calls("get_weather", city="Oslo"))
    with anthropic.Anthropic(api_key="k", base_url=up.base_url, max_retries=0) as client:
        assert client.messages.create(**ASK).content[0].text == "hello"  # type: ignore[call-overload]
        with client.messages.stream(**ASK) as stream:  # type: ignore[arg-type]
            assert list(stream.text_stream) == ["hel", "lo"]
        with client.messages.stream(**ASK) as stream:  # type: ignore[arg-type]
            assert stream.get_final_message().content[0].input == {"city": "Oslo"}  # type: ignore[union-attr]


def test_a_refusal_has_the_shape_of_the_surface(up: FakeUpstream) -> None:
    up.says(status(429, "slow down", retry_after="3"))
    assert ask(up).json["error"]["type"] == "rate_limit_error"
    assert ask(up, surface="messages").json["type"] == "error"
    assert ask(up).headers["retry-after"] == "3"


def test_replies_are_given_in_turn_and_the_last_one_stays(up: FakeUpstream) -> None:
    up.says(status(500), text("ok"))
    assert [ask(up).status for _ in range(3)] == [500, 200, 200]


def test_raw_bytes_are_sent_as_they_are(up: FakeUpstream) -> None:
    up.says(raw(b"HTTP/1.1 299 Odd\r\n\r\nabc"))
    got = ask(up)
    assert (got.status, got.body) == (299, b"abc")


def test_a_fault_strikes_only_when_it_says(up: FakeUpstream) -> None:
    up.breaks(WireFault("status", first=2))
    assert [ask(up).status for _ in range(3)] == [503, 503, 200]
    up.breaks(WireFault("status", nth=2))
    assert [ask(up).status for _ in range(4)] == [200, 503, 200, 503]


@pytest.mark.parametrize("name", sorted(HARMLESS))
@pytest.mark.parametrize("stream", [False, True])
def test_a_harmless_fault_leaves_the_answer_whole(up: FakeUpstream, name: FaultName, stream: bool) -> None:
    up.says(text("grüß ", "dich"))
    up.breaks(WireFault(name))
    got = ask(up, stream=stream)
    body = gzip.decompress(got.body) if name == "gzip" else got.body
    assert (got.status, got.complete) == (200, True)
    assert "grüß" in body.decode()
    assert b"[DONE]" in body or not stream


ENDED_EARLY = ("early_reset", "reset_before_head", "close_before_head", "cut", "cut_in_character", "reset_mid_body", "long_content_length")


@pytest.mark.parametrize("name", ENDED_EARLY)
@pytest.mark.parametrize("surface", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_ends_the_connection_before_the_answer_is_complete(up: FakeUpstream, name: FaultName, surface: str, stream: bool) -> None:
    up.says(text("grüß", "dich", "früh"))
    up.breaks(WireFault(name))
    got = ask(up, stream=stream, surface=surface)
    assert not got.complete
    assert got.ended == ("reset" if "reset" in name else "closed")
    if name == "cut_in_character":
        assert got.body.endswith(b"\xc3")


@pytest.mark.parametrize("name", ["hang_before_head", "head_then_hang", "stall_mid_body"])
def test_a_stall_lasts_until_the_client_hangs_up_and_that_is_noted(up: FakeUpstream, name: FaultName) -> None:
    up.breaks(WireFault(name))
    with RawClient(up.port) as client:
        client.send(request_bytes("POST", PATHS["chat"], msgspec.json.encode({**ASK, "stream": True})))
        up.wait_for_requests(1)
    assert up.wait_for_hang_up().hung_up_ns > up.seen[0].at_ns
    assert up.seen[0].answered_ns == 0


def test_a_complete_answer_is_not_a_hang_up(up: FakeUpstream) -> None:
    ask(up)
    up.wait_for(lambda: up.connections_open == 0)
    assert up.seen[0].answered_ns
    assert not up.seen[0].hung_up_ns


def test_a_missing_terminator_is_a_clean_end_without_done(up: FakeUpstream) -> None:
    up.breaks(WireFault("missing_terminator"))
    got = ask(up, stream=True)
    assert got.complete
    assert b"[DONE]" not in got.body
    assert b"finish_reason" in got.body


def test_an_error_event_ends_the_stream_in_the_shape_of_its_dialect(up: FakeUpstream) -> None:
    up.breaks(WireFault("error_event"))
    assert b'data: {"error":{' in ask(up, stream=True).body
    assert b"event: error" in ask(up, stream=True, surface="messages").body


def test_early_hints_come_before_the_answer(up: FakeUpstream) -> None:
    up.breaks(WireFault("early_hints"))
    with RawClient(up.port) as client:
        assert client.send(request_bytes("POST", PATHS["chat"], msgspec.json.encode(ASK))).receive().status == 200
        assert client.informational == [103]


@pytest.mark.parametrize("mode", ["per_event", "per_line", "per_byte", "in_characters", "between_line_ends", "random", "coalesced"])
@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_a_body_split_in_any_way_is_the_same_body(up: FakeUpstream, mode: str, framing: str) -> None:
    up.says(text("grüß ", "dich 🙂"))
    whole = ask(up, stream=True).body
    up.writes(mode, 5, framing)  # type: ignore[arg-type]
    got = ask(up, stream=True)
    assert got.body == whole
    assert ("content-length" in got.headers) == (framing == "length")


def test_a_held_request_is_answered_when_it_is_released(up: FakeUpstream) -> None:
    up.holds()
    with RawClient(up.port) as client:
        client.send(request_bytes("POST", PATHS["chat"], msgspec.json.encode(ASK)))
        assert not up.wait_for_requests(1)[0].answered_ns
        up.holds(held=False)
        assert client.receive().status == 200


def test_pipelined_requests_are_answered_in_order(up: FakeUpstream) -> None:
    up.says(text("one"), text("two"))
    with RawClient(up.port) as client:
        client.send(request_bytes("POST", PATHS["chat"], msgspec.json.encode(ASK)) * 2)
        assert [client.receive().json["choices"][0]["message"]["content"] for _ in range(2)] == ["one", "two"]


def test_it_speaks_tls_with_a_certificate_of_its_own() -> None:
    certificate = self_signed()
    with FakeUpstream(tls=certificate) as up, RawClient(up.port, tls=certificate.client_context()) as client:
        assert client.send(request_bytes("GET", "/v1/models")).receive().status == 200


def test_every_fault_is_shown_by_a_test_here_or_is_a_plain_error_status(up: FakeUpstream) -> None:
    for name in FAULT_NAMES:
        if name in HARMLESS or name in ENDED_EARLY or "hang" in name or "stall" in name:
            continue
        up.breaks(WireFault(name))
        got = ask(up, stream=True)
        assert got.status in (200, 429, 503), name
        if name.startswith("rate_limited"):
            assert got.headers["retry-after"], name


def test_httpx_reads_it_too(up: FakeUpstream) -> None:
    assert httpx2.post(up.base_url + PATHS["chat"], json=ASK, timeout=5).status_code == 200
