"""How a service account of Google becomes an access token: what is asked of the token server, and what it answers.

A service account signs a claim with its private key and trades it for a token (RFC 7523,
https://developers.google.com/identity/protocols/oauth2/service-account#httprest). What `gcloud auth application-default login` leaves is
traded likewise, by its refresh token (RFC 6749, section 6).
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.kit.rs256 import BadKeyError, Rs256Key
from setpoint.wire.aws_sigv4 import encode_segment

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ASSERTION_LIFE_S = 3_600
"""The longest that Google allows."""
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address
EXPIRES_IN_S = 300.0
"""How long a token counts as good whose answer does not say it."""
SAID_CHARS_MAX = 300
"""Of a refusal in the server's own words."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class _Document:
    """The members that count of a credentials file, of whichever type (https://google.aip.dev/auth/4110)."""

    type: str = ""
    client_email: str = ""
    private_key: str = field(default="", repr=False)
    private_key_id: str = ""
    token_uri: str = TOKEN_URI
    project_id: str = ""
    quota_project_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TokenServer:
    """Where tokens are asked for."""

    host: str
    port: int
    tls: bool
    path: str


class GoogleAccount:
    """Who asks for tokens. Shows nothing of its secrets."""

    __slots__ = ("_document", "_key", "kind", "server")

    def __init__(self, document: _Document, kind: Literal["service_account", "authorized_user"], server: TokenServer) -> None:
        """Raises ValueError when the document's key is none."""
        self._document = document
        self.kind = kind
        self.server = server
        try:
            self._key = Rs256Key(document.private_key) if kind == "service_account" else None
        except BadKeyError as error:
            raise ValueError(f"its private_key cannot be used: {error}") from None

    @property
    def project(self) -> str:
        """The project it belongs to, or is billed to; empty when the document does not say."""
        return self._document.project_id or self._document.quota_project_id

    @property
    def name(self) -> str:
        """Whom to look for in the console."""
        return self._document.client_email or "the user of gcloud"

    def token_request(self, now_unix_s: float) -> bytes:
        """The form to post."""
        document = self._document
        if self._key is None:
            return _form(
                grant_type="refresh_token",
                client_id=document.client_id,
                client_secret=document.client_secret,
                refresh_token=document.refresh_token,
            )
        return _form(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=self._assertion(self._key, int(now_unix_s)))

    def _assertion(self, key: Rs256Key, now_s: int) -> str:
        document = self._document
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": document.private_key_id} if document.private_key_id else {})
        claims = {
            "iss": document.client_email,
            "scope": SCOPE,
            "aud": document.token_uri,
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S,
        }
        signed = f"{_base64(msgspec.json.encode(header))}.{_base64(msgspec.json.encode(claims))}"
        return f"{signed}.{_base64(key.sign(signed.encode()))}"


def read_account(text: str) -> GoogleAccount:
    """A credentials file's content. Raises ValueError, which says what is wrong and nothing of the content."""
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError("it is not the JSON of a service account's key") from None
    if document.type == "service_account":
        missing = [name for name in ("client_email", "private_key") if not getattr(document, name)]
    elif document.type == "authorized_user":
        missing = [name for name in ("client_id", "client_secret", "refresh_token") if not getattr(document, name)]
    else:
        kinds = "service_account and authorized_user are"
        raise ValueError(f"it is of the type {document.type[:40]!r}, which is not supported ({kinds}); make a key of a service account")
    if missing:
        raise ValueError(f"it lacks {' and '.join(missing)}")
    return GoogleAccount(document, document.type, _server(document.token_uri))  # type: ignore[arg-type]  # one of the two, as seen above


def _server(uri: str) -> TokenServer:
    match = _ADDRESS.fullmatch(uri)
    if match is None:
        raise ValueError("its token_uri is not an address")
    host, tls = match["host"].strip("[]"), match["scheme"] == "https"
    port = int(match["port"] or (443 if tls else 80))
    if not tls and host not in _LOOPBACK:
        raise ValueError("its token_uri is not an https address")
    if not 0 < port < 65_536:
        raise ValueError("its token_uri has a port that does not exist")
    return TokenServer(host, port, tls, match["path"] or "/")


class Token(msgspec.Struct, frozen=True):
    """An access token and how long it is good from now."""

    text: str
    life_s: float

    def __repr__(self) -> str:
        return f"Token(hidden, {self.life_s})"


class _Answer(msgspec.Struct, frozen=True):
    access_token: str | None = None
    expires_in: float | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    error_description: str | None = None


_read_answer = msgspec.json.Decoder(_Answer, strict=False).decode


def read_token(status: int, body: bytes, account: GoogleAccount) -> Token | Fault:
    """What the token server answered (RFC 6749, section 5)."""
    try:
        answer = _read_answer(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        answer = _Answer()
    if status == 200 and answer.access_token and _TOKEN.fullmatch(answer.access_token):
        life_s = answer.expires_in
        return Token(answer.access_token, EXPIRES_IN_S if life_s is None or not 0 < life_s < 1e9 else life_s)
    where = f"the token server {account.server.host}"
    if status in {400, 401, 403}:
        advice = "Check that the account and its key still exist, and this machine's clock; then give the upstream a new key."
        text = f"Google refuses {account.name}: {_said(answer)} ({where}, HTTP {status}). {advice}"
        return Fault(FaultKind.upstream_auth, text, upstream_status=status)
    text = f"Google gave no access token for {account.name}: {where} answered HTTP {status}, or nothing that can be read."
    return Fault(FaultKind.upstream_unreachable, text, upstream_status=status)


def _said(answer: _Answer) -> str:
    """Both words of a refusal, in characters that any log can hold."""
    error = bytes(answer.error).decode("utf-8", "replace").strip('"')
    text = ": ".join(part for part in ("" if error == "null" else error, answer.error_description) if part)
    return "".join(c if " " <= c <= "~" else "?" for c in text[:SAID_CHARS_MAX]) or "no reason is given"


def _form(**members: str) -> bytes:
    return "&".join(f"{name}={encode_segment(value)}" for name, value in members.items()).encode()


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
