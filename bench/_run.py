"""Run the benchmarks beside this file, or compare another revision with what is here.

    python bench/_run.py [NAME...] [OPTION...]
    python bench/_run.py --compare REV [--rounds N] [NAME...] [OPTION...]

A benchmark is a file here that knows ``--json``: with it the last line it prints is one
object of figures by name, without it a table for people.  Other options are passed on.

To compare, the benchmarks of today measure both revisions in turns (A B A B ...), so
that a machine that gets slower meanwhile is fair to both; the medians stand side by side.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

PYTHON = (sys.executable, "-P")
"""Without -P, ``import gateway`` would find the benchmark of that name, not the package."""

ROUNDS = 3
"""Times that each revision is measured: the least for a median that ignores one outlier."""

Figures = Mapping[str, float]


def main() -> int:
    options, passed_on = parse_options()
    known = [path for path in sorted(HERE.glob("[!_]*.py")) if '"--json"' in path.read_text()]
    chosen = [path for path in known if path.stem in (options.names or [path.stem])]
    if not chosen:
        print("no such benchmark; there are:", *(path.stem for path in known))
        return 2
    if options.compare is None:
        return max(run(path, passed_on) for path in chosen)
    with worktree(options.compare) as other:
        for path in chosen:
            compare(path, {options.compare: other, "here": ROOT}, options.rounds, passed_on)
    return 0


def parse_options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="which ones; all if none is named")
    parser.add_argument("--compare", metavar="REV", help="measure this revision as well")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each")
    return parser.parse_known_args()


def run(path: Path, passed_on: list[str]) -> int:
    print(f"\n{path.stem}\n{'=' * len(path.stem)}", flush=True)
    return subprocess.run([*PYTHON, path, *passed_on], check=False, cwd=ROOT).returncode


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """Check *revision* out elsewhere; the work in progress is left alone."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        there = Path(folder, "tree")
        git = ["git", "-C", ROOT, "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", there, revision], check=True)
        try:
            yield there
        finally:
            subprocess.run([*git, "remove", "--force", there], check=True)


def compare(path: Path, trees: Mapping[str, Path], rounds: int, passed_on: list[str]) -> None:
    measured: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in trees}
    for turn in range(rounds):
        for name, tree in trees.items():
            print(f"{path.stem}: {name}, {turn + 1} of {rounds}", file=sys.stderr)
            for figure, value in measure(path, tree, passed_on).items():
                measured[name][figure].append(value)
    (old, before), (new, after) = measured.items()
    print(f"\n{path.stem:<40} {old:>14.14} {new:>14} {'ratio':>8}")
    for figure in dict.fromkeys([*before, *after]):
        print(row(figure, before.get(figure), after.get(figure)))


def row(figure: str, before: list[float] | None, after: list[float] | None) -> str:
    """Return one line of the table; a figure that one revision lacks has a dash there."""
    shown = [f"{median(values):>14,.4g}" if values else f"{'-':>14}" for values in (before, after)]
    ratio = f"{median(after) / median(before):>8.3f}" if before and after and median(before) else ""
    return f"{figure:<40} {' '.join(shown)} {ratio}"


def measure(path: Path, tree: Path, passed_on: list[str]) -> Figures:
    """Run today's benchmark on the packages of *tree*; no figures if it does not run there."""
    # PYTHONPATH goes before the editable installation, also in the processes it starts.
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [*PYTHON, str(path), "--json", *passed_on]
    done = subprocess.run(
        command, check=False, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        print(f"{path.stem} does not run there", file=sys.stderr)
        return {}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    sys.exit(main())
