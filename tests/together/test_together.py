"""The examples under load: a site with four workers, a webhook receiver with four, and an agent's worker.

Each login is heard of by every worker of the site, and ends in exactly one session.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox

EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
LOGINS = 200
WORKERS = 4

GUNICORN = [
    *(str(BIN / "gunicorn"), "--workers", str(WORKERS), "--log-level", "warning", "--bind", "fd://{fd}"),
    # It would be in the home directory, and one for both servers.
    "--no-control-socket",
]
ASGI = ["--worker-class", "uvicorn_worker.UvicornWorker"]
UVICORN = [str(BIN / "uvicorn"), "--workers", str(WORKERS), "--log-level", "warning", "--fd", "{fd}"]
SERVERS = {
    "gunicorn": ([*GUNICORN, *ASGI], GUNICORN),
    "gunicorn --preload": ([*GUNICORN, *ASGI, "--preload"], [*GUNICORN, "--preload"]),
    "uvicorn": (UVICORN, [*GUNICORN, "--threads", "4"]),
}


class Server:
    """A server whose socket is open before it starts, so that nobody has to wait for it."""

    def __init__(
        self, command: list[str], folder: Path, app: str | None, environment: dict[str, str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._process = subprocess.Popen(
                [*(part.format(fd=listener.fileno()) for part in command), *([app] if app else [])],
                cwd=folder,
                # Eight processes write into one pipe: a line of theirs has to be one write.
                env={**os.environ, **environment, "PYTHONUNBUFFERED": ""},
                pass_fds=[listener.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._more:
                    self.lines.append(line)
                    self._more.notify_all()

    def wait_for(self, count: int, *wanted: str) -> None:
        """Return when so many lines begin with what is wanted."""
        with self._more:
            said = self._more.wait_for(
                lambda: sum(line.startswith(wanted) for line in self.lines) >= count, timeout=60
            )
        assert said, "".join(self.lines[-20:])

    def end(self) -> int:
        """Ask it to end; its exit code, with all that it has said in `lines`."""
        self._process.terminate()
        status = self._process.wait(60)
        self._reader.join()
        return status


@contextmanager
def server(*arguments: object) -> Iterator[Server]:
    running = Server(*arguments)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        if running._process.poll() is None:
            running.end()


def second(lines: list[str], name: str) -> list[str]:
    return [line.split("\t")[1].split()[0] for line in lines if line.startswith(f"{name}\t")]


@pytest.mark.parametrize("kind", SERVERS)
def test_every_login_ends_in_exactly_one_session(kind: str, sandbox: Sandbox, tmp_path: Path) -> None:
    site_command, receiver_command = SERVERS[kind]
    database = tmp_path / "sessions.db"
    environment = {**sandbox.environment, "SESSIONS_DB": str(database)}
    sandbox.auto_approve("orders.*")
    with ExitStack() as stack:
        site = stack.enter_context(server(site_command, EXAMPLES / "site_fastapi", "main:app", environment))
        receiver = stack.enter_context(
            server(receiver_command, EXAMPLES / "webhook_receiver", "main_flask:app", environment)
        )
        sandbox.wait_for_streams(WORKERS)
        worker = subprocess.run(
            [sys.executable, str(EXAMPLES / "worker/main.py"), site.url, str(LOGINS)],
            env={**os.environ, **environment, "CALLBACK_URL": f"{receiver.url}/sesame/webhook"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (worker.returncode, worker.stderr) == (0, ""), worker.stdout + "".join(site.lines)
        # The workers that came too late have said so, and the last webhook has arrived.
        site.wait_for(LOGINS * WORKERS, "session made\t", "session was there\t")
        receiver.wait_for(LOGINS, "webhook verified\t")
        sandbox.wait_for_streams(WORKERS)
        ended = (site.end(), receiver.end())

    made = Counter(second(site.lines, "session made"))
    assert len(made) == LOGINS
    assert set(made.values()) == {1}
    assert Counter(second(site.lines, "session was there")) == dict.fromkeys(made, WORKERS - 1)
    placed = [line.split() for line in worker.stdout.splitlines()]
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT request_id, session, state FROM logins").fetchall()
    assert {state for _, _, state in rows} == {"signed in"}
    # Each visitor has the session of its own login, and no two have the same.
    assert sorted((login, session) for _, _, login, session in placed) == sorted(row[:2] for row in rows)
    assert len({session for _, session, _ in rows}) == len(rows) == LOGINS
    assert [entry["status"] for entry in sandbox.received("approve")] == [200] * LOGINS

    told = Counter(second(receiver.lines, "webhook verified"))
    assert told == {approval["approval_id"]: 1 for approval in sandbox.approvals("approved")}
    assert len(told) == LOGINS
    assert ended == (0, 0)
    expected = ("session made\t", "session was there\t", "webhook verified\t")
    assert [line for line in site.lines + receiver.lines if not line.startswith(expected)] == []


def test_every_login_ends_in_exactly_one_session_in_node(sandbox: Sandbox, tmp_path: Path) -> None:
    """The same with Express: a site of several processes, a worker and a receiver of webhooks."""
    environment = {**sandbox.environment, "SESSIONS_DIR": str(tmp_path / "sessions")}
    sandbox.auto_approve("orders.*")

    def program(name: str, *arguments: object) -> Server:
        # They choose their own ports and say which.
        return stack.enter_context(server(["node", name, *map(str, arguments)], EXAMPLES, None, environment))

    with ExitStack() as stack:
        site = program("site_express/main.mjs", 0, WORKERS)
        receiver = program("webhook_receiver/main_fastify.mjs")
        urls = []
        for running in (site, receiver):
            running.wait_for(1, "listening\t")
            urls.append(running.lines.pop(0).split("\t")[1].strip())
        sandbox.wait_for_streams(WORKERS)
        worker = subprocess.run(
            ["node", str(EXAMPLES / "worker/main.mjs"), urls[0], str(LOGINS)],
            env={**os.environ, **environment, "CALLBACK_URL": urls[1]},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (worker.returncode, worker.stderr) == (0, ""), worker.stdout + "".join(site.lines)
        site.wait_for(LOGINS * WORKERS, "session made\t", "session was there\t")
        receiver.wait_for(LOGINS, "webhook verified\t")
        ended = (site.end(), receiver.end())

    made = Counter(second(site.lines, "session made"))
    assert len(made) == LOGINS
    assert set(made.values()) == {1}
    assert Counter(second(site.lines, "session was there")) == dict.fromkeys(made, WORKERS - 1)
    placed = [line.split("\t") for line in worker.stdout.splitlines()]
    assert {word for word, _, _ in placed} == {"order placed"}
    assert sorted(login for _, login, _ in placed) == sorted(made)
    assert len({session for _, _, session in placed}) == LOGINS
    assert [entry["status"] for entry in sandbox.received("approve")] == [200] * LOGINS
    told = Counter(second(receiver.lines, "webhook verified"))
    assert told == {approval["approval_id"]: 1 for approval in sandbox.approvals("approved")}
    assert len(told) == LOGINS
    assert ended == (0, 0)
    expected = ("session made\t", "session was there\t", "webhook verified\t")
    assert [line for line in site.lines + receiver.lines if not line.startswith(expected)] == []
