"""Credentials that are made for each request, through the whole gateway: AWS's own library and Google's public key judge what was sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from tests.gateway.accounts import EMAIL, private_key, service_account
from tests.gateway.network import Wire
from tests.gateway.world import KEYRING, World, answer, body_of, headers_of, loaded, plan_of, post, route_to, status_of, upstream, world
from tests.wire.bedrock.oracle import AWSRequest, Credentials, SigV4Auth

from setpoint.domain.plan import Plan, Retries, Upstream
from setpoint.gateway.credentials import HOLD_OFF_S, REFRESH_BEFORE_S, SPENT_S, TOKEN_TIMEOUTS
from setpoint.kit.sealing import seal
from setpoint.wire.aws_keys import AwsKeys, write_aws_keys

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
MODEL = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-x-v1:0"
TOKEN_LIFE_S = 3_599


def at_cloud(secret: str, **members: Any) -> Upstream:
    sealed = seal(KEYRING.kek, bytes(12), secret.encode(), b"upstream/cloud")
    return upstream("cloud", **{"dialect": "anthropic", "base_path": "", "api_key_sealed": sealed, **members})


def bedrock(token: str | None = None, **members: Any) -> Upstream:
    secret = write_aws_keys(AwsKeys("AKIDEXAMPLE", "wJalr/secret+key", token))
    return at_cloud(secret, **{"hosting": "bedrock", "auth": "aws", "region": "eu-west-1", **members})


def vertex(secret: str | None = None, **members: Any) -> Upstream:
    account = secret or service_account(token_uri="http://127.0.0.1:81/token")
    return at_cloud(account, **{"hosting": "vertex", "auth": "google", "region": "europe-west1", "project": "my-project", **members})


def plan_for(up: Upstream, **members: Any) -> Plan:
    return plan_of(up, routes=[route_to("cloud/*", "cloud", **members)])


def says(model: str = MODEL, **members: Any) -> bytes:
    body = {"model": f"cloud/{model}", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **members}
    return post(msgspec.json.encode(body), path="/v1/messages")


def request_line(sent: bytes) -> str:
    return sent.partition(b"\r\n")[0].decode()


# ---- AWS


def signature_by_botocore(sent: bytes, token: str | None) -> str:
    """The authorization header that AWS's own library makes for the very same request."""
    method, path, _ = request_line(sent).split(" ")
    headers = headers_of(sent)
    request = AWSRequest(method, f"http://{headers['host']}{path}", headers={"content-type": headers["content-type"]}, data=body_of(sent))
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalr/secret+key", token), "bedrock", "eu-west-1")
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzE=="])
@pytest.mark.parametrize("port", [80, 8_443])
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_to_bedrock_carries_the_signature_that_botocore_makes(token: str | None, port: int, stream: bool) -> None:
    with world(plan_for(bedrock(token, port=port))) as w:
        w.client().says(says(stream=stream, temperature=0.5))
        sent = w.up().sent
    verb = "invoke-with-response-stream" if stream else "invoke"
    escaped = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-x-v1%3A0"
    assert request_line(sent) == f"POST /model/{escaped}/{verb} HTTP/1.1"
    assert headers_of(sent)["authorization"] == signature_by_botocore(sent, token)
    assert headers_of(sent).get("x-amz-security-token") == token
    assert headers_of(sent)["content-type"] == "application/json"
    assert "anthropic-version" not in headers_of(sent)
    assert msgspec.json.decode(body_of(sent))["anthropic_version"] == "bedrock-2023-05-31"


def test_a_changed_byte_breaks_the_signature() -> None:
    with world(plan_for(bedrock())) as w:
        w.client().says(says())
        sent = w.up().sent
    assert headers_of(sent)["authorization"] != signature_by_botocore(sent.replace(b'"hi"', b'"ho"'), None)


def test_the_date_is_the_machines() -> None:
    with world(plan_for(bedrock())) as w:
        before = datetime.now(UTC).replace(microsecond=0)
        w.client().says(says())
        stamp = datetime.fromisoformat(headers_of(w.up().sent)["x-amz-date"])
    assert 0 <= (stamp - before).total_seconds() < 60


def test_bedrocks_answer_reaches_the_client() -> None:
    with world(plan_for(bedrock())) as w:
        client = w.client()
        client.says(says())
        w.up().says(answer(msgspec.json.encode(MESSAGE)))
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert msgspec.json.decode(body_of(client.sent)) == MESSAGE


def test_a_bedrock_api_key_is_a_bearer_token_and_nothing_is_signed() -> None:
    with world(plan_for(at_cloud("ABSK-key", hosting="bedrock", auth="bearer", region="eu-west-1"))) as w:
        w.client().says(says())
        sent = headers_of(w.up().sent)
    assert sent["authorization"] == "Bearer ABSK-key"
    assert "x-amz-date" not in sent


@pytest.mark.parametrize("up", [at_cloud("nonsense", auth="aws"), at_cloud("nonsense", auth="google")])
def test_a_plan_with_a_credential_that_cannot_be_used_is_refused_by_the_worker(up: Upstream) -> None:
    with world() as w, pytest.raises(ValueError, match="it is not"):
        w.workshop.build(loaded(plan_for(up)))


# ---- Google


def token_answer(token: str = "ya29.one", life_s: int = TOKEN_LIFE_S) -> bytes:
    return answer(msgspec.json.encode({"access_token": token, "expires_in": life_s, "token_type": "Bearer"}))


@contextmanager
def at_google(**members: Any) -> Iterator[World]:
    with world(plan_for(vertex(), **members)) as w:
        yield w


def served(w: World, client: Wire | None = None) -> dict[str, str]:
    """One exchange to its end; the headers that Vertex saw. A token must be there already."""
    client = client or w.client()
    client.says(says())
    w.loop.spin()
    up = next(wire for wire in reversed(w.loop.wires) if b":rawPredict" in wire.sent)
    headers = headers_of(up.take())
    up.says(answer(msgspec.json.encode(MESSAGE)))
    w.loop.spin()
    assert status_of(client.take()) == 200
    return headers


def asked_for_token(w: World) -> list[bytes]:
    return [wire.sent for wire in w.loop.wires if b"POST /token" in wire.sent]


def with_token(w: World) -> None:
    """The first exchange, which fetches the first token."""
    client = w.client()
    client.says(says())
    w.up().says(token_answer())
    w.up().says(answer(msgspec.json.encode(MESSAGE)))
    w.loop.spin()
    assert status_of(client.sent) == 200
    for wire in w.loop.wires:
        wire.sent = b""


def test_a_request_to_vertex_carries_a_token_that_a_signed_assertion_bought() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    with at_google() as w:
        client = w.client()
        client.says(says("claude-sonnet-4-5@20250929"))
        asked = w.up().sent
        assert request_line(asked) == "POST /token HTTP/1.1"
        assert headers_of(asked)["content-type"] == "application/x-www-form-urlencoded"
        assert headers_of(asked)["host"] == "127.0.0.1:81"
        assert int(headers_of(asked)["content-length"]) == len(body_of(asked))
        signed, _, signature = parse_qs(body_of(asked).decode())["assertion"][0].rpartition(".")
        private_key().public_key().verify(unbase64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        assert msgspec.json.decode(unbase64(signed.partition(".")[2]))["iss"] == EMAIL

        w.up().says(token_answer())
        sent = w.up().sent
        place = "/v1/projects/my-project/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-5%4020250929:rawPredict"
        assert request_line(sent) == f"POST {place} HTTP/1.1"
        assert headers_of(sent)["authorization"] == "Bearer ya29.one"
        assert msgspec.json.decode(body_of(sent))["anthropic_version"] == "vertex-2023-10-16"
        w.up().says(answer(msgspec.json.encode(MESSAGE)))
        w.loop.spin()
        assert status_of(client.sent) == 200


def unbase64(text: str) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_many_exchanges_wait_for_one_token() -> None:
    with at_google() as w:
        clients = [w.client() for _ in range(5)]
        for client in clients:
            client.says(says())
        w.loop.spin()
        assert len(w.loop.wires) == 1
        w.up().says(token_answer())
        w.loop.spin()
        ups = [wire for wire in w.loop.wires if b"rawPredict" in wire.sent]
        assert [headers_of(up.sent)["authorization"] for up in ups] == ["Bearer ya29.one"] * 5
        assert b"".join(asked_for_token(w)).count(b"POST /token") == 1


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    with at_google() as w:
        with_token(w)
        w.loop.advance(10)
        assert served(w)["authorization"] == "Bearer ya29.one"
        assert asked_for_token(w) == []


def test_a_new_token_is_fetched_while_the_old_one_serves() -> None:
    with at_google() as w:
        with_token(w)
        w.loop.now_s += TOKEN_LIFE_S - REFRESH_BEFORE_S + 1
        assert served(w)["authorization"] == "Bearer ya29.one"
        assert len(asked_for_token(w)) == 1
        next(wire for wire in w.loop.wires if b"POST /token" in wire.sent).says(token_answer("ya29.two"))
        assert served(w)["authorization"] == "Bearer ya29.two"


def test_a_token_that_is_about_to_end_is_not_sent_any_more() -> None:
    with at_google() as w:
        with_token(w)
        w.loop.now_s += TOKEN_LIFE_S - SPENT_S
        client = w.client()
        client.says(says())
        w.loop.spin()
        assert not any(b"rawPredict" in wire.sent for wire in w.loop.wires)
        next(wire for wire in w.loop.wires if b"POST /token" in wire.sent).says(token_answer("ya29.two"))
        w.loop.spin()
        assert any(b"Bearer ya29.two" in wire.sent for wire in w.loop.wires)


def test_a_client_that_leaves_takes_no_token_from_the_others() -> None:
    with at_google() as w:
        first, second = w.client(), w.client()
        first.says(says())
        second.says(says())
        w.loop.spin()
        first.ends()
        w.loop.spin()
        w.up(0).says(token_answer())
        w.loop.spin()
        assert sum(b"rawPredict" in wire.sent for wire in w.loop.wires) == 1
        assert w.lane.in_flight == 1


def test_a_refused_account_is_told_to_the_client_with_what_to_do() -> None:
    with at_google(retries=Retries(attempts=1)) as w:
        client = w.client()
        client.says(says())
        w.up().says(answer(b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}', 400))
        w.loop.spin()
        assert status_of(client.sent) == 502
        assert headers_of(client.sent)["x-setpoint-error-code"] == "1601"
        assert b"invalid_grant: Invalid JWT Signature" in body_of(client.sent)
        assert b"Check that the account and its key still exist" in body_of(client.sent)


def test_after_a_failure_the_token_server_is_left_alone_for_a_moment() -> None:
    with at_google() as w:
        client = w.client()
        client.says(says())
        w.up().says(answer(b"{}", 503))
        w.loop.spin()
        assert headers_of(client.take())["x-setpoint-error-code"] == "1607"
        w.up(0).take()
        client.says(says())
        w.loop.spin()
        assert headers_of(client.take())["x-setpoint-error-code"] == "1607"
        assert asked_for_token(w) == []
        w.loop.advance(HOLD_OFF_S)
        client.says(says())
        w.loop.spin()
        assert len(asked_for_token(w)) == 1


def test_a_token_server_that_cannot_be_reached_is_named() -> None:
    with at_google() as w:
        w.loop.refuse = OSError(111, "Connection refused")
        client = w.client()
        client.says(says())
        w.loop.spin()
        assert headers_of(client.sent)["x-setpoint-error-code"] == "1607"
        assert b"token server 127.0.0.1" in body_of(client.sent)
        assert b"See whether this machine reaches it" in body_of(client.sent)


def test_a_token_server_that_says_nothing_is_not_waited_for_without_end() -> None:
    with at_google() as w:
        client = w.client()
        client.says(says())
        w.loop.advance(TOKEN_TIMEOUTS.first_byte_s - 1)
        assert client.sent == b""
        w.loop.advance(2)
        assert headers_of(client.sent)["x-setpoint-error-code"] == "1607"


def test_a_failure_does_not_matter_while_the_old_token_is_good() -> None:
    with at_google() as w:
        with_token(w)
        w.loop.now_s += TOKEN_LIFE_S - REFRESH_BEFORE_S + 1
        assert served(w)["authorization"] == "Bearer ya29.one"
        next(wire for wire in w.loop.wires if b"POST /token" in wire.sent).says(answer(b"{}", 503))
        assert served(w)["authorization"] == "Bearer ya29.one"


def test_a_plan_that_leaves_the_upstream_as_it_was_leaves_its_token() -> None:
    with at_google() as w:
        with_token(w)
        w.adopt(msgspec.structs.replace(w.lane.published.plan, version=2))
        assert served(w)["authorization"] == "Bearer ya29.one"


def test_an_upstream_that_left_the_plan_leaves_no_connection_behind() -> None:
    with at_google() as w:
        with_token(w)
        w.adopt(plan_of(version=2))
        w.loop.spin()
        assert all(wire.gone for wire in w.loop.wires)


def test_the_end_of_a_worker_ends_a_flight() -> None:
    with at_google() as w:
        w.client().says(says())
        up = w.up()
        w.lane.abort_all()
        w.workshop.abort()
        w.loop.spin()
        assert up.gone
        assert w.clean


def test_a_machine_that_slept_does_not_send_a_token_that_ended_meanwhile() -> None:
    wall_s = [0.0]
    with world() as w:
        w.workshop._wall_s = lambda: wall_s[0]
        w.adopt(plan_for(vertex()))
        with_token(w)
        wall_s[0] += TOKEN_LIFE_S - SPENT_S
        w.client().says(says())
        w.loop.spin()
        assert len(asked_for_token(w)) == 1
        assert not any(b"rawPredict" in wire.sent for wire in w.loop.wires)
