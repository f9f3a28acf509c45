"""A plan that a worker cannot use does not keep it from hearing of revoked keys."""

import msgspec

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.domain.snapshot import Revoke
from setpoint.kit.sealing import key_digest
from setpoint.testing.conversation import chat
from setpoint.testing.gateway import KEYRING, RunningGateway, wait_for
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.stage import stage


def status_of(gateway: RunningGateway, key: str) -> int:
    ask = chat("hi")
    with RawClient(gateway.port) as client:
        return client.send(request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {key}")).receive().status


def test_a_key_that_is_revoked_under_an_unusable_plan_is_refused() -> None:
    with stage() as on:
        snapshots = SnapshotFiles(on.gateway.data_dir)
        snapshots.publish(msgspec.structs.replace(on.plan, version=2, upstreams=on.plan.upstreams[1:]))
        on.gateway.tell("publish")
        revoked = on.keys["service"]
        assert status_of(on.gateway, revoked) == 200
        snapshots.publish_changes([Revoke(key_digest(KEYRING.pepper, revoked.encode()))])
        on.gateway.tell("publish")
        wait_for(lambda: status_of(on.gateway, revoked) == 401, "the revoked key to be refused")
        assert status_of(on.gateway, on.gateway.key) == 200
