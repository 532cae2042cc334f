"""Benchmarks that put parts together by hand still know them."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def test_the_benchmark_of_channels_gets_all_its_messages_answered():
    command = [sys.executable, "-P", str(BENCH / "channels.py"), "--json", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(figure > 0 for figure in json.loads(done.stdout).values())
