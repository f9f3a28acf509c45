"""Which path asks for what: every form in which SDKs spell it, and nothing else."""

import pytest
from tests.gateway.world import TOKEN, answer, body_of, post, status_of, world

from setpoint.gateway.surfaces import (
    CHAT,
    COHERE,
    CONVERSE,
    EMBEDDINGS,
    GEMINI,
    GEMINI_COUNT,
    GEMINI_EMBED,
    GEMINI_EMBED_BATCH,
    MESSAGES,
    MESSAGES_COUNT,
    OLLAMA,
    RESPONSES,
    HotSurface,
    place_of,
)


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        (b"/v1/chat/completions", CHAT),
        (b"/chat/completions", CHAT),
        (b"/openai/v1/chat/completions", CHAT),
        (b"/openai/responses", RESPONSES),
        (b"/anthropic/v1/messages", MESSAGES),
        (b"/v1/messages/count_tokens", MESSAGES_COUNT),
        (b"/v2/chat", COHERE),
        (b"/ollama/api/chat", OLLAMA),
    ],
)
def test_a_path_with_the_model_in_the_body(path: bytes, surface: HotSurface) -> None:
    place = place_of(path, b"")
    assert place is not None
    assert (place.surface, place.model, place.stream) == (surface, "", None)


@pytest.mark.parametrize(
    ("path", "surface", "model", "stream"),
    [
        (b"/v1beta/models/gemini-2.5-pro:generateContent", GEMINI, "gemini-2.5-pro", False),
        (b"/v1/models/gemini-2.5-pro:streamGenerateContent", GEMINI, "gemini-2.5-pro", True),
        (b"/genai/v1beta/models/sim/fast:generateContent", GEMINI, "sim/fast", False),
        (
            b"/v1beta1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent",
            GEMINI,
            "gemini-2.5-pro",
            False,
        ),
        (b"/v1/projects/p/locations/l/publishers/openai/models/gpt-5:streamGenerateContent", GEMINI, "openai/gpt-5", True),
        (b"/v1beta/models/m:countTokens", GEMINI_COUNT, "m", False),
        (b"/v1beta/models/m:embedContent", GEMINI_EMBED, "m", False),
        (b"/v1beta/models/m:batchEmbedContents", GEMINI_EMBED_BATCH, "m", False),
        (b"/model/anthropic.claude-v2%3A1/converse", CONVERSE, "anthropic.claude-v2:1", False),
        (b"/bedrock/model/sim/fast/converse-stream", CONVERSE, "sim/fast", True),
        (b"/openai/deployments/gpt-4o/chat/completions", CHAT, "gpt-4o", None),
        (b"/openai/deployments/sim/fast/embeddings", EMBEDDINGS, "sim/fast", None),
    ],
)
def test_a_path_that_names_the_model(path: bytes, surface: HotSurface, model: str, stream: bool | None) -> None:
    place = place_of(path, b"alt=sse")
    assert place is not None
    assert (place.surface, place.model, place.stream, place.array) == (surface, model, stream, False)


@pytest.mark.parametrize(("query", "array"), [(b"", True), (b"alt=sse", False), (b"key=k&alt=sse", False), (b"alt=json", True)])
def test_gemini_streams_come_as_a_list_unless_events_are_asked_for(query: bytes, array: bool) -> None:
    place = place_of(b"/v1beta/models/m:streamGenerateContent", query)
    assert place is not None
    assert place.array is array


@pytest.mark.parametrize(
    "path",
    [
        b"/v1beta/models/m:fooBar",
        b"/v1beta/models/:generateContent",
        b"/model//converse",
        b"/model/m/invoke",
        b"/openai/deployments/m/images/generations",
        b"/v1/chat/completions/x",
        b"/api/v1/traces",
        b"/",
    ],
)
def test_other_paths_are_none_of_these(path: bytes) -> None:
    assert place_of(path, b"") is None


def test_an_escaped_slash_in_a_models_name_is_plain() -> None:
    with world() as w:
        client = w.client()
        client.says(post(b'{"messages":[{"role":"user","content":"hi"}]}', "/openai/deployments/m%2D1/chat/completions"))
        assert w.up().sent.endswith(b'{"messages":[{"role":"user","content":"hi"}],"model":"m-1"}')
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200
        other = w.client()
        other.says(post(b'{"contents":[]}', "/v1beta/models/sim%2Ffast:generateContent"))
        w.loop.spin()
        assert status_of(other.sent) == 404
        assert b"'sim/fast'" in body_of(other.sent)


@pytest.mark.parametrize(
    "target", ["/v1%2Fchat/completions", "/api%2Fv1/keys", "/v1/files%2F..%2Fx", "/v1beta/models/a%2F..%2Fb:generateContent"]
)
def test_an_escaped_slash_anywhere_else_is_refused(target: str) -> None:
    with world() as w:
        client = w.client()
        client.says(f"POST {target} HTTP/1.1\r\nhost: gw.test\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        w.loop.spin()
        assert status_of(client.sent) == 400
        assert b"escaped slash" in body_of(client.sent) or b"dot segment" in body_of(client.sent)


@pytest.mark.parametrize(("said", "streamed"), [(b"", True), (b',"stream":true', True), (b',"stream":false', False)])
def test_ollama_streams_unless_it_is_told_not_to(said: bytes, streamed: bool) -> None:
    with world() as w:
        client = w.client()
        client.says(post(b'{"model":"m-1","messages":[{"role":"user","content":"hi"}]%b}' % said, "/api/chat"))
        assert (b'"stream":true' in w.up().sent) is streamed
