"""Accounts at clouds that exist in tests only."""

import json
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

EMAIL = "setpoint@my-project.iam.gserviceaccount.com"


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@cache
def private_pem() -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private_key().private_bytes(encoding, form, serialization.NoEncryption()).decode()


def service_account(**changes: object) -> str:
    """The file that the console gives out, with `changes`; None leaves a member out."""
    members: dict[str, object] = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "key-1",
        "private_key": private_pem(),
        "client_email": EMAIL,
        "client_id": "1234",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None})


def user_account(**changes: object) -> str:
    """What `gcloud auth application-default login` leaves."""
    members = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s/+",
        "refresh_token": "1//r",
        "quota_project_id": "q",
        **changes,
    }
    return json.dumps(members)
