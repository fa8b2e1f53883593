"""Figures of this machine, for a first orientation: rates of the hot paths, and what an import costs.

Release code, since that is what people install. Machines are noisy: compare ratios, not figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5


def prepare() -> Path:
    """Build the native module and the sandbox with optimisation, and put the module beside its package."""
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--release", "-p", "lime-python", "-p", "lime-sandbox"],
        cwd=ROOT,
        check=True,
    )
    stage = ROOT / "build/bench"
    if stage.exists():
        subprocess.run(["rm", "-rf", str(stage)], check=True)
    subprocess.run(["cp", "-r", str(ROOT / "bindings-python/python"), str(stage)], check=True)
    native = ROOT / "target/release/lib_native.so"
    (stage / "lime_sdk/_native.abi3.so").write_bytes(native.read_bytes())
    return stage


def rate(work: Callable[[], int]) -> float:
    """Median of how many things a second `work` does."""
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        count = work()
        rates.append(count / (time.perf_counter() - started))
    return statistics.median(rates)


def plain_pow() -> int:
    """The published solver's inner loop: one formatted text and one hexdigest for each nonce."""
    for nonce in range(100_000):
        int(hashlib.sha256(f"{'c' * 32}{nonce}".encode()).hexdigest(), 16)
    return 100_000


def our_pow(digest: str) -> Callable[[], int]:
    """The smallest nonce of a fixed challenge says how many hashes it took."""
    import lime_sdk

    def work() -> int:
        hashes = 0
        for challenge in range(20):
            nonce = lime_sdk.solve_pow(f"{challenge:032}", 18, digest=digest, timeout=60)  # type: ignore[arg-type]
            hashes += int(nonce) + 1
        return hashes

    return work


async def calls(info: dict[str, str], at_once: int, total: int) -> float:
    """`create_login_request` a second, this many at a time."""
    from lime_sites import LimeSite

    async with LimeSite(site_token=info["site_token"], base_url=info["lime_api_base"]) as site:
        await site.create_login_request()

        async def worker() -> None:
            for _ in range(total // at_once):
                await site.create_login_request()

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return total / (time.perf_counter() - started)


async def passports(info: dict[str, str], count: int) -> float:
    """`verify_passport` a second, awaited, with the key at hand."""
    from lime_agents import LimeAgent
    from lime_sites import LimeSite

    async with (
        LimeSite(site_token=info["site_token"], base_url=info["lime_api_base"]) as site,
        LimeAgent(agent_token=info["agent_token"], base_url=info["lime_api_base"]) as agent,
    ):
        request = await site.create_login_request()
        await agent.login(request.request_id)
        passport = await site.wait_for_login(request.request_id)
        assert passport is not None
        await site.verify_passport(passport)
        started = time.perf_counter()
        for _ in range(count):
            await site.verify_passport(passport)
        return count / (time.perf_counter() - started)


def import_cost(stage: Path) -> float:
    """Milliseconds of importing both packages beyond a bare interpreter, best of many."""

    def best(program: str) -> float:
        times = []
        for _ in range(15):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(stage)}
            )
            times.append(time.perf_counter() - started)
        return min(times) * 1000

    return best("import lime_sites, lime_agents") - best("pass")


def main() -> None:
    """Measure and print."""
    stage = prepare()
    sys.path.insert(0, str(stage))
    rows: list[tuple[str, float, str]] = []
    plain = rate(plain_pow)
    rows.append(("proof of work, one text after the other in Python", plain, "hashes/s"))
    for digest in ("seed", "today"):
        ours = rate(our_pow(digest))
        rows.append((f"proof of work, {digest} digest, one thread ({ours / plain:.0f} ×)", ours, "hashes/s"))

    command = [str(ROOT / "target/release/lime-sandbox"), "--port", "0", "--json", "--exit-with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    info = json.loads(process.stdout.readline())
    rows.append(("verify_passport, keys at hand, awaited", asyncio.run(passports(info, 20_000)), "calls/s"))
    for at_once, total in ((1, 5_000), (100, 20_000)):
        figure = asyncio.run(calls(info, at_once, total))
        rows.append((f"create_login_request, {at_once} at a time", figure, "calls/s"))
    process.stdin.close()
    process.wait()
    rows.append(("import lime_sites, lime_agents", import_cost(stage), "ms"))
    size = (stage / "lime_sdk/_native.abi3.so").stat().st_size
    rows.append(("native module, linked with optimisation", size / 1e6, "MB"))
    for name, figure, unit in rows:
        print(f"{name:<62}{figure:>14,.1f} {unit}")
    results = ROOT / "build/bench.json"
    results.write_text(json.dumps([{"row": n, "figure": f, "unit": u} for n, f, u in rows], indent=1))


if __name__ == "__main__":
    main()
