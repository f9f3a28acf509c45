"""A worker forks in milliseconds and weighs a few megabytes, because nothing heavy is ever imported into it."""

import json
import subprocess
import sys

HEAVY = (
    "alembic", "duckdb", "fastapi", "genai_prices", "numpy", "pandas", "pyarrow", "pydantic", "rich", "sqlalchemy", "starlette", "typer",
    "uvicorn", "websockets", "yaml",
)  # fmt: skip
PROGRAM = "import json, sys, setpoint.app.worker; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def test_the_worker_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "uvloop" in loaded
    assert [name for name in HEAVY if name in loaded] == []
