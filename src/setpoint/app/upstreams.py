"""From one provider of the settings to one upstream of a draft: what its preset, its cloud and its credential leave open is filled in."""

from setpoint.app.presets import Preset
from setpoint.app.settings import Provider, capabilities_of, hosting_of, preset_of
from setpoint.control.draft import KeyDraft, UpstreamDraft
from setpoint.domain.plan import AuthStyle, Hosting
from setpoint.wire.aws_keys import AwsKeys, write_aws_keys
from setpoint.wire.google_token import read_account

VERTEX_REGION = "global"
"""What Google's own clients take when nothing is said."""
_WHOLE_CONTINENTS = frozenset({"us", "eu"})
"""Locations of Vertex with an address of their own form (https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations)."""


def upstream_of(name: str, provider: Provider, own_socket: str | None = None) -> UpstreamDraft:
    """`own_socket` is where it listens when it is one of the tree's own and has no other address."""
    preset = preset_of(name, provider)
    hosting = hosting_of(name, provider)
    auth, secret = _credential(provider, preset)
    dialect = provider.dialect or preset.dialect
    base_url = address_of(name, provider)
    if hosting == "azure" and dialect == "anthropic":
        # Azure serves Claude as Anthropic does, below a path of its own (https://docs.claude.com/en/docs/build-with-claude/claude-in-microsoft-foundry).
        hosting, auth = "vendor", provider.auth or "x-api-key"
        base_url = base_url if not base_url or "/anthropic" in base_url else base_url.rstrip("/") + "/anthropic"
    return UpstreamDraft(
        name=name,
        provider=preset.vendor or name,
        dialect=dialect,
        base_url=base_url,
        unix_path=provider.unix_path or (None if provider.base_url else own_socket),
        auth=auth,
        api_key=secret,
        keys=_keys(provider),
        key_hint=preset.key_variables[0] if preset.key_variables else "",
        headers=tuple(provider.headers.items()),
        connections_max=provider.connections_max,
        breaker=provider.breaker,
        probe=provider.probe,
        ca_file=provider.ca_file,
        wildcards=preset.wildcards,
        also=provider.also if provider.also is not None else (preset.also if dialect == preset.dialect else ()),
        hosting=hosting,
        can=capabilities_of(name, provider),
        region=_region(provider, hosting),
        project=provider.project or (_project_of(secret) if auth == "google" else ""),
        api_version=provider.api_version,
    )


def address_of(name: str, provider: Provider) -> str:
    """Its base address; empty when there is none to be known."""
    return provider.base_url or preset_of(name, provider).base_url or _cloud_address(provider, hosting_of(name, provider))


def _cloud_address(provider: Provider, hosting: Hosting) -> str:
    region = _region(provider, hosting)
    if hosting == "vertex":
        if region == VERTEX_REGION:
            return "https://aiplatform.googleapis.com"
        return (
            f"https://aiplatform.{region}.rep.googleapis.com"
            if region in _WHOLE_CONTINENTS
            else f"https://{region}-aiplatform.googleapis.com"
        )
    if hosting == "bedrock" and region:
        return f"https://bedrock-runtime.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return ""


def _region(provider: Provider, hosting: Hosting) -> str:
    return provider.region or (VERTEX_REGION if hosting == "vertex" else "")


def _credential(provider: Provider, preset: Preset) -> tuple[AuthStyle, str | None]:
    """How it authenticates, with what. At the clouds the form of the credential tells."""
    keys = _keys(provider)
    key = provider.api_key.reveal() if provider.api_key else keys[0].key if keys else None
    style = preset.auth
    if style == "aws" and provider.access_key_id and provider.secret_access_key:
        token = provider.session_token.reveal() if provider.session_token else None
        key = write_aws_keys(AwsKeys(provider.access_key_id.reveal(), provider.secret_access_key.reveal(), token or None))
    elif style == "aws" and key and "{" not in key:
        style = "bearer"  # an API key of Bedrock
    elif style == "google" and key and "{" not in key and not key.endswith(".json"):
        style = "x-goog-api-key"  # a key of the express mode
    elif style == "none" and key:
        style = "bearer"
    return provider.auth or style, key


def _keys(provider: Provider) -> tuple[KeyDraft, ...]:
    return tuple(
        KeyDraft(each.label or str(number), each.key.reveal() if each.key else "", each.weight)
        for number, each in enumerate(provider.api_keys, 1)
    )


def _project_of(account: str | None) -> str:
    try:
        return read_account(account or "").project
    except ValueError:
        return ""
