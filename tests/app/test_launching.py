"""What a child inherits."""

from setpoint.app.launching import environment_of
from setpoint.app.tree import ENGINE, INGEST, LOCAL_MODEL, QUERY, SIM, ZYGOTE

SECRETS = dict.fromkeys(("SETPOINT_SECURITY__KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "CLOUDFLARE_API_TOKEN", "DATABASE_URL"), "x")
PLAIN = {"PATH": "/bin", "HOME": "/", "LANG": "C", "XDG_RUNTIME_DIR": "/run", "PYTHONPATH": "src"}


def test_only_who_reads_the_configuration_inherits_credentials() -> None:
    assert environment_of(ENGINE, SECRETS | PLAIN) == SECRETS | PLAIN
    for spec in (ZYGOTE, INGEST, QUERY, SIM, LOCAL_MODEL):
        assert environment_of(spec, SECRETS | PLAIN) == PLAIN
