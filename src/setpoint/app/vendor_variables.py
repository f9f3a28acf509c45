"""The variables that vendors' own clients read: they switch a provider on, and fill in what the file leaves open.

A provider that only the environment speaks of never stops the start. If something is missing for it, it stays off, and a notice says what.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from setpoint.app.layers import Reading, Tree
from setpoint.app.presets import PRESETS
from setpoint.wire.google_token import read_account

CREDENTIALS = ("api_key", "api_keys", "access_key_id", "secret_access_key", "session_token")
"""The members that make up a credential; one that is written is never completed from elsewhere."""
_PART = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


@dataclass(slots=True)
class Offer:
    """What the environment says of one provider.

    `members` are (value, variable) by member. `complete`: enough to switch it on. `lacks`: what is missing for that, when the environment
    clearly meant it. `anywhere`: the credential is the account's, so it is good for every provider with this preset.
    """

    members: dict[str, tuple[str, str]] = field(default_factory=dict)
    complete: bool = False
    lacks: str = ""
    anywhere: bool = True

    def take(self, member: str, environ: Mapping[str, str], *variables: str) -> bool:
        """The first of `variables` that is set; whether there is one."""
        found = next((name for name in variables if environ.get(name)), None)
        if found is not None:
            self.members[member] = (environ[found], found)
        return found is not None


def lay_vendors(reading: Reading, environ: Mapping[str, str]) -> list[str]:
    """Lays the vendors' variables under the tree; returns notices."""
    providers = reading.tree.setdefault("providers", {})
    if not isinstance(providers, dict):
        return []
    clouds = {"azure": _azure(environ), "bedrock": _bedrock(environ), "vertex": _vertex(environ)}
    switched_on, notices = set(), []
    for name, preset in PRESETS.items():
        offer = clouds.get(name) or _plain(preset.key_variables, preset.base_variables, environ)
        if name not in providers and offer.complete:
            switched_on.add(name)
            providers[name] = {}
        elif name not in providers and offer.lacks:
            notices.append(f"{name} stays off: {offer.lacks}")
        elif name in providers and providers[name] is None:
            providers[name] = {}
        for entry_name, entry in _entries(providers, name):
            if entry_name == name or offer.anywhere:
                _fill(reading, entry_name, entry, offer)
    notices += _complete_addresses(reading, providers, switched_on, environ)
    return notices


def _plain(key_variables: tuple[str, ...], base_variables: tuple[str, ...], environ: Mapping[str, str]) -> Offer:
    offer = Offer(anywhere=False)
    key = offer.take("api_key", environ, *key_variables)
    base = offer.take("base_url", environ, *base_variables)
    offer.complete = key if key_variables else base
    return offer


def _azure(environ: Mapping[str, str]) -> Offer:
    offer = Offer(anywhere=False)
    preset = PRESETS["azure"]
    key = offer.take("api_key", environ, *preset.key_variables)
    base = offer.take("base_url", environ, *preset.base_variables)
    if not base and (resource := environ.get("AZURE_RESOURCE_NAME")):
        offer.members["base_url"] = (f"https://{resource}.openai.azure.com", "AZURE_RESOURCE_NAME")
        base = True
    offer.take("api_version", environ, "AZURE_API_VERSION", "OPENAI_API_VERSION")
    offer.complete = key and base
    if key and not base:
        offer.lacks = "its key is set, but not its address; set AZURE_API_BASE or AZURE_OPENAI_ENDPOINT"
    return offer


def _bedrock(environ: Mapping[str, str]) -> Offer:
    offer = Offer()
    key = offer.take("api_key", environ, "AWS_BEARER_TOKEN_BEDROCK")
    if not key and environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        key = True
        offer.take("access_key_id", environ, "AWS_ACCESS_KEY_ID")
        offer.take("secret_access_key", environ, "AWS_SECRET_ACCESS_KEY")
        offer.take("session_token", environ, "AWS_SESSION_TOKEN")
    region = offer.take("region", environ, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME")
    offer.take("base_url", environ, *PRESETS["bedrock"].base_variables)
    offer.complete = key and region
    if key and not region:
        offer.lacks = "AWS credentials are set, but no region; set AWS_REGION"
    return offer


def _vertex(environ: Mapping[str, str]) -> Offer:
    offer = Offer()
    offer.take("base_url", environ, *PRESETS["vertex"].base_variables)
    project = offer.take("project", environ, "GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT")
    offer.take("region", environ, "GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION")
    name = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not name:
        return offer
    try:
        text = Path(name).expanduser().read_text("utf-8").strip()
    except (OSError, ValueError, RuntimeError) as error:
        offer.lacks = (
            f"GOOGLE_APPLICATION_CREDENTIALS names the file {name}, which cannot be read: {getattr(error, 'strerror', None) or error}"
        )
        return offer
    offer.members["api_key"] = (text, "GOOGLE_APPLICATION_CREDENTIALS")
    try:
        account = read_account(text)
    except ValueError as error:
        offer.lacks = f"the file {name} of GOOGLE_APPLICATION_CREDENTIALS cannot be used: {error}"
    else:
        offer.complete = bool(project or account.project)
        offer.lacks = "" if offer.complete else "its account is set, but no project; set GOOGLE_CLOUD_PROJECT"
    return offer


def _entries(providers: Tree, preset: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """The providers with this preset. One that names its preset wrongly is somebody else's complaint."""
    return [(name, entry) for name, entry in providers.items() if isinstance(entry, dict) and (entry.get("preset") or name) == preset]


def _fill(reading: Reading, name: str, entry: dict[str, Any], offer: Offer) -> None:
    has_credential = any(entry.get(member) is not None for member in CREDENTIALS)
    for member, (value, variable) in offer.members.items():
        if entry.get(member) is None and not (member in CREDENTIALS and has_credential):
            entry[member] = value
            reading.origins[f"providers.{name}.{member}"] = variable


def _complete_addresses(reading: Reading, providers: Tree, switched_on: set[str], environ: Mapping[str, str]) -> Iterable[str]:
    """Addresses with a part that is the account's own."""
    for name, preset in PRESETS.items():
        parts = _PART.findall(preset.base_url)
        for entry_name, entry in _entries(providers, name) if parts else ():
            missing = [part for part in parts if not environ.get(part)]
            if entry.get("base_url") is not None or entry.get("enabled") is False:
                continue
            if not missing:
                entry["base_url"] = _PART.sub(lambda part: environ[part[1]], preset.base_url)
                reading.origins[f"providers.{entry_name}.base_url"] = ", ".join(parts)
            elif entry_name in switched_on:
                del providers[entry_name]
                yield f"{entry_name} stays off: its key is set, but not {', '.join(missing)}"
            else:
                reading.complain(
                    f"providers.{entry_name}.base_url", f"is not known without {', '.join(missing)}; set that, or write base_url"
                )
