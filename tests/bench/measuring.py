"""Measuring: commands with their time and peak memory, and contestants that take turns."""

import dataclasses
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence

TIME_LIMIT = 600  # seconds, for one command


@dataclasses.dataclass
class Cost:
    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: int | None = None  # KiB


def run(*command, folder: pathlib.Path) -> Cost:
    """Of a command that must succeed. /usr/bin/time starts it: a child of ours would begin with our memory as its peak."""
    words = [str(word) for word in command]
    report = folder / "time.txt"
    timer = shutil.which("time")
    prefix = [timer, "-f", "%U %S %M", "-o", str(report)] if timer else []
    start = time.perf_counter()
    done = subprocess.run(prefix + words,
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          timeout=TIME_LIMIT)
    wall = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}: {done.stdout.decode('utf-8', 'replace')[-2000:]}")
    if not timer:
        return Cost(wall, 0)
    user, system, peak = report.read_text().split()[-3:]
    return Cost(wall, float(user) + float(system), int(peak))


def output_of(*command) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=TIME_LIMIT).stdout


def in_turns(contestants: dict[str, Callable[[], Cost]], rounds: int, budget: float) -> dict[str, list[Cost]]:
    """Each once per round, so that a busy machine hits all alike; what has taken `budget` seconds in all sits out."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            if sum(cost.wall for cost in costs[name]) < budget:
                costs[name].append(work())
    return costs


def least(costs: Sequence[Cost]) -> dict:
    """The minimum of each, as it goes into the results."""
    peaks = [cost.peak for cost in costs if cost.peak is not None]
    return {
        "wall": min(cost.wall for cost in costs),
        "cpu": min(cost.cpu for cost in costs),
        "peak": min(peaks) if peaks else None,
        "runs": len(costs),
    }
