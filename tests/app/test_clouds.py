"""Every cloud by its variables alone: from the environment through settings, plan and a real worker to a provider, asked by clients."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest
from tests.gateway.accounts import service_account
from tests.wire.bedrock.oracle import AWSRequest, Credentials, SigV4Auth

from setpoint.app.drafting import draft_of
from setpoint.app.settings import load_settings
from setpoint.control.compile import compile_plan
from setpoint.domain.plan import Plan, PriceBook
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, running_gateway, sealed_key
from setpoint.testing.replies import raw, status, text
from setpoint.testing.upstream_book import Seen

HI: Any = [{"role": "user", "content": "hi"}]
TOKEN = msgspec.json.encode({"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"})
GRANT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(TOKEN), TOKEN)
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ESCAPED = CLAUDE.replace(":", "%3A")
PLACE = "/v1/projects/my-project/locations/europe-west1"


class Cloud:
    """A provider for all, a token server, and the gateway in front."""

    def __init__(self, up: FakeUpstream, tokens: FakeUpstream, gateway: RunningGateway) -> None:
        self.up, self.tokens, self.gateway = up, tokens, gateway
        self.openai = openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.key, max_retries=0, timeout=10)
        self.anthropic = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=10)

    @property
    def asked(self) -> Seen:
        return self.up.seen[-1]


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("clouds")
    with FakeUpstream() as up, FakeUpstream() as tokens:
        tokens.says(raw(GRANT, keep_open=True))
        (folder / "account.json").write_text(service_account(token_uri=f"{tokens.base_url}/token"))
        environ = {
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "se/cret",
            "AWS_SESSION_TOKEN": "session",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": up.base_url,
            "AZURE_API_KEY": "azure-key",
            "AZURE_API_BASE": f"{up.base_url}/",
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
            "GOOGLE_CLOUD_LOCATION": "europe-west1",
            "VERTEX_API_BASE": up.base_url,
            "GEMINI_API_KEY": "gemini-key",
            "GEMINI_API_BASE": up.base_url,
            "COHERE_API_KEY": "cohere-key",
            "COHERE_API_BASE": up.base_url,
            "CLOUDFLARE_API_TOKEN": "cloudflare-key",
            "CLOUDFLARE_ACCOUNT_ID": "acc",
            "CLOUDFLARE_API_BASE": f"{up.base_url}/client/v4/accounts/acc/ai/v1",
        }
        more = (
            f"providers.azure-dated={{preset: azure, base_url: '{up.base_url}', api_key: k2, api_version: 2024-10-21}}",
            f"providers.bedrock-claude={{preset: bedrock, dialect: anthropic, base_url: '{up.base_url}'}}",
            f"providers.bedrock-key={{preset: bedrock, api_key: ABSK, base_url: '{up.base_url}'}}",
            "routes.strict={targets: [bedrock/amazon.nova], untranslated: refuse, retries: none}",
        )
        settings = load_settings(None, environ, ("providers.sim.enabled=false", *more))
        plan = compile_plan(draft_of(settings, "s", {}), 1, 1, 1_700_000_000_000_000_000, sealed_key, PriceBook())
        assert isinstance(plan, Plan), plan
        with ExitStack() as stack:
            cloud = Cloud(up, tokens, stack.enter_context(running_gateway(plan)))
            stack.enter_context(cloud.openai)
            stack.enter_context(cloud.anthropic)
            yield cloud


@pytest.fixture
def cloud(everywhere: Cloud) -> Cloud:
    everywhere.up.forget()
    everywhere.up.says(text("good ", "day"))
    return everywhere


def signature_by_botocore(seen: Seen) -> str:
    """The authorization header that AWS's own library makes for the very same request."""
    headers = seen.headers
    request = AWSRequest(
        "POST", f"http://{headers['host']}{seen.request.target}", headers={"content-type": headers["content-type"]}, data=seen.body
    )
    request.headers["X-Amz-Date"] = request.context["timestamp"] = headers["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = headers["x-amz-security-token"]
    signer = SigV4Auth(Credentials("AKID", "se/cret", "session"), "bedrock", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"


GEMINI_AT_VERTEX = f"{PLACE}/publishers/google/models/gemini-x"
CLAUDE_AT_VERTEX = f"{PLACE}/publishers/anthropic/models/claude-x%401"
TABLE = [
    # model, target of a unary request, target of a stream, the header that proves who asks
    ("azure/my-gpt", "/openai/v1/chat/completions", "", ("api-key", "azure-key")),
    ("azure-dated/my-gpt", "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", "", ("api-key", "k2")),
    ("bedrock/amazon.nova:0", "/model/amazon.nova%3A0/converse", "/model/amazon.nova%3A0/converse-stream", None),
    (f"bedrock/{CLAUDE}", f"/model/{ESCAPED}/converse", f"/model/{ESCAPED}/converse-stream", None),
    (f"bedrock-claude/{CLAUDE}", f"/model/{ESCAPED}/invoke", f"/model/{ESCAPED}/invoke-with-response-stream", None),
    ("bedrock-key/amazon.nova", "/model/amazon.nova/converse", "/model/amazon.nova/converse-stream", ("authorization", "Bearer ABSK")),
    (
        "vertex/gemini-x",
        f"{GEMINI_AT_VERTEX}:generateContent",
        f"{GEMINI_AT_VERTEX}:streamGenerateContent?alt=sse",
        ("authorization", "Bearer ya29.token"),
    ),
    (
        "vertex/claude-x@1",
        f"{CLAUDE_AT_VERTEX}:rawPredict",
        f"{CLAUDE_AT_VERTEX}:streamRawPredict",
        ("authorization", "Bearer ya29.token"),
    ),
    (
        "gemini/gemini-x",
        "/v1beta/models/gemini-x:generateContent",
        "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        ("x-goog-api-key", "gemini-key"),
    ),
    ("cohere/command-x", "/v2/chat", "", ("authorization", "Bearer cohere-key")),
    ("cloudflare/@cf/meta/x", "/client/v4/accounts/acc/ai/v1/chat/completions", "", ("authorization", "Bearer cloudflare-key")),
]


def proves(seen: Seen, header: tuple[str, str] | None) -> None:
    assert seen.headers.keys() & {"x-api-key", "api-key", "x-goog-api-key", "authorization"} == {header[0] if header else "authorization"}
    name, value = header or ("authorization", signature_by_botocore(seen))
    assert seen.headers[name] == value


@pytest.mark.parametrize(("model", "target", "stream_target", "header"), TABLE, ids=[row[0] for row in TABLE])
class TestEveryCloud:
    def test_answers_a_client_of_openai(
        self, cloud: Cloud, model: str, target: str, stream_target: str, header: tuple[str, str] | None
    ) -> None:
        answer = cloud.openai.chat.completions.create(model=model, messages=HI, max_tokens=9)
        assert answer.choices[0].message.content == "good day"
        assert cloud.asked.request.target == target
        proves(cloud.asked, header)

    def test_streams_to_a_client_of_openai(
        self, cloud: Cloud, model: str, target: str, stream_target: str, header: tuple[str, str] | None
    ) -> None:
        chunks = list(cloud.openai.chat.completions.create(model=model, messages=HI, max_tokens=9, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "good day"
        assert cloud.asked.request.target == (stream_target or target)
        proves(cloud.asked, header)

    def test_answers_and_streams_to_a_client_of_anthropic(
        self, cloud: Cloud, model: str, target: str, stream_target: str, header: tuple[str, str] | None
    ) -> None:
        answer = cloud.anthropic.messages.create(model=model, messages=HI, max_tokens=9)
        assert [block.text for block in answer.content if block.type == "text"] == ["good day"]
        assert cloud.asked.request.target == target
        with cloud.anthropic.messages.stream(model=model, messages=HI, max_tokens=9) as stream:
            assert stream.get_final_text() == "good day"
        assert cloud.asked.request.target == (stream_target or target)
        proves(cloud.asked, header)


def test_one_token_serves_all_exchanges(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.openai.chat.completions.create(model="vertex/gemini-x", messages=HI)
    assert len(cloud.tokens.seen) == 1
    assert cloud.tokens.seen[0].path == "/token"


def test_what_a_cloud_refuses_is_said_as_the_clients_own_error(cloud: Cloud) -> None:
    cloud.up.says(status(403, "The security token included in the request is invalid."))
    with pytest.raises(openai.APIStatusError) as caught:
        cloud.openai.chat.completions.create(model="bedrock/amazon.nova", messages=HI)
    assert caught.value.response.headers["x-setpoint-error-code"] == "1601"
    assert "security token included in the request is invalid" in caught.value.message


def test_a_route_that_refuses_what_cannot_be_said_names_it(cloud: Cloud) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        cloud.openai.chat.completions.create(model="strict", messages=HI, seed=1)
    assert "seed" in caught.value.message
    assert cloud.up.seen == []
    assert cloud.openai.chat.completions.create(model="bedrock/amazon.nova", messages=HI, seed=1).choices[0].message.content == "good day"


def test_embeddings_are_asked_for_where_each_cloud_serves_them(cloud: Cloud) -> None:
    cloud.openai.embeddings.create(model="azure/e", input=["a"], encoding_format="float")
    assert cloud.asked.request.target == "/openai/v1/embeddings"
    cloud.openai.embeddings.create(model="gemini/e", input=["a"], encoding_format="float")
    assert cloud.asked.request.target == "/v1beta/models/e:batchEmbedContents"
    with pytest.raises(openai.APIStatusError):
        cloud.openai.embeddings.create(model="vertex/text-embedding-005", input=["a"], encoding_format="float")
    assert cloud.asked.request.target == f"{PLACE}/publishers/google/models/text-embedding-005:predict"
