"""Messages through one channel to the echo agent and back, with everything on the disk.

The platform is in memory, so this is what the gateway itself costs: five commits a message
(taken, claimed, run begun, run done, answer; and two for sending it), grouped as they come.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import trio

from gateway.agents.catalog import Catalog
from gateway.agents.lanes import Lanes
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.agents.tools.approvals import Approvals
from gateway.bus import Bus
from gateway.channels.base import Abilities, Inbound, Place, Sender
from gateway.channels.memory import MemoryChannel, Platform
from gateway.config.agents import Agent, Provider
from gateway.config.channels import Channels, Signal
from gateway.config.model import Config
from gateway.conversation.office import Office
from gateway.storage.database import Database
from gateway.storage.media import MediaFiles, Quota
from gateway.web.hooks import Hooks
from supervisors import Child, Supervisor

MESSAGES = 1000

CONFIG = Config(
    providers={"slow": Provider("echo", delay=5.0)},
    agents={"main": Agent(), "slow": Agent("slow")},
    channels=Channels(signal={"main": Signal(number="+1", strangers="allow")}),
)


class Clocked(Platform):
    """Notes when each answer is taken."""

    def __init__(self):
        super().__init__()
        self.said, self.answered, self.all = {}, {}, trio.Event()
        self.wanted = 0

    async def take(self, message):
        number = message.text.split()[1]
        self.answered[number] = time.perf_counter()
        if len(self.answered) == self.wanted:
            self.all.set()
        return number


async def measure(count, chats, burst):
    """Return seconds in all and the latencies of *count* in *chats*, *burst* at a time."""
    with tempfile.TemporaryDirectory() as folder:
        database, bus, lanes = Database(Path(folder) / "gateway.db"), Bus(), Lanes()
        catalog, platform = Catalog.of(CONFIG), Clocked()
        runs = Runs(database, bus, catalog, lanes)

        async def find():
            await trio.lowlevel.checkpoint()
            return lambda _: MemoryChannel(platform, Abilities(length=4096))

        office = Office(
            database, bus, Hooks(), runs, catalog, Sessions(database, catalog, lanes),
            Approvals(bus), lambda: CONFIG, MediaFiles(Path(folder) / "media", database, Quota),
            pooling={"platform": lambda _: find},
        )  # fmt: skip
        root = Supervisor(
            "bench",
            [
                Child("store", database.run),
                runs.supervisor.as_child(),
                office.reception.supervisor.as_child(),
                office.pool.supervisor.as_child(),
            ],
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(root.run)
            await trio.sleep(0.2)
            platform.wanted, began = count, time.perf_counter()
            for start in range(0, count, burst):
                for number in range(start, min(start + burst, count)):
                    chat = f"chat-{number % chats}"
                    platform.said[str(number)] = time.perf_counter()
                    platform.say(
                        Inbound(
                            f"m-{number}", Place(chat), Sender(chat), f"{number} hello", time.time()
                        )
                    )
                while len(platform.answered) < min(start + burst, count):  # noqa: ASYNC110
                    await trio.sleep(0.001)
            taken = time.perf_counter() - began
            root.shutdown(5)
        waits = [platform.answered[key] - platform.said[key] for key in platform.said]
        return taken, waits


CASES = (
    ("one after the other", 1, 1),
    ("50 at a time, 50 chats", 50, 50),
    ("all at once, 100 chats", 100, MESSAGES),
    ("all at once, one chat", 1, MESSAGES),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    options = parser.parse_args()
    count = MESSAGES // 10 if options.quick else MESSAGES
    figures = {}
    for name, chats, burst in CASES:
        taken, waits = trio.run(measure, count, chats, burst)
        waits = sorted(each * 1000 for each in waits)
        figures[f"{name}: messages/s"] = count / taken
        figures[f"{name}: p50 ms"] = statistics.median(waits)
        figures[f"{name}: p99 ms"] = waits[int(len(waits) * 0.99) - 1]
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:40} {figure:10.1f}")


if __name__ == "__main__":
    main()
