"""Programs that are measured in turns, so that a machine that is slow for a while is slow for all of them."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Measured(Protocol):
    """Something that does as much as it is told and says how long that took."""

    def batch(self, count: int) -> dict[str, Any]:
        """Do `count` things; the answer has ``count``, ``wall`` and ``cpu``, both in seconds."""


class Program:
    """A program that answers lines, as programs/turns.py does; killed at the end of a ``with``."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it is ready."""
        self.name = " ".join(Path(str(part)).name for part in command[:3])
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready":
            raise RuntimeError(f"{self.name} did not begin")

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return line.strip()

    def batch(self, count: int) -> dict[str, Any]:
        """Have it do so many."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def close(self) -> None:
        """End it; it has nothing to save."""
        self.process.kill()
        self.process.communicate()


class OpenSsl:
    """The RSA verification of `openssl speed`, in the library that this machine has."""

    def batch(self, count: int) -> dict[str, Any]:
        """Run it for a second, however many that are."""
        output = subprocess.run(
            ["openssl", "speed", "-seconds", "1", "-mr", "rsa2048"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = re.search(r"^\+F2:\d+:2048:[\d.]+:([\d.e-]+)", output, re.MULTILINE)
        if found is None:
            raise RuntimeError("openssl speed has another form than expected")
        # Seconds of one verification with -mr, or how many a second: versions differ.
        figure = float(found[1])
        rate = 1 / figure if figure < 1 else figure
        return {"count": rate, "wall": 1.0, "cpu": 1.0}

    def close(self) -> None:
        """Nothing runs."""


@dataclass
class Sample:
    """The same figure, measured several times."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The one that counts."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return min(self.values), max(self.values)


@dataclass
class Runs:
    """The batches of one program."""

    batches: list[dict[str, Any]]

    @property
    def rate(self) -> Sample:
        """Things a second."""
        return Sample([run["count"] / run["wall"] for run in self.batches])

    @property
    def cpu(self) -> Sample:
        """Microseconds of CPU time for each."""
        return Sample([run["cpu"] / run["count"] * 1e6 for run in self.batches])

    def of(self, name: str) -> Sample:
        """What the program tells by a name of its own."""
        return Sample([run[name] for run in self.batches])


def enough(program: Measured, seconds: float) -> int:
    """How many take the program about so long. Measuring that warms it up, too."""
    count = 1
    while True:
        wall = program.batch(count)["wall"]
        if wall >= seconds / 4:
            return max(int(count * seconds / wall), 1)
        count = max(int(count * min(seconds / max(wall, 1e-6), 16)), count * 2)


def in_turns(programs: Mapping[str, Any], rounds: int, seconds: float) -> dict[str, Runs]:
    """Run a batch of each, `rounds` times, every other time in reverse order; then close them.

    Args:
        programs: What is measured, by name.
        rounds: How often.
        seconds: About how long one batch takes.
    """
    try:
        counts = {
            name: 1 if isinstance(program, OpenSsl) else enough(program, seconds)
            for name, program in programs.items()
        }
        batches: dict[str, list[dict[str, Any]]] = {name: [] for name in programs}
        for number in range(rounds):
            for name in list(programs) if number % 2 == 0 else reversed(list(programs)):
                batches[name].append(programs[name].batch(counts[name]))
        return {name: Runs(found) for name, found in batches.items()}
    finally:
        for program in programs.values():
            program.close()
