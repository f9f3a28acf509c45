"""The gateway beside its peers: one table of ratios with the goals, in about ten minutes; `--quick` in about two.

    make bench
    .venv/bin/python tools/bench.py [--quick] [--with-litellm] [-o FILE] [--baseline FILE [--strict]] [--work DIR]

Needs Linux, two cores, and the comparison kit (`docs/benchmarks.md` says what that is); without the kit it measures Setpoint alone and says
so. Exits 1 when a ratio of CPU time (`--strict`: any ratio) is worse than in `--baseline` by more than `--tolerance`, when a request
failed, or when the trace ids that clients were told are not those that are stored. A missed goal is printed, and changes no exit status.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path.insert(0, str(ROOT))  # run by its path, Python looks for modules beside it only
    from tools import bench_run

    return bench_run.main(ROOT, __doc__ or "")


if __name__ == "__main__":
    raise SystemExit(main())
