"""Every real client through the gateway to a provider of every dialect: what the client gets, and what the provider is asked."""

import base64
import struct
import zlib
from typing import Any

import pytest
from tests.clients.clients import CLIENTS, FAILED, LIMITED, NOT_FOUND, REFUSED, ClientProcess, ClientRaisedError, driven_to
from tests.clients.conftest import MODELS, Scene, model_for

from setpoint.domain.plan import DialectName
from setpoint.testing.asked import Asked
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.replies import SIGNATURE, Call, Refusal, Reply, call, several, status, text
from setpoint.testing.wire_faults import FaultName, WireFault

PIECES = ("good ", "day, ", "Zoë 🙂")
OSLO, ZURICH = call("get_weather", "call_a1", city="Oslo"), call("get_weather", "call_b2", city="Zürich")
FORM = {"name": "Zürich", "population": 443000}
EMBEDS: tuple[DialectName, ...] = ("openai_chat", "openai_responses", "gemini", "cohere", "ollama")
NAMELESS = ("ollama",)
"""Dialects whose calls of tools have no ids, as their own clients see them."""


def png() -> str:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\x00\x80")) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


PNG = png()


@pytest.fixture(params=MODELS)
def dialect(request: pytest.FixtureRequest) -> DialectName:
    """Of the provider."""
    wanted: DialectName = request.param
    return wanted


@pytest.fixture
def up(scene: Scene, dialect: DialectName) -> FakeUpstream:
    return scene.upstreams[dialect]


@pytest.fixture
def model(dialect: DialectName) -> str:
    return model_for(dialect)


def clients(*deeds: str) -> pytest.MarkDecorator:
    """Those that are driven to do these."""
    return pytest.mark.parametrize("client", driven_to(*deeds), ids=lambda client: client.name, indirect=True)


def test_it_chats(client: ClientProcess, up: FakeUpstream, model: str) -> None:
    up.says(text(*PIECES, input_tokens=11, output_tokens=4))
    gave = client.do("chat", model=model, prompt="Grüß Gott", limit=77)
    assert gave == {"text": "".join(PIECES), "input": 11, "output": 4}
    assert [(seen.asked.prompt, seen.asked.max_tokens) for seen in up.seen] == [("Grüß Gott", 77)]


def test_it_streams(client: ClientProcess, up: FakeUpstream, model: str) -> None:
    up.says(text(*PIECES, input_tokens=11, output_tokens=4))
    gave = client.do("stream", model=model, prompt="Grüß Gott", limit=77)
    assert gave == {"pieces": list(PIECES), "input": 11, "output": 4}
    assert [(seen.asked.prompt, seen.asked.max_tokens) for seen in up.seen] == [("Grüß Gott", 77)]


@clients("call")
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_it_is_told_of_parallel_calls(client: ClientProcess, up: FakeUpstream, model: str, stream: bool) -> None:
    up.says(several(OSLO, ZURICH, text="Let me see."))
    gave = client.do("call", model=model, prompt="weather?", stream=stream)
    ids = [None, None] if client.client.dialect in NAMELESS else ["call_a1", "call_b2"]
    assert gave["calls"] == [[ids[0], "get_weather", {"city": "Oslo"}], [ids[1], "get_weather", {"city": "Zürich"}]]
    assert gave["text"] == "Let me see."
    tool = up.seen[0].asked.tools[0]
    assert (tool.name, list(tool.schema["properties"])) == ("get_weather", ["city"])


def test_what_its_tools_say_reaches_the_model(client: ClientProcess, up: FakeUpstream, model: str, dialect: DialectName) -> None:
    up.says(several(OSLO, ZURICH), text("12 and 19"))
    gave = client.do("loop", model=model, prompt="weather?")
    assert gave == {"text": "12 and 19", "ran": ["Oslo", "Zürich"]}
    results = up.seen[1].asked.results
    assert ["12 degrees" in results[0].text, "19 degrees" in results[1].text] == [True, True]
    if dialect not in NAMELESS and client.client.dialect not in NAMELESS:
        assert [result.call_id for result in results] == ["call_a1", "call_b2"]


CARRY_PROOFS = (
    "openai", "openai-responses", "langchain-responses", "openai-agents-responses", "node", "node-responses", "anthropic", "google-genai",
    "boto3",
)  # fmt: skip
"""Clients that send back what they were given beside text and calls; the others keep no thoughts."""
SIGNS: tuple[DialectName, ...] = ("anthropic", "gemini", "bedrock_converse")


@pytest.mark.parametrize("client", [c for c in CLIENTS if c.name in CARRY_PROOFS], ids=lambda c: c.name, indirect=True)
@pytest.mark.parametrize("dialect", SIGNS, indirect=True)
def test_signed_thoughts_come_back_to_the_provider_that_signed(
    request: pytest.FixtureRequest, client: ClientProcess, up: FakeUpstream, model: str
) -> None:
    if client.client.name == "boto3" and model == model_for("gemini"):
        # Gemini signs the call itself, and Converse has no place for that at a call.
        request.applymarker(pytest.mark.xfail(reason="the proof at a call of Gemini's is not carried through Converse", strict=False))
    up.says(Reply((), (OSLO,), thinking="let me see", thinking_tokens=3), text("done"))
    assert client.do("loop", model=model, prompt="weather?")["text"] == "done"
    again = up.seen[1].body.decode()
    assert "let me see" in again
    assert SIGNATURE in again


def formed(asked: Asked) -> Reply:
    """The form as text where the dialect can ask for one; where a tool stands for it, as a call of it."""
    written = '{"name":"Zürich","population":443000}'
    if asked.schema is None and asked.forced is not None:
        return Reply((), (Call(asked.forced or asked.tools[0].name, written),))
    return text(written)


def test_an_answer_has_the_form_it_wants(client: ClientProcess, up: FakeUpstream, model: str) -> None:
    up.says(formed)
    assert client.do("structure", model=model, prompt="a city") == FORM
    asked = up.seen[0].asked
    schema: Any = asked.tools[0].schema if asked.schema is None else asked.schema
    assert set(schema["properties"]) == {"name", "population"}


def test_an_image_arrives_whole(client: ClientProcess, up: FakeUpstream, model: str) -> None:
    up.says(text("a pixel"))
    assert client.do("look", model=model, prompt="what is this?", image=PNG) == {"text": "a pixel"}
    assert [image.removeprefix("data:image/png;base64,") for image in up.seen[0].asked.images] == [PNG]
    assert up.seen[0].asked.prompt == "what is this?"


@pytest.mark.parametrize(("said", "heard"), [(400, REFUSED), (404, NOT_FOUND), (429, LIMITED), (500, FAILED)])
def test_an_error_is_of_the_clients_own_class(client: ClientProcess, up: FakeUpstream, model: str, said: int, heard: int) -> None:
    up.says(status(said, "the fake provider said no"))
    with pytest.raises(ClientRaisedError) as caught:
        client.do("chat", model=model, prompt="hi", limit=77)
    assert caught.value.kind in client.client.errors[heard].split(" or ")
    assert caught.value.status == heard
    assert "the fake provider said no" in caught.value.message


@pytest.mark.parametrize("fault", ["cut", "error_event"])
def test_a_stream_that_breaks_is_no_answer(client: ClientProcess, up: FakeUpstream, model: str, fault: FaultName) -> None:
    up.says(text(*(f"word{no} " for no in range(20))))
    up.breaks(WireFault(fault, after_pieces=12))
    with pytest.raises(ClientRaisedError):
        client.do("stream", model=model, prompt="hi", limit=77)


def test_a_model_nobody_serves_is_not_found(client: ClientProcess, scene: Scene) -> None:
    with pytest.raises(ClientRaisedError, match="unheard-of") as caught:
        client.do("chat", model="gateway-unheard-of" if client.client.name == "llm" else "unheard-of", prompt="hi", limit=77)
    assert caught.value.status == (None if client.client.name == "llm" else NOT_FOUND)


TELL_TOO_LONG = {
    **dict.fromkeys(("openai", "openai-responses", "node", "node-responses"), "context_length_exceeded"),
    **dict.fromkeys(("pydantic-ai", "pydantic-ai-responses"), "ModelContextWindowExceededError"),
}
"""Clients that tell a prompt that is too long from other refusals: by its code, or by a class of its own."""
TOO_LONG: dict[DialectName, Refusal] = {
    "openai_chat": status(400, "This model's maximum context length is 128000 tokens.", error_code="context_length_exceeded"),
    "openai_responses": status(400, "Your input exceeds the context window of this model.", error_code="context_length_exceeded"),
    "anthropic": status(400, "prompt is too long: 210000 tokens > 200000 maximum"),
    "gemini": status(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    "bedrock_converse": status(400, "Input is too long for requested model."),
    "cohere": status(400, "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000."),
}
"""As the providers say it."""


@pytest.mark.parametrize("client", [c for c in CLIENTS if c.name in TELL_TOO_LONG], ids=lambda c: c.name, indirect=True)
@pytest.mark.parametrize("dialect", TOO_LONG, indirect=True)
def test_a_prompt_that_is_too_long_is_told_apart(client: ClientProcess, up: FakeUpstream, model: str, dialect: DialectName) -> None:
    up.says(TOO_LONG[dialect])
    with pytest.raises(ClientRaisedError) as caught:
        client.do("chat", model=model, prompt="hi", limit=77)
    assert TELL_TOO_LONG[client.client.name] in (caught.value.kind, caught.value.code)


@clients("embed")
def test_texts_are_embedded(client: ClientProcess, up: FakeUpstream, model: str, dialect: DialectName) -> None:
    if dialect not in EMBEDS:
        with pytest.raises(ClientRaisedError) as caught:
            client.do("embed", model=model, texts=["a", "b"])
        assert caught.value.status == 400
        return
    vectors = client.do("embed", model=model, texts=["a", "b"])
    assert [pytest.approx(vector, abs=1e-6) for vector in vectors] == [[0.6, 0.8, 0.0], [0.6, 0.8, 1.0]]
