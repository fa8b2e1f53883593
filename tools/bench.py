"""Figures of this machine, for a first orientation: rates of the hot paths, and what an import costs.

From the release wheels, since that is what people install. Machines are noisy: compare ratios, not figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import wheel

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
NATIVE = "lime_sdk/_native.abi3.so"


def prepare() -> tuple[Path, Path, Path]:
    """Build the wheels as people install them, and lay them out: the packages, the sandbox, the wheel."""
    out = ROOT / "build/bench"
    shutil.rmtree(out, ignore_errors=True)
    sdk, sandbox = wheel.build(out / "dist", "release")
    for built, name in ((sdk, "packages"), (sandbox, "sandbox")):
        with zipfile.ZipFile(built) as archive:
            archive.extractall(out / name)
    (binary,) = (out / "sandbox").glob("*.data/scripts/lime-sandbox")
    binary.chmod(0o755)
    return out / "packages", binary, sdk


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


def tokens(info: dict[str, str], count: int) -> float:
    """Access tokens verified a second, with the key at hand."""
    from lime_mcp_server import TokenVerifier

    body = json.dumps({"domain": "tools.example.com"}).encode()
    with urllib.request.urlopen(f"{info['control_url']}/mcp-tokens", body) as answer:
        token = json.load(answer)["access_token"]
    with TokenVerifier(expected_domain="tools.example.com", base_url=info["lime_base_url"]) as verifier:
        assert verifier.verify(token).is_valid
        started = time.perf_counter()
        for _ in range(count):
            verifier.verify(token)
        return count / (time.perf_counter() - started)


def python(program: str, packages: Path) -> str:
    """What a program prints in an interpreter of its own that has the wheel's packages."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
    # Without this environment's own packages, whose start-up files would be measured too.
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    return done.stdout


def import_cost(packages: Path) -> float:
    """Milliseconds of importing both packages beyond a bare interpreter, best of many."""

    def best(program: str) -> float:
        times = []
        for _ in range(15):
            started = time.perf_counter()
            python(program, packages)
            times.append(time.perf_counter() - started)
        return min(times) * 1000

    return best("import lime_sites, lime_agents") - best("pass")


def memory(packages: Path, program: str) -> float:
    """Megabytes of its own (pages shared with nobody) that a program ends with, median of several."""
    tail = """
import re
with open("/proc/self/smaps_rollup") as file:
    found = re.findall(r"^Private_(?:Clean|Dirty): +([0-9]+) kB", file.read(), re.M)
print(sum(map(int, found)) / 1e3)
"""
    return statistics.median(float(python(program + tail, packages)) for _ in range(REPEATS))


def memories(packages: Path, info: dict[str, str]) -> list[tuple[str, float, str]]:
    """What clients cost beyond an interpreter that does the same without them."""
    bare = memory(packages, "")
    loaded = memory(packages, "import lime_sites; lime_sites.LimeSite\n")
    loop = "import asyncio, sys\nloop = asyncio.new_event_loop()\n"
    idle = memory(packages, loop + "loop.run_until_complete(asyncio.sleep(0))")
    client = f"""
from lime_sites import LimeSite

async def main():
    global site
    opened = asyncio.Event()
    site = LimeSite(site_token={info["site_token"]!r}, base_url={info["lime_api_base"]!r})
    site.on_state(lambda status: status.state == "open" and opened.set())
    await asyncio.wait_for(opened.wait(), 30)
    await site.create_login_request()

loop.run_until_complete(main())
"""
    return [
        ("memory: import lime_sites and use LimeSite's name", loaded - bare, "MB"),
        (
            "memory: a LimeSite with its stream open, beyond asyncio",
            memory(packages, loop + client) - idle,
            "MB",
        ),
    ]


def main() -> None:
    """Measure and print."""
    packages, binary, sdk = prepare()
    sys.path.insert(0, str(packages))
    rows: list[tuple[str, float, str]] = []
    plain = rate(plain_pow)
    rows.append(("proof of work, one text after the other in Python", plain, "hashes/s"))
    for digest in ("seed", "today"):
        ours = rate(our_pow(digest))
        rows.append((f"proof of work, {digest} digest, one thread ({ours / plain:.0f} ×)", ours, "hashes/s"))

    command = [str(binary), "--port", "0", "--json", "--exit-with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    info = json.loads(process.stdout.readline())
    rows.append(("verify_passport, keys at hand, awaited", asyncio.run(passports(info, 20_000)), "calls/s"))
    rows.append(("TokenVerifier.verify, keys at hand", tokens(info, 20_000), "calls/s"))
    for at_once, total in ((1, 5_000), (100, 20_000)):
        figure = asyncio.run(calls(info, at_once, total))
        rows.append((f"create_login_request, {at_once} at a time", figure, "calls/s"))
    used = memories(packages, info)
    process.stdin.close()
    process.wait()
    installed = sum(path.stat().st_size for path in packages.rglob("*") if path.suffix != ".pyc")
    rows += [
        ("import lime_sites, lime_agents", import_cost(packages), "ms"),
        *used,
        ("wheel lime-sdk", sdk.stat().st_size / 1e6, "MB"),
        ("  installed", installed / 1e6, "MB"),
        ("  of which the native module", (packages / NATIVE).stat().st_size / 1e6, "MB"),
        ("wheel lime-sandbox", next(sdk.parent.glob("lime_sandbox-*.whl")).stat().st_size / 1e6, "MB"),
        ("  installed binary", binary.stat().st_size / 1e6, "MB"),
    ]
    for name, figure, unit in rows:
        print(f"{name:<62}{figure:>14,.1f} {unit}")
    results = ROOT / "build/bench.json"
    results.write_text(json.dumps([{"row": n, "figure": f, "unit": u} for n, f, u in rows], indent=1))


if __name__ == "__main__":
    main()
