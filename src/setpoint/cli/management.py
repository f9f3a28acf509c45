"""Asking the management interface of a running gateway, for the commands that are its remote control."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from setpoint.cli.exits import FAILED, REFUSED, UNREACHABLE, USAGE, end

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 35.0
"""A little more than the engine gives itself."""

_URL = typer.Option("--url", envvar="SETPOINT_URL", help="Where the gateway listens.")
_KEY = typer.Option("--key", envvar="SETPOINT_KEY", help="A gateway key with the role admin.", show_default=False)
UrlOption = Annotated[str, _URL]
KeyOption = Annotated[str | None, _KEY]


@dataclass(frozen=True, slots=True)
class Management:
    """The interface of one gateway. Every failure ends the command: 2 wrong request, 3 unreachable, 4 refused, 1 else."""

    url: str
    key: str = field(repr=False)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON answer to a management request."""
        request = urllib.request.Request(  # noqa: S310 - checked by `management`
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self.key}", "content-type": "application/json", "user-agent": "setpoint-cli"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                end(exit_code(error.code), _said(error.read(), error.code))
        except (OSError, ssl.SSLError) as error:
            end(UNREACHABLE, f"no gateway answers at {self.url} ({getattr(error, 'reason', error)}). Start one, or set --url.")
        except ValueError:
            end(FAILED, f"{self.url} answers, but not as Setpoint does. Check --url.")


def management(url: str, key: str | None) -> Management:
    """The interface that the options name."""
    if not url.startswith(("http://", "https://")):
        end(USAGE, f"--url {url} is not an address like {DEFAULT_URL}")
    if not key:
        end(USAGE, "this needs a key with the role admin: set SETPOINT_KEY or --key. The first start of `setpoint serve` shows one.")
    if not (key.isascii() and key.isprintable()):
        end(USAGE, "the key holds a character that no key has; look for a line break or a letter that got into it")
    return Management(url.rstrip("/").removesuffix("/v1"), key)


def exit_code(status: int) -> int:
    """What a refusal by the gateway comes to: 4 the key may not, 2 the request is wrong, 1 else."""
    if status in {401, 403}:
        return REFUSED
    return USAGE if status == 400 else FAILED


def _said(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {status} without saying why"
