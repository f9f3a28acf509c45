"""What is asked of an upstream at a cloud beyond what is asked of any other, and what its address looks like in a plan."""

import re
from collections.abc import Iterable

from setpoint.control.draft import Problem, UpstreamDraft
from setpoint.domain.plan import DialectName, Hosting
from setpoint.wire.aws_keys import read_aws_keys
from setpoint.wire.google_token import read_account

SERVED: dict[Hosting, tuple[DialectName, ...]] = {
    "azure": ("openai_chat", "openai_responses", "openai_completions", "openai_embeddings"),
    "bedrock": ("bedrock_converse", "anthropic", "openai_chat"),
    "vertex": ("gemini", "gemini_embeddings", "vertex_embeddings", "anthropic", "openai_chat"),
}
"""The dialects that can be spoken at a cloud's doors."""
_OWN_DOOR: dict[DialectName, frozenset[DialectName]] = {
    "gemini": frozenset({"gemini_embeddings"}),
    "gemini_embeddings": frozenset({"gemini"}),
    "bedrock_converse": frozenset(),
    "cohere": frozenset({"cohere_embeddings"}),
    "cohere_embeddings": frozenset({"cohere"}),
    "ollama": frozenset({"ollama_embeddings"}),
    "ollama_embeddings": frozenset({"ollama"}),
}
"""Dialects that only their own vendor serves, with those whose address they share."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def cloud_problems(upstream: UpstreamDraft) -> Iterable[Problem]:
    """What is missing or wrong for where `upstream` is."""
    where = f"providers.{upstream.name}"
    served = SERVED.get(upstream.hosting)
    for member, dialect in (("dialect", upstream.dialect), *(("also", dialect) for dialect in upstream.also)):
        if served is not None and dialect not in served:
            yield Problem(f"{where}.{member}", f"{dialect} is not spoken at {upstream.hosting}; there are: {', '.join(served)}")
        elif dialect != upstream.dialect and upstream.dialect not in _OWN_DOOR.get(dialect, {upstream.dialect}):
            what = f"{dialect} is not served at the address of an upstream that speaks {upstream.dialect}; give it a provider of its own"
            yield Problem(f"{where}.{member}", what)
    if upstream.hosting == "azure" and not upstream.base_url:
        yield Problem(f"{where}.base_url", "is missing; write the address of your resource, like https://NAME.openai.azure.com")
    if upstream.hosting == "bedrock" and not upstream.region:
        yield Problem(f"{where}.region", "is missing; write the region, like us-east-1, or set AWS_REGION")
    if upstream.hosting == "vertex" and upstream.auth != "x-goog-api-key":
        if not upstream.region:
            yield Problem(f"{where}.region", "is missing; write the location, like global or europe-west1, or set GOOGLE_CLOUD_LOCATION")
        if not upstream.project:
            yield Problem(f"{where}.project", "is missing; write the id of the project, or set GOOGLE_CLOUD_PROJECT")
    if upstream.auth == "aws" and upstream.hosting != "bedrock":
        yield Problem(f"{where}.auth", "aws signs requests to Bedrock only; write `preset: bedrock`, or another auth")
    for member, value in (("region", upstream.region), ("project", upstream.project), ("api_version", upstream.api_version)):
        if value and not _NAME.fullmatch(value):
            yield Problem(f"{where}.{member}", "may hold letters, digits, '.', '_', ':' and '-' only")


def secret_problems(upstream: UpstreamDraft) -> Iterable[Problem]:
    """What is wrong with a credential that is more than a header's value."""
    where = f"providers.{upstream.name}"
    if upstream.auth == "aws":
        if not upstream.api_key:
            yield Problem(
                f"{where}.access_key_id",
                "is missing; write access_key_id and secret_access_key (or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or api_key: "
                "env.AWS_BEARER_TOKEN_BEDROCK",
            )
            return
        try:
            read_aws_keys(upstream.api_key)
        except ValueError as error:
            yield Problem(f"{where}.secret_access_key", f"requests cannot be signed with this credential: {error}")
    if upstream.auth == "google":
        if not upstream.api_key:
            what = "is missing; write `api_key: file:service-account.json`, a service account's key, or set GOOGLE_APPLICATION_CREDENTIALS"
            yield Problem(f"{where}.api_key", what)
            return
        try:
            read_account(upstream.api_key)
        except ValueError as error:
            yield Problem(f"{where}.api_key", f"is no key of a service account: {error}")


def base_path(upstream: UpstreamDraft, path: str) -> str:
    """The part of the address that comes before the dialect's own paths, from however the vendor's clients write it."""
    path = path.rstrip("/")
    if upstream.hosting == "azure":
        return path.partition("/openai")[0]
    if upstream.hosting == "vertex":
        return path.removesuffix("/v1").removesuffix("/v1beta1")
    if upstream.hosting == "bedrock":
        return path.removesuffix("/openai/v1")
    if upstream.dialect == "anthropic":  # its SDK takes its base without `/v1`, other clients write it with it
        return path if path.endswith("/v1") else f"{path}/v1"
    if upstream.dialect in ("gemini", "gemini_embeddings"):
        return path if re.search(r"/v1(?:alpha|beta)?$", path) else f"{path}/v1beta"
    if upstream.dialect in ("cohere", "cohere_embeddings"):
        return path.removesuffix("/v1").removesuffix("/v2")
    if upstream.dialect in ("ollama", "ollama_embeddings"):
        return path.removesuffix("/v1").removesuffix("/api")
    return path
