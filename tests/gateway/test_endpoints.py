"""Where each vendor and cloud serves what: the addresses of their references, and of their own SDKs."""

import itertools

import pytest
from tests.gateway.world import upstream

from setpoint.domain.plan import DialectName, Hosting
from setpoint.gateway.endpoints import endpoint, segment, spoken
from setpoint.gateway.surfaces import (
    CHAT,
    COHERE,
    COHERE_EMBED,
    COMPLETIONS,
    CONVERSE,
    EMBEDDINGS,
    GEMINI,
    GEMINI_COUNT,
    GEMINI_EMBED,
    GEMINI_EMBED_BATCH,
    IMAGES,
    MESSAGES,
    MESSAGES_COUNT,
    OLLAMA,
    OLLAMA_EMBED,
    RESPONSES,
    HotSurface,
    Kind,
)

P = "/v1/projects/p-1/locations/us-east5"
G = f"{P}/publishers/google/models/gemini-x"

TABLE: list[tuple[Hosting, DialectName, Kind, str, str, str]] = [
    # hosting, dialect, kind, model, unary, stream (empty: the same)
    ("vendor", "openai_chat", "chat", "gpt-x", "/chat/completions", ""),
    ("vendor", "openai_responses", "chat", "gpt-x", "/responses", ""),
    ("vendor", "openai_completions", "chat", "gpt-x", "/completions", ""),
    ("vendor", "openai_embeddings", "embeddings", "e", "/embeddings", ""),
    ("vendor", "anthropic", "chat", "claude-x", "/messages", ""),
    ("vendor", "anthropic", "count", "claude-x", "/messages/count_tokens", ""),
    ("vendor", "gemini", "chat", "gemini-x", "/models/gemini-x:generateContent", "/models/gemini-x:streamGenerateContent?alt=sse"),
    ("vendor", "gemini", "chat", "models/gemini-x", "/models/gemini-x:generateContent", "/models/gemini-x:streamGenerateContent?alt=sse"),
    ("vendor", "gemini", "chat", "tunedModels/t", "/tunedModels/t:generateContent", "/tunedModels/t:streamGenerateContent?alt=sse"),
    ("vendor", "gemini", "count", "gemini-x", "/models/gemini-x:countTokens", "-"),
    ("vendor", "gemini_embeddings", "embeddings", "e", "/models/e:batchEmbedContents", "-"),
    ("vendor", "bedrock_converse", "chat", "amazon.nova:0", "/model/amazon.nova%3A0/converse", "/model/amazon.nova%3A0/converse-stream"),
    ("vendor", "cohere", "chat", "command", "/v2/chat", ""),
    ("vendor", "cohere_embeddings", "embeddings", "embed", "/v2/embed", ""),
    ("vendor", "ollama", "chat", "qwen", "/api/chat", ""),
    ("vendor", "ollama_embeddings", "embeddings", "e", "/api/embed", ""),
    ("azure", "openai_chat", "chat", "d", "/openai/v1/chat/completions", ""),
    ("azure", "openai_responses", "chat", "d", "/openai/v1/responses", ""),
    ("azure", "openai_completions", "chat", "d", "/openai/v1/completions", ""),
    ("azure", "openai_embeddings", "embeddings", "d", "/openai/v1/embeddings", ""),
    (
        "bedrock",
        "bedrock_converse",
        "chat",
        "us.amazon.nova-v1:0",
        "/model/us.amazon.nova-v1%3A0/converse",
        "/model/us.amazon.nova-v1%3A0/converse-stream",
    ),
    (
        "bedrock",
        "anthropic",
        "chat",
        "anthropic.claude-v1:0",
        "/model/anthropic.claude-v1%3A0/invoke",
        "/model/anthropic.claude-v1%3A0/invoke-with-response-stream",
    ),
    ("bedrock", "openai_chat", "chat", "openai.gpt-oss", "/openai/v1/chat/completions", ""),
    ("vertex", "gemini", "chat", "gemini-x", f"{G}:generateContent", f"{G}:streamGenerateContent?alt=sse"),
    ("vertex", "gemini", "count", "gemini-x", f"{G}:countTokens", "-"),
    ("vertex", "gemini_embeddings", "embeddings", "gemini-x", f"{G}:batchEmbedContents", "-"),
    ("vertex", "vertex_embeddings", "embeddings", "gemini-x", f"{G}:predict", "-"),
    (
        "vertex",
        "anthropic",
        "chat",
        "claude-x@1",
        f"{P}/publishers/anthropic/models/claude-x%401:rawPredict",
        f"{P}/publishers/anthropic/models/claude-x%401:streamRawPredict",
    ),
    (
        "vertex",
        "anthropic",
        "chat",
        "anthropic/claude-x",
        f"{P}/publishers/anthropic/models/claude-x:rawPredict",
        f"{P}/publishers/anthropic/models/claude-x:streamRawPredict",
    ),
    (
        "vertex",
        "gemini",
        "chat",
        "endpoints/77",
        f"{P}/endpoints/77:generateContent",
        f"{P}/endpoints/77:streamGenerateContent?alt=sse",
    ),
    (
        "vertex",
        "gemini",
        "chat",
        "other/model-x",
        f"{P}/publishers/other/models/model-x:generateContent",
        f"{P}/publishers/other/models/model-x:streamGenerateContent?alt=sse",
    ),
    ("vertex", "openai_chat", "chat", "meta/llama-x", f"{P}/endpoints/openapi/chat/completions", ""),
]


@pytest.mark.parametrize(("hosting", "dialect", "kind", "model", "unary", "stream"), TABLE)
def test_a_request_goes_where_the_vendors_reference_says(
    hosting: Hosting, dialect: DialectName, kind: Kind, model: str, unary: str, stream: str
) -> None:
    up = upstream(hosting=hosting, dialect=dialect, region="us-east5", project="p-1")
    found = endpoint(up, dialect, kind, model)
    assert (found.unary, found.stream) == (unary, {"": unary, "-": ""}.get(stream, stream))


@pytest.mark.parametrize("hosting", ["vendor", "vertex"])
def test_one_text_is_embedded_by_another_verb_than_many(hosting: Hosting) -> None:
    up = upstream(hosting=hosting, dialect="gemini", region="r", project="p")
    assert endpoint(up, "gemini_embeddings", "embeddings", "e", single=True).unary.endswith("/e:embedContent")


@pytest.mark.parametrize(
    ("version", "dialect", "path"),
    [
        ("2024-10-21", "openai_chat", "/openai/deployments/d%2F1/chat/completions?api-version=2024-10-21"),
        ("2024-10-21", "openai_completions", "/openai/deployments/d%2F1/completions?api-version=2024-10-21"),
        ("2024-10-21", "openai_embeddings", "/openai/deployments/d%2F1/embeddings?api-version=2024-10-21"),
        ("2025-03-01-preview", "openai_responses", "/openai/responses?api-version=2025-03-01-preview"),
        ("preview", "openai_chat", "/openai/v1/chat/completions?api-version=preview"),
        ("preview", "openai_responses", "/openai/v1/responses?api-version=preview"),
    ],
)
def test_a_dated_version_of_azure_names_the_deployment_in_the_path(version: str, dialect: DialectName, path: str) -> None:
    found = endpoint(upstream(hosting="azure", api_version=version), dialect, "chat", "d/1")
    assert (found.unary, found.stream) == (path, path)


def test_a_key_of_vertex_express_mode_belongs_to_a_project_by_itself() -> None:
    up = upstream(hosting="vertex", dialect="gemini", region="global")
    assert endpoint(up, "gemini", "chat", "gemini-x").unary == "/v1/publishers/google/models/gemini-x:generateContent"


@pytest.mark.parametrize(
    ("home", "dialect", "path"),
    [
        ("gemini", "openai_chat", "/openai/chat/completions"),
        ("gemini", "openai_embeddings", "/openai/embeddings"),
        ("cohere", "openai_chat", "/compatibility/v1/chat/completions"),
        ("ollama", "openai_chat", "/v1/chat/completions"),
        ("ollama", "openai_responses", "/v1/responses"),
        ("ollama", "anthropic", "/v1/messages"),
        ("openai_chat", "anthropic", "/messages"),
    ],
)
def test_a_further_dialect_has_its_own_door(home: DialectName, dialect: DialectName, path: str) -> None:
    assert endpoint(upstream(dialect=home, also=(dialect,)), dialect, "chat", "m").unary == path


@pytest.mark.parametrize("model", ["..", "a/../b", "../../x", "?key=1", "a#b", "%2e%2e", "a b", "\r\nx: y", "é"])
def test_no_name_of_a_model_leaves_its_place_in_the_path(model: str) -> None:
    ups = [
        upstream(dialect="gemini"),
        upstream(hosting="azure", api_version="2024-10-21"),
        upstream(hosting="bedrock", dialect="bedrock_converse"),
        upstream(hosting="vertex", dialect="gemini", region="r", project="p"),
        upstream(hosting="vertex", dialect="anthropic", region="r", project="p"),
    ]
    for up in ups:
        path = endpoint(up, up.dialect, "chat", model).unary.partition("?api-version")[0]
        assert path.isascii()
        assert path.isprintable()
        assert not {"?", "#", " "} & set(path)
        assert not {".", "..", ""} & set(path.split("/")[1:])


def test_plain_characters_stay_and_others_are_escaped() -> None:
    assert segment("Az09-._~") == "Az09-._~"
    assert segment("a:/@é") == "a%3A%2F%40%C3%A9"


# ---- which dialect

ALL = (
    CHAT,
    RESPONSES,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    MESSAGES_COUNT,
    GEMINI,
    GEMINI_COUNT,
    GEMINI_EMBED,
    GEMINI_EMBED_BATCH,
    CONVERSE,
    COHERE,
    COHERE_EMBED,
    OLLAMA,
    OLLAMA_EMBED,
)
HOMES: tuple[DialectName, ...] = ("openai_chat", "openai_responses", "anthropic", "gemini", "bedrock_converse", "cohere", "ollama")


@pytest.mark.parametrize(("home", "surface"), list(itertools.product(HOMES, ALL)), ids=lambda it: getattr(it, "name", it))
def test_every_chat_upstream_is_asked_in_the_clients_dialect_or_in_its_own(home: DialectName, surface: HotSurface) -> None:
    found = spoken(upstream(dialect=home), surface)
    if surface.kind == "embeddings":
        assert found is None if home in {"anthropic", "bedrock_converse"} else found is not None and found.endswith("_embeddings")
    else:
        assert found == home
    also = upstream(dialect=home, also=(surface.dialect,))
    assert spoken(also, surface) == surface.dialect


@pytest.mark.parametrize(
    ("hosting", "home", "surface", "model", "dialect"),
    [
        ("vertex", "gemini", MESSAGES, "claude-sonnet-4-5@1", "anthropic"),
        ("vertex", "gemini", MESSAGES, "gemini-x", "gemini"),
        ("vertex", "gemini", CHAT, "claude-sonnet-4-5@1", "anthropic"),
        ("vertex", "gemini", GEMINI, "anthropic/claude-x", "anthropic"),
        ("vertex", "gemini", CHAT, "gemini-x", "gemini"),
        ("vertex", "gemini", MESSAGES, "", "gemini"),
        ("bedrock", "bedrock_converse", MESSAGES, "us.anthropic.claude-x", "anthropic"),
        ("bedrock", "bedrock_converse", MESSAGES, "anthropic.claude-x", "anthropic"),
        ("bedrock", "bedrock_converse", MESSAGES, "arn:aws:bedrock:r:1:inference-profile/us.anthropic.claude-x", "anthropic"),
        ("bedrock", "bedrock_converse", MESSAGES, "amazon.nova", "bedrock_converse"),
        ("bedrock", "bedrock_converse", CHAT, "us.anthropic.claude-x", "bedrock_converse"),
        ("bedrock", "anthropic", CHAT, "my-own-profile", "anthropic"),
    ],
)
def test_at_a_cloud_only_claude_speaks_anthropics_dialect(
    hosting: Hosting, home: DialectName, surface: HotSurface, model: str, dialect: DialectName
) -> None:
    also: tuple[DialectName, ...] = () if home == "anthropic" else ("anthropic",)
    assert spoken(upstream(hosting=hosting, dialect=home, also=also), surface, model) == dialect


@pytest.mark.parametrize(
    ("model", "dialect"),
    [
        ("text-embedding-005", "vertex_embeddings"),
        ("gemini-embedding-001", "vertex_embeddings"),
        ("gemini-embedding-2", "gemini_embeddings"),
        ("", "vertex_embeddings"),
    ],
)
@pytest.mark.parametrize("surface", [EMBEDDINGS, GEMINI_EMBED, GEMINI_EMBED_BATCH, COHERE_EMBED])
def test_the_older_models_of_vertex_embed_by_predict(surface: HotSurface, model: str, dialect: DialectName) -> None:
    assert spoken(upstream(hosting="vertex", dialect="gemini"), surface, model) == dialect


def test_claude_at_vertex_embeds_nothing() -> None:
    assert spoken(upstream(hosting="vertex", dialect="anthropic"), EMBEDDINGS) is None


def test_what_is_passed_on_goes_to_its_own_family_outside_of_the_paths_of_clouds() -> None:
    assert spoken(upstream(dialect="openai_chat"), IMAGES) == "openai_chat"
    assert spoken(upstream(dialect="anthropic"), IMAGES) is None
    assert spoken(upstream(dialect="openai_chat", hosting="azure"), IMAGES) == "openai_chat"
    assert spoken(upstream(dialect="openai_chat", hosting="bedrock"), IMAGES) is None
    assert endpoint(upstream(), "openai_chat", "passing", "m").unary == ""
