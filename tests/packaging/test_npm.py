"""The npm packages in an empty folder: no registry, no checkout, nothing but the tarballs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomllib
from conftest import ROOT, Sandbox

sys.path.insert(0, str(ROOT / "tools"))
import npm

NAMES = ("lime-sdk", "@lime-sdk/linux", "lime-sandbox", "@lime-sdk/sandbox-linux")


@pytest.fixture(scope="module")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return npm.pack(tmp_path_factory.mktemp("tarballs"), "dev")


def clean_environment() -> dict[str, str]:
    ours = ("LIME_", "SESAME_", "NODE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def install(folder: Path, tarballs: list[Path]) -> None:
    (folder / "package.json").write_text('{"private": true}')
    # A registry that is not there: whatever would have to be asked for fails.
    arguments = ["--registry", "http://127.0.0.1:9", "--no-audit", "--no-fund", "--fetch-retries", "0"]
    done = subprocess.run(
        ["npm", "install", *arguments, *map(str, tarballs)],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(tarballs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    install(folder, tarballs)
    return folder


def node(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        ["node", *arguments],
        cwd=folder,
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_is_in_the_tarballs(tarballs: list[Path]) -> None:
    manifests = []
    for tarball in tarballs:
        with tarfile.open(tarball) as archive:
            file = archive.extractfile("package/package.json")
            assert file is not None
            manifests.append(json.load(file))
            names = archive.getnames()
        assert {"package/README.md", "package/LICENSE"} <= set(names)
        assert "scripts" not in manifests[-1], "nothing runs when it is installed"
    for manifest, name in zip(manifests, NAMES, strict=True):
        assert manifest["name"].startswith(name)
        assert manifest["version"] == npm.version()
        assert manifest["license"] == "MIT"
        assert not manifest.get("dependencies")
    sdk, module, sandbox, program = manifests
    assert sdk["optionalDependencies"] == {module["name"]: npm.version()}
    assert sandbox["optionalDependencies"] == {program["name"]: npm.version()}
    for binary in (module, program):
        assert all(binary[field] for field in ("os", "cpu", "libc"))


@pytest.mark.parametrize("which", [1, 3], ids=["lime-sdk", "lime-sandbox"])
def test_licences_and_bill_of_materials_are_beside_what_is_compiled(tarballs: list[Path], which: int) -> None:
    with tarfile.open(tarballs[which]) as archive:

        def read(name: str) -> str:
            file = archive.extractfile(f"package/{name}")
            assert file is not None
            return file.read().decode()

        content, notice = read("sbom.cdx.json"), read("THIRD-PARTY-LICENSES.txt")
    for text in (content, notice):
        assert str(ROOT) not in text
        assert os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")) not in text
    found = json.loads(content)
    assert found["bomFormat"] == "CycloneDX"
    locked = {
        (package["name"], package["version"], package.get("checksum"))
        for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    inside = {
        (part["name"], part["version"], part["hashes"][0]["content"] if "hashes" in part else None)
        for part in found["components"]
    }
    assert inside <= locked
    names = {name for name, _, _ in inside}
    here, elsewhere = ("reqwest", "axum") if which == 1 else ("axum", "reqwest")
    assert {here, "tokio", "aws-lc-sys"} <= names
    assert not {elsewhere, "proptest", "cbindgen", "serde_derive"} & names, (
        "it builds or tests, or is not in it"
    )
    references = {part["bom-ref"] for part in found["components"]} | {
        found["metadata"]["component"]["bom-ref"]
    }
    for part in found["dependencies"]:
        assert {part["ref"], *part["dependsOn"]} <= references
    assert all(part["licenses"][0]["expression"] for part in found["components"])
    # Each crate that is not ours stands in the notice, above a text.
    theirs = [part for part in found["components"] if "purl" in part]
    assert len(theirs) > 50
    _, _, texts = notice.partition("\n\n─")
    for part in theirs:
        name = f"{part['name']} {part['version']}"
        assert f"\n{name}: {part['licenses'][0]['expression']}\n" in notice
        assert re.search(rf"(^|[ \n]){re.escape(name)}[,\n]", texts), f"{name} has no text"
    for words in ("Permission is hereby granted, free of charge", "Apache License", "ISC"):
        assert words in texts


@pytest.fixture
def stories(project: Path) -> Iterator[Path]:
    folder = project / "stories"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


ESM = """
import { LimeError, requireApproval } from 'lime-sdk';
import { LimeSandbox } from 'lime-sdk/testing';
"""
COMMON_JS = """
const { LimeError, requireApproval } = require('lime-sdk');
const { LimeSandbox } = require('lime-sdk/testing');
"""
STORY = """
async function main() {
  const sandbox = await LimeSandbox.start();
  sandbox.useEnvironment();
  const site = sandbox.site();
  const agent = sandbox.agent();
  const request = await site.createLoginRequest();
  const [passport] = await Promise.all([site.waitForLogin(request.requestId), agent.login(request.requestId)]);
  if (passport === null) throw new Error('expired');
  const { agentId } = await site.verifyPassport(passport, { expectedRequestId: request.requestId });
  console.log(agentId === (await agent.getProfile()).agentId ? 'signed in' : 'somebody else');
  await sandbox.autoApprove('payments.*');
  await sandbox.deny('db.*');
  const gated = (action) => requireApproval(action, async (amount) => amount)(42);
  console.log(await gated('payments.refund'));
  await gated('db.delete').catch((error) => console.log(error instanceof LimeError && error.code));
  await site.close();
  await sandbox.close();
}
main();
"""


@pytest.mark.parametrize("kind", ["mjs", "cjs", "mts", "cts"])
def test_both_stories_in_every_kind_of_module(kind: str, project: Path, stories: Path) -> None:
    story = STORY
    name = f"main.{kind}"
    if "t" in kind:
        story = story.replace("(action)", "(action: string)").replace("(amount)", "(amount: number)")
    (stories / name).write_text((COMMON_JS if kind == "cjs" else ESM) + story)
    if "t" in kind:
        # Its compiler and Node's types are not ours to bring.
        types = project / "node_modules/@types"
        types.mkdir(exist_ok=True)
        for name_ in ("node", "../undici-types"):
            target = types / name_
            if not target.exists():
                target.symlink_to(ROOT / "node_modules/@types" / name_)
        compiler = str(ROOT / "node_modules/typescript/bin/tsc")
        flags = ["--strict", "--module", "nodenext", "--target", "es2022", "--types", "node"]
        assert node(stories, compiler, *flags, name) == (0, "", "")
        name = name.replace("ts", "js")
    assert node(stories, name) == (0, "signed in\n42\ndenied\n", "")


def test_the_examples_run_where_it_is_installed(stories: Path, sandbox: Sandbox) -> None:
    environment = sandbox.environment
    shutil.copy(ROOT / "examples/login/main.mjs", stories / "login.mjs")
    shutil.copy(ROOT / "examples/approval_gate/main.mjs", stories / "gate.mjs")
    code, out, errors = node(stories, "login.mjs", environment=environment)
    assert (code, errors, len(out.splitlines())) == (0, "", 5)
    with sandbox.deny():
        code, out, errors = node(stories, "gate.mjs", environment=environment)
    assert (code, errors, out.split("\t")[0]) == (3, "", "approval denied")


def readme_tests() -> str:
    """What the README shows of tests."""
    readme = (ROOT / "bindings-node/README.md").read_text()
    found = re.search(r"<!-- test -->\n```js\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]


REFUNDS = """
import { requireApproval } from 'lime-sdk';
export const issueRefund = requireApproval('payments.refund', { pollInterval: 10 }, () => 'refunded');
"""


def test_the_readmes_tests_run_with_node(stories: Path) -> None:
    (stories / "refunds.mjs").write_text(REFUNDS)
    (stories / "refunds.test.mjs").write_text(readme_tests())
    code, out, errors = node(stories, "--test", "--test-reporter=tap", "refunds.test.mjs")
    assert (code, errors) == (0, ""), out
    assert "# pass 3\n" in out


@pytest.fixture(scope="module")
def vitest_project(tarballs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with vitest as it is locked, and the tarballs."""
    folder = tmp_path_factory.mktemp("vitest")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "vitest" / name, folder)
    quietly = ["--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
    for command in (["ci"], ["install", "--no-save", *map(str, tarballs)]):
        subprocess.run(["npm", *command, *quietly], cwd=folder, env=clean_environment(), check=True)
    (folder / "refunds.mjs").write_text(REFUNDS)
    return folder


@pytest.mark.parametrize("pool", ["forks", "threads", "vmThreads"])
def test_the_readmes_tests_run_with_vitest(pool: str, vitest_project: Path) -> None:
    imported = "import { after, before, beforeEach, test } from 'node:test';"
    assert imported in readme_tests()
    theirs = "import { afterAll as after, beforeAll as before, beforeEach, test } from 'vitest';"
    test = vitest_project / "refunds.test.mjs"
    run = ["node_modules/vitest/vitest.mjs", "run", f"--pool={pool}", "--reporter=tap-flat"]
    test.write_text(readme_tests().replace(imported, theirs))
    code, out, errors = node(vitest_project, *run)
    assert code == 0, out + errors
    assert [line.split(" - ")[0] for line in out.splitlines() if "ok" in line] == ["ok 1", "ok 2", "ok 3"]
    # They can fail.
    test.write_text(test.read_text().replace("'refunded'", "'paid'"))
    code, out, _ = node(vitest_project, *run)
    assert code == 1
    assert re.findall("^(not ok|ok)", out, re.MULTILINE) == ["not ok", "ok", "ok"]


def test_the_sandbox_s_program(project: Path) -> None:
    with subprocess.Popen(
        [str(project / "node_modules/.bin/lime-sandbox"), "--json"], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.readline())["control_url"].startswith("http://127.0.0.1:")
        program.terminate()
        assert program.wait(30) == 0
    done = subprocess.run(
        [str(project / "node_modules/.bin/lime-sandbox"), "--nonsense"], capture_output=True
    )
    assert done.returncode == 2


@pytest.mark.parametrize("case", ["missing", "version", "broken"])
def test_a_binary_that_does_not_fit_is_an_honest_error(case: str, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "node_modules", tmp_path / "node_modules", symlinks=True)
    binary = next((tmp_path / "node_modules/@lime-sdk").glob("linux-*"))
    if case == "missing":
        shutil.rmtree(binary)
        shutil.rmtree(next((tmp_path / "node_modules/@lime-sdk").glob("sandbox-*")))
    elif case == "version":
        manifest = tmp_path / "node_modules/lime-sdk/package.json"
        manifest.write_text(
            manifest.read_text().replace(f'"version": "{npm.version()}"', '"version": "9.9.9"')
        )
    else:
        (binary / "lime.node").write_bytes(b"no library")
    source = "import('lime-sdk').then(({ LimeSite }) => new LimeSite()).catch((e) => console.log(e.message))"
    code, out, errors = node(tmp_path, "--eval", source)
    assert (code, errors) == (0, "")
    assert "lime-sdk has no native module for linux-" in out
    assert {
        "missing": f"{binary.name}: not installed",
        "version": f"is of version {npm.version()}, and this is lime-sdk 9.9.9",
        "broken": f"{binary.name}: ",
    }[case] in out
    assert "--omit=optional" in out
    if case == "missing":
        source = "require('lime-sdk/testing').LimeSandbox.start().catch((e) => console.log(e.message))"
        code, out, errors = node(tmp_path, "--eval", source)
        assert (code, errors) == (0, "")
        assert "lime-sandbox has no program for linux-" in out
