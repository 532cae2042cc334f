"""Small writes a second from many tasks, each on the disk before its task goes on."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import trio

from gateway.storage.database import Database
from supervisors.testing import running

STEPS = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)
TASKS = (1, 10, 100, 1000)


def note(sql):
    sql.execute("INSERT INTO notes (text) VALUES ('a small row')")


async def write(database, until, waits):
    while (began := time.perf_counter()) < until:
        await database.write(note)
        waits.append(time.perf_counter() - began)


async def measure(folder, tasks, seconds):
    """Return writes/s, writes per COMMIT, the 99th percentile of waits in ms, CPU us a write.

    The last does not depend on what else the machine does.
    """
    database = Database(Path(folder, str(tasks), "gateway.db"), STEPS)
    waits = []
    async with running(database.run) as child:
        began, cpu = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(write, database, began + seconds, waits)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        detail = child.detail
        (count,) = await database.read(
            lambda sql: sql.execute("SELECT count(*) FROM notes").fetchone()
        )
    assert count == len(waits), "every acknowledged write is there"
    per_commit = detail["writes"] / detail["groups"]
    p99 = quantiles(waits, n=100)[98] * 1000
    return len(waits) / took, per_commit, p99, cpu / len(waits) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    options, _ = parser.parse_known_args()
    figures = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        for tasks in TASKS:
            rate, per_commit, p99, cpu = trio.run(measure, folder, tasks, options.seconds)
            figures[f"writes_per_second_{tasks}_tasks"] = rate
            figures[f"write_p99_ms_{tasks}_tasks"] = p99
            figures[f"write_cpu_us_{tasks}_tasks"] = cpu
            if not options.json:
                print(
                    f"{tasks:5} tasks {rate:9,.0f}/s {per_commit:8.1f}/commit"
                    f"  p99 {p99:7.2f} ms  {cpu:6.1f} us CPU"
                )
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
