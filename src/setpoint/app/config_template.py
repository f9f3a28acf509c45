"""The configuration file that `setpoint init` writes: every default feature on, each with a word on what it does."""

from importlib.resources import files


def config_template() -> str:
    """Commented YAML. It reads back as the defaults, with the keys that `setpoint init` makes still to be made."""
    return files("setpoint.app").joinpath("setpoint.yaml").read_text("utf-8")
