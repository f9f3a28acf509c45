"""What is passed on: found its provider, changed in nothing but the model's name, metered, and never done twice where that could hurt."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.world import (
    TOKEN,
    answer,
    body_of,
    headers_of,
    plan_of,
    post,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.money import Price
from setpoint.domain.plan import PriceBook, Retries, Route, Target
from setpoint.domain.trace import Outcome, Surface
from setpoint.wire.metering import read_usage
from setpoint.wire.multipart import FIELD_BYTES_MAX, boundary_of, find_field, with_field

PICTURE = {"created": 1, "data": [{"b64_json": "AA=="}], "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}}
PRICES = PriceBook("test", {"acme": {"gpt-image": Price(1_000_000, 2_000_000, source="test")}})


def form(model: str = "whisper", boundary: str = "xyz") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'.encode()
        + bytes(range(256)),
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}'.encode(),
        f'--{boundary}\r\nContent-Disposition: form-data; name="language"\r\n\r\nde'.encode(),
        f"--{boundary}--\r\n".encode(),
    ]
    return b"\r\n".join(parts)


def request(method: str, target: str, **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: gw.test", f"authorization: Bearer {TOKEN}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


JSON = {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("path", "native", "surface"),
    [
        ("/v1/images/generations", "/v1/images/generations", Surface.openai_images),
        ("/images/edits", "/v1/images/edits", Surface.openai_images),
        ("/openai/v1/audio/speech", "/v1/audio/speech", Surface.openai_audio),
        ("/v1/moderations", "/v1/moderations", Surface.openai_moderations),
        ("/v1/rerank", "/v1/rerank", Surface.rerank),
        ("/v1/batches", "/v1/batches", Surface.openai_batches),
        ("/v1/files", "/v1/files", Surface.openai_files),
        ("/v1/responses/resp_1/cancel", "/v1/responses/resp_1/cancel", Surface.openai_stored),
    ],
)
def test_a_body_reaches_the_provider_of_its_model_as_it_came(path: str, native: str, surface: Surface) -> None:
    body = b'{ "model":"m-1",  "prompt" : "a cat", "n":1}'
    with world() as w:
        client = w.client()
        client.says(post(body, path, **JSON))
        up = w.up()
        head, _, sent = up.sent.partition(b"\r\n\r\n")
        assert head.startswith(f"POST {native} HTTP/1.1\r\n".encode())
        assert b"content-type: application/json" in head
        assert sent == body
        assert TOKEN.encode() not in up.sent
        up.says(answer(msgspec.json.encode(PICTURE)))
        w.loop.spin()
        assert (status_of(client.sent), body_of(client.sent)) == (200, msgspec.json.encode(PICTURE))
        (end,) = w.sink.ends()
        assert (end.head.surface, end.head.outcome, end.tail.model) == (surface, Outcome.ok, "m-1")
        assert w.clean


def test_usage_is_read_and_priced_where_the_answer_states_it() -> None:
    plan = plan_of(routes=[Route("pic", (Target("one", "gpt-image"),))], prices=PRICES)
    with world(plan) as w:
        client = w.client()
        client.says(post(b'{"model":"pic","prompt":"a"}', "/v1/images/generations", **JSON))
        assert w.up().sent.endswith(b'{"model":"gpt-image","prompt":"a"}')
        w.up().says(answer(msgspec.json.encode(PICTURE)))
        w.loop.spin()
        (end,) = w.sink.ends()
        assert (end.head.input, end.head.output) == (10, 100)
        assert headers_of(client.sent)["x-setpoint-cost-usd"] == "0.00021"


def test_an_answer_without_usage_has_no_known_cost() -> None:
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","input":"a"}', "/v1/moderations", **JSON))
        w.up().says(answer(b'{"results":[]}'))
        w.loop.spin()
        assert "x-setpoint-cost-usd" not in headers_of(client.sent)
        assert w.sink.ends()[0].head.cost_nanousd == -1


def test_a_form_keeps_every_byte_but_the_models_name() -> None:
    plan = plan_of(routes=[Route("hear", (Target("one", "whisper-large"),))])
    with world(plan) as w:
        client = w.client()
        client.says(post(form("hear"), "/v1/audio/transcriptions", content_type="multipart/form-data; boundary=xyz"))
        head, _, sent = w.up().sent.partition(b"\r\n\r\n")
        assert sent == form("whisper-large")
        assert b"content-type: multipart/form-data; boundary=xyz" in head
        assert f"content-length: {len(sent)}".encode() in head
        w.up().says(answer(b'{"text":"hello"}'))
        w.loop.spin()
        assert status_of(client.sent) == 200
        (end,) = w.sink.ends()
        assert end.prompt == b"", "a sound is no text to keep"
        assert end.tail.prompt_bytes == len(form("hear"))


def test_sound_flows_through_with_its_own_type() -> None:
    sound = bytes(range(256)) * 40
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","input":"hi","voice":"v"}', "/v1/audio/speech", **JSON))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
        w.up().says(head + b"%x\r\n%b\r\n" % (len(sound), sound))
        w.loop.spin()
        assert headers_of(client.sent)["content-type"] == "audio/mpeg"
        assert sound in client.sent, "it does not wait for the end"
        w.up().says(b"0\r\n\r\n")
        w.loop.spin()
        assert client.sent.endswith(b"0\r\n\r\n")
        (end,) = w.sink.ends()
        assert (end.head.outcome, end.tail.answer_bytes, end.answer) == (Outcome.ok, len(sound), b"")
        assert w.clean


def test_a_sound_that_breaks_off_is_cut_off_for_the_client_too() -> None:
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","input":"hi"}', "/v1/audio/speech", **JSON))
        w.up().says(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nhalf")
        w.loop.spin()
        w.up().ends()
        w.loop.spin()
        assert not client.sent.endswith(b"0\r\n\r\n")
        assert client.gone
        (end,) = w.sink.ends()
        assert end.head.outcome == Outcome.fault
        assert w.clean


def test_a_stream_of_events_is_metered_as_it_passes() -> None:
    done = b'event: image_generation.completed\ndata: {"type":"x","usage":{"input_tokens":3,"output_tokens":4}}\n\n'
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","prompt":"a","stream":true}', "/v1/images/generations", **JSON))
        w.up().says(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        w.up().says(b"%x\r\n%b\r\n0\r\n\r\n" % (len(done), done))
        w.loop.spin()
        assert done in client.sent
        assert (w.sink.ends()[0].head.input, w.sink.ends()[0].head.output) == (3, 4)


@pytest.mark.parametrize(
    ("method", "target", "native"),
    [
        ("GET", "/v1/files?purpose=batch&limit=2", "GET /v1/files?purpose=batch&limit=2"),
        ("GET", "/v1/files/file-1/content", "GET /v1/files/file-1/content"),
        ("DELETE", "/v1/files/file-1", "DELETE /v1/files/file-1"),
        ("GET", "/v1/batches/b_1", "GET /v1/batches/b_1"),
        ("GET", "/v1/responses/resp_1?include=a&key=secret", "GET /v1/responses/resp_1?include=a"),
    ],
)
def test_reading_and_deleting_need_no_model(method: str, target: str, native: str) -> None:
    with world() as w:
        client = w.client()
        client.says(request(method, target))
        assert w.up().sent.startswith(f"{native} HTTP/1.1\r\n".encode())
        assert b"content-length" not in w.up().sent
        w.up().says(answer(b'{"object":"list","data":[]}'))
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert headers_of(client.sent)["x-setpoint-cost-usd"] == "0"


def test_an_answer_without_a_body_keeps_its_status() -> None:
    with world() as w:
        client = w.client()
        client.says(request("DELETE", "/v1/containers/c_1"))
        w.up().says(b"HTTP/1.1 204 No Content\r\n\r\n")
        w.loop.spin()
        assert (status_of(client.sent), body_of(client.sent)) == (204, b"")
        assert w.clean


def two() -> Any:
    return plan_of(upstream("left"), upstream("right"), routes=[route_to("m-1", "left")])


def test_the_header_names_the_provider() -> None:
    with world(two()) as w:
        client = w.client()
        client.says(request("GET", "/v1/files", x_setpoint_provider="right"))
        assert b"host: right.test" in w.up().sent


def test_several_providers_and_no_word_which_is_an_error_that_says_what_to_do() -> None:
    with world(two()) as w:
        client = w.client()
        client.says(request("GET", "/v1/files"))
        w.loop.spin()
        error = msgspec.json.decode(body_of(client.sent))["error"]
        assert status_of(client.sent) == 400
        assert "x-setpoint-provider" in error["message"]
        assert "left, right" in error["message"]


def test_a_provider_nobody_configured_is_an_error_that_lists_the_others() -> None:
    with world(two()) as w:
        client = w.client()
        client.says(request("GET", "/v1/files", x_setpoint_provider="nobody"))
        w.loop.spin()
        assert status_of(client.sent) == 400
        assert "left, right" in msgspec.json.decode(body_of(client.sent))["error"]["message"]


def test_anthropics_batches_go_to_anthropic_in_its_own_error_shape() -> None:
    with world() as w:
        client = w.client()
        client.says(post(b'{"requests":[]}', "/v1/messages/batches", **JSON))
        w.loop.spin()
        error = msgspec.json.decode(body_of(client.sent))
        assert (status_of(client.sent), error["type"]) == (400, "error")
    with world(plan_of(upstream(), upstream("claude", dialect="anthropic"))) as w:
        client = w.client()
        client.says(post(b'{"requests":[]}', "/v1/messages/batches", **JSON))
        assert w.up().sent.startswith(b"POST /v1/messages/batches HTTP/1.1\r\nhost: claude.test")
        assert b"anthropic-version: 2023-06-01" in w.up().sent


@pytest.mark.parametrize(("path", "calls"), [("/v1/batches", 1), ("/v1/images/generations", 2)])
def test_what_may_have_been_done_is_not_done_twice(path: str, calls: int) -> None:
    plan = plan_of(routes=[route_to("m-1", "one", retries=Retries(attempts=2, base_s=0.0))])
    with world(plan) as w:
        client = w.client()
        client.says(post(b'{"model":"m-1"}', path, **JSON))
        w.up().says(answer(b"{}", 500))
        w.loop.advance(1.0)
        seen = sum(wire.sent.count(b"POST /v1") for wire in w.loop.wires)
        assert seen == calls


def test_the_providers_own_words_about_a_bad_request_reach_the_client() -> None:
    said = b'{"error":{"message":"Invalid purpose","type":"invalid_request_error","param":"purpose","code":null}}'
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1"}', "/v1/files", **JSON))
        w.up().says(answer(said, 400))
        w.loop.spin()
        assert (status_of(client.sent), body_of(client.sent)) == (400, said)


def test_without_a_key_nothing_is_passed_on() -> None:
    with world() as w:
        client = w.client()
        client.says(b"GET /v1/files HTTP/1.1\r\nhost: gw.test\r\n\r\n")
        w.loop.spin()
        assert status_of(client.sent) == 401
        assert not w.loop.wires


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics", "/api/v1/traces", "/v1/unheard_of", "/v3/files"])
def test_other_paths_are_not_passed_on_to_a_provider(path: str) -> None:
    with world() as w:
        client = w.client()
        client.says(post(b"{}", path, **JSON))
        w.loop.spin()
        assert all(b"host: one.test" not in wire.sent for wire in w.loop.wires)


# ---- forms


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        (b"multipart/form-data", None),
        (b"application/json", None),
        (b"multipart/form-data; boundary=" + b"x" * 71, None),
    ],
)
def test_a_boundary_is_read_as_the_rfc_writes_it(content_type: bytes, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def test_a_long_field_or_a_file_is_no_model() -> None:
    assert find_field(form("m" * (FIELD_BYTES_MAX + 1)), b"xyz", b"model") is None
    assert find_field(form("m" * FIELD_BYTES_MAX), b"xyz", b"model") is not None
    assert find_field(form(), b"xyz", b"file") is None


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=4))
def test_no_form_breaks_the_reader(body: bytes, boundary: bytes) -> None:
    field = find_field(body, boundary, b"model")
    assert field is None or with_field(body, field, body[field.start : field.end]) == body


@pytest.mark.parametrize(
    ("body", "counted"),
    [
        (b'{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"image_tokens":4,"text_tokens":6}}}', (6, 5, 4, 0)),
        (b'{"usage":{"type":"tokens","input_tokens":10,"output_tokens":5,"input_token_details":{"audio_tokens":9}}}', (1, 5, 0, 9)),
        (b'{"usage":{"total_tokens":7}}', (7, 0, 0, 0)),
        (b'{"usage":{"type":"duration","seconds":9}}', None),
        (b'{"usage":null}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_usage_is_read_in_every_form_it_is_stated(body: bytes, counted: tuple[int, int, int, int] | None) -> None:
    usage = read_usage(body).usage
    assert (usage and (usage.input, usage.output, usage.image_input, usage.audio_input)) == counted
