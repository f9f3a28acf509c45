"""What is published, beside the plan: which files count now, and changes of gateway keys."""

import msgspec

from setpoint.domain.principal import Principal


class Current(msgspec.Struct, frozen=True):
    """What counts now.

    The plan is `<epoch>-<version>.plan` and hashes to `plan_sha256`. The keys are `<gen>.keys` with the first `delta_len` bytes of
    `<gen>.delta`, whose CRC is `delta_crc`.
    """

    epoch: int
    version: int
    plan_sha256: bytes
    gen: int
    keys_sha256: bytes
    delta_len: int = 0
    delta_crc: int = 0

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Only grows from one publication to the next; a reader ignores one that is not greater than what it has."""
        return (self.epoch, self.version, self.gen, self.delta_len)

    @property
    def name(self) -> str:
        """`<epoch>-<version>`, as acknowledgements and headers show it."""
        return f"{self.epoch}-{self.version}"


class Upsert(msgspec.Struct, frozen=True, tag="up", array_like=True):
    """From now on `digest` is `principal`."""

    digest: bytes
    principal: Principal


class Revoke(msgspec.Struct, frozen=True, tag="rev", array_like=True):
    """From now on `digest` is nobody."""

    digest: bytes


Change = Upsert | Revoke
