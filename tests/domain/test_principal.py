"""Roles lie in key tables by number."""

from setpoint.domain.plan import ROLE_LIMITS
from setpoint.domain.principal import INFERENCE_ROLES, ROLES


def test_the_number_of_a_role_never_changes() -> None:
    assert ROLES[:6] == ("admin", "developer", "viewer", "billing", "auditor", "service")


def test_every_role_has_a_limit_and_those_that_only_read_cannot_call_models() -> None:
    assert set(ROLE_LIMITS) == set(ROLES)
    assert set(ROLES) - INFERENCE_ROLES == {"viewer", "billing", "auditor"}
