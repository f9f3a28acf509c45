"""Plants known bugs into the gateway and shows that the simulation finds each: `python -m tools.mutants`.

A mutant is one small change of the source of one production module. It is made while the module is imported, in a process of its own, so
no file changes. Then schedules are played until one does not hold. A mutant that survives them all, or whose place in the source is gone,
makes the exit code 1.
"""

import argparse
import ast
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SCHEDULES = 1_500
TIMEOUT_S = 300.0
GATEWAY = "setpoint.gateway."


class Mutant(NamedTuple):
    """`old` stands exactly once in the module's source. `name` says what the gateway then does wrong."""

    name: str
    module: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "forgets the record of a client that left",
        GATEWAY + "lane",
        "        if answer is None:\n            self._turn.add(head, tail, prompt, kept)\n",
        "        if answer is None:\n            pass\n",
    ),
    Mutant(
        "writes an END twice",
        GATEWAY + "lane",
        "        self.meter.finished(exchange,",
        "        self._turn.add(head, tail, prompt, kept)\n        self.meter.finished(exchange,",
    ),
    Mutant(
        "forgets the BEGIN of a stream",
        GATEWAY + "lane",
        'self._turn.add(head, tail, b"", b"", partial(relay.flow, head_bytes))',
        "relay.flow(head_bytes)",
    ),
    Mutant(
        "swaps ok and fault",
        GATEWAY + "lane",
        "Outcome.ok if exchange.fault is None else Outcome.fault",
        "Outcome.fault if exchange.fault is None else Outcome.ok",
    ),
    Mutant("never gives up an old plan", GATEWAY + "lane", "        exchange.published.in_use -= 1\n", ""),
    Mutant(
        "ends a chunked stream without its last chunk", GATEWAY + "lane", 'if answer.body else b"0\\r\\n\\r\\n"', 'if answer.body else b""'
    ),
    Mutant(
        "lets answers leave before their records",
        GATEWAY + "turn",
        "        if self._sink.append(heads, tails, bodies):",
        "        self._go(iter(then))\n        then = []\n        if self._sink.append(heads, tails, bodies):",
    ),
    Mutant(
        "counts a chunk one byte too long",
        GATEWAY + "server",
        "(len(data), data) if self.chunked else data)",
        "(len(data) + 1, data) if self.chunked else data)",
    ),
    Mutant(
        "keeps what it held of bodies",
        GATEWAY + "server",
        "            self._lane.body_bytes_held -= request.size\n        if self.lost:",
        "            pass\n        if self.lost:",
    ),
    Mutant(
        "forgets a probe that was abandoned",
        GATEWAY + "stages.attempt",
        "    if not told:\n        breaker.abandoned(admission)\n",
        "    if not told:\n        pass\n",
    ),
    Mutant(
        "tells the breaker that a failure was a success",
        GATEWAY + "stages.attempt",
        "breaker.failed(admission, now_s())",
        "breaker.succeeded(admission)",
    ),
    Mutant("makes one attempt too many", GATEWAY + "next_call", "made >= retries.attempts", "made > retries.attempts"),
    Mutant("does not heed Retry-After", GATEWAY + "next_call", "wait_s = max(wait_s, fault.retry_after_s)", "pass"),
    Mutant("does not go elsewhere", GATEWAY + "next_call", "    if elsewhere:\n        return 0.0\n", ""),
    Mutant(
        "tries again after content",
        GATEWAY + "streaming",
        "        return Answer(200, rest, streamed=True)",
        "        return fault or Answer(200, rest, streamed=True)",
    ),
    Mutant(
        "lets a stream break off in silence",
        GATEWAY + "streaming",
        "        if fault is not None and not (fault is relay.tap.error and error_shown(relay.tap)):",
        "        if False:",
    ),
    Mutant(
        "does not hang up for a client that left",
        GATEWAY + "calling",
        "            if not call.over:\n                call.abort()",
        "            if not call.over:\n                pass",
    ),
    Mutant(
        "lets a stream go unpaid",
        GATEWAY + "streaming",
        "        else:\n            settle(exchange, candidate, usage)\n",
        "",
    ),
    Mutant(
        "counts input tokens twice", GATEWAY + "meter", "page[at.TOKENS_INPUT] += usage.input", "page[at.TOKENS_INPUT] += 2 * usage.input"
    ),
    Mutant(
        "forwards half an event",
        "setpoint.wire.tap",
        "        return self._shown(self._collect(data))\n\n    def flush",
        "        self._collect(data)\n        return data\n\n    def flush",
    ),
    Mutant(
        "drops the end of a translated stream",
        GATEWAY + "translate",
        "                self.done = True\n",
        "                self.done = True\n                continue\n",
    ),
    Mutant(
        "caches an answer that broke off",
        GATEWAY + "stages.cache",
        "result.status != 200 or exchange.fault is not None",
        "result.status != 200",
    ),
    Mutant(
        "leaves a deadline behind",
        GATEWAY + "upstream",
        "    def connection_lost(self, exc: Exception | None) -> None:\n        self._deadline.clear()",
        "    def connection_lost(self, exc: Exception | None) -> None:\n        pass",
    ),
    Mutant(
        "keeps a connection in the middle of an answer",
        GATEWAY + "upstream",
        "        if self.connection is not None:\n            self.connection.hang_up()\n        elif",
        "        if self.connection is not None:\n            self.connection.call = None\n"
        "            self.connection._pool.released(self.connection)\n        elif",
    ),
    Mutant(
        "repeats a call that was answered in part",
        GATEWAY + "upstream",
        "elif self._bare and call.reused and not call.head_seen:",
        "elif call.reused and not call.streaming:",
    ),
)


class NotApplicable(Exception):
    """The place of a mutant is gone from the source, or is not the only one."""


class _Loader(SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        source = mutated(self.get_data(self.path).decode(), self.mutant)
        return compile(source, self.path, "exec")


class Planting(MetaPathFinder):
    """Finds the one module that is to be changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = loader = _Loader(fullname, spec.origin)
        loader.mutant = self._mutant
        return spec


def mutated(source: str, mutant: Mutant) -> str:
    """The source with the bug in it. Raises NotApplicable."""
    if source.count(mutant.old) != 1:
        raise NotApplicable(f"{mutant.name!r}: its place is {source.count(mutant.old)} times in {mutant.module}")
    changed = source.replace(mutant.old, mutant.new)
    ast.parse(changed)
    return changed


def source_of(mutant: Mutant) -> str:
    return (ROOT / "src" / f"{mutant.module.replace('.', '/')}.py").read_text()


def hunt(mutant: Mutant, first: int, schedules: int) -> int:
    """In this process: plant it, and play until it is caught. The exit code says whether it was."""
    sys.meta_path.insert(0, Planting(mutant))
    sys.path.insert(0, str(ROOT))
    from tests.simulation.drawing import draw
    from tests.simulation.run import play

    for seed in range(first, first + schedules):
        if wrong := play(draw(seed)):
            print(f"schedule {seed}: {wrong[0][:200]}")
            return 0
    print(f"survived {schedules} schedules")
    return 1


def hunted(mutant: Mutant, schedules: int = SCHEDULES) -> tuple[bool, str]:
    """Whether a process of its own caught it, and how."""
    command = [sys.executable, str(Path(__file__)), "--only", mutant.name, "--schedules", str(schedules), "--here"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    said = (ended.stdout or ended.stderr).strip().splitlines()
    return ended.returncode == 0, said[-1] if said else "it said nothing"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--here", action="store_true", help="in this process; with --only")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if arguments.only in ("", mutant.name)]
    if arguments.here:
        return hunt(chosen[0], arguments.first, arguments.schedules)
    began_s, alive = time.monotonic(), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, (caught, how) in zip(chosen, pool.map(lambda each: hunted(each, arguments.schedules), chosen), strict=True):
            alive += not caught
            print(f"{'caught  ' if caught else 'SURVIVED'}  {mutant.name:<52}{how}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants caught in {time.monotonic() - began_s:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
