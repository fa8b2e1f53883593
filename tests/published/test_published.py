"""The published packages themselves, unmodified, against the sandbox: it emulates what they speak."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox

ENVIRONMENTS = ROOT / "build/published"

STORY = textwrap.dedent(
    """
    import asyncio
    from lime_sites import LimeSite

    async def main():
        import lime_agents
        from importlib.metadata import version
        site = LimeSite()
        arrived = asyncio.get_running_loop().create_future()

        @site.on_login
        async def handler(request_id, passport):
            arrived.set_result((request_id, passport))

        request = await site.create_login_request()
        async with lime_agents.LimeAgent() as agent:
            result = await agent.login(request.request_id)
            profile = await agent.get_profile()
        request_id, passport = await asyncio.wait_for(arrived, 30)
        assert request_id == request.request_id == result.request_id
        verified = await site.verify_passport(passport, expected_request_id=request_id)
        assert verified.valid and verified.claims["agent_id"] == profile.agent_id
        print(version("lime-sites-sdk"), version("lime-agents-sdk"), result.status)
        await site.aclose()

    asyncio.run(main())
    """
)


def environment(name: str, *requirements: str) -> Path:
    """A throw-away environment with these packages, made once for each list of them."""
    folder = ENVIRONMENTS / name
    stamp = folder / "requirements.stamp"
    wanted = "\n".join(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
        stamp.write_text(wanted)
    return folder / "bin/python"


PAIRS = {
    "seed": ("lime-sites-sdk==1.0.1", "lime-agents-sdk==0.2.0"),
    "today": ("lime-sites-sdk==2.0.6", "lime-agents-sdk==3.0.2"),
}


@pytest.mark.parametrize(
    ("release", "platform"), [("seed", "seed"), ("today", "today"), ("seed", "both"), ("today", "both")]
)
def test_the_published_packages_sign_in(release: str, platform: str) -> None:
    python = environment(release, *PAIRS[release])
    sandbox = Sandbox("--platform", platform)
    story = subprocess.run(
        [str(python), "-c", STORY],
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sandbox.close()
    versions = " ".join(pin.split("==")[1] for pin in PAIRS[release])
    assert (story.returncode, story.stderr) == (0, "")
    assert story.stdout.startswith(versions)
