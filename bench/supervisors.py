"""What supervision costs: children started and stopped, memory, a status of the tree.

``python -P bench/supervisors.py [--json]``; without -P this file hides the package.
"""

import argparse
import gc
import json
import time

import psutil
import trio

from supervisors import Child, Strategy, Supervisor

COUNTS = (100, 1_000, 10_000)


async def until_asked(life):
    life.started()
    await life.wait_stopping()


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


async def measure(strategy, count):
    """Return seconds to start, seconds to stop, bytes per child, seconds per status."""
    before = resident()
    children = [Child(str(n), until_asked) for n in range(count)]
    supervisor = Supervisor("bench", children, strategy=strategy)
    async with trio.open_nursery() as nursery:
        began = time.perf_counter()
        await nursery.start(supervisor.run)
        up = time.perf_counter()
        size = (resident() - before) / count
        looks = []
        for _ in range(5):
            looking = time.perf_counter()
            supervisor.status()
            looks.append(time.perf_counter() - looking)
        stopping = time.perf_counter()
        supervisor.shutdown()
    return up - began, time.perf_counter() - stopping, size, min(looks)


def rows():
    trio.run(measure, Strategy.ONE_FOR_ONE, 100)  # warm up
    for strategy in (Strategy.ONE_FOR_ONE, Strategy.POOL):
        for count in COUNTS:
            start, stop, size, status = trio.run(measure, strategy, count)
            yield {
                "strategy": str(strategy),
                "children": count,
                "start us": start / count * 1e6,
                "stop us": stop / count * 1e6,
                "KiB": size / 1024,
                "status ms": status * 1e3,
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    if parser.parse_args().json:
        figures = {
            f"{row['strategy']} {row['children']} {name}": figure
            for row in rows()
            for name, figure in row.items()
            if isinstance(figure, float)
        }
        print(json.dumps(figures))
        return
    print("start, stop and KiB are per child; a status is of the whole tree")
    for number, row in enumerate(rows()):
        if number == 0:
            print(" ".join(f"{name:>12}" for name in row))
        cells = (f"{cell:.1f}" if isinstance(cell, float) else cell for cell in row.values())
        print(" ".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
