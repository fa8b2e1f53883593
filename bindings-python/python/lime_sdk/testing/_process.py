"""The sandbox's process: where its binary is, how it starts and how it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Its readiness line comes within a tenth of a second; a machine that is busy may take its time.
_START_SECONDS = 30.0
_END_SECONDS = 10.0

_NOT_FOUND = (
    "there is no lime-sandbox here: pip install 'lime-sdk[testing]' (or lime-sandbox alone), "
    "or name a binary with LIME_SANDBOX_BINARY"
)


class SandboxError(RuntimeError):
    """The sandbox could not be found or started, or refused what it was asked.

    Attributes:
        http_status: What the control API answered, where it did.
    """

    def __init__(self, message: str, http_status: int | None = None) -> None:
        """Make the error; the library does.

        Args:
            message: What happened, for people.
            http_status: What the control API answered, where it did.
        """
        super().__init__(message)
        self.http_status = http_status


def find_binary() -> str:
    """The path of ``lime-sandbox``: ``LIME_SANDBOX_BINARY``, else the installed wheel's, else on ``PATH``.

    Raises:
        SandboxError: There is none; the message says how to get it.
    """
    named = os.environ.get("LIME_SANDBOX_BINARY")
    if named:
        if not os.access(named, os.X_OK):
            raise SandboxError(f"LIME_SANDBOX_BINARY names {named}, which is no program")
        return named
    try:
        # An extra, which need not be there.
        import lime_sandbox  # type: ignore[import-not-found, unused-ignore]

        return str(lime_sandbox.find_binary())
    except (ImportError, FileNotFoundError):
        pass
    found = shutil.which("lime-sandbox")
    if found is None:
        raise SandboxError(_NOT_FOUND)
    return found


class Process:
    """One running ``lime-sandbox``, which ends with this process at the latest."""

    def __init__(self, binary: str, arguments: Sequence[str]) -> None:
        # A file, not a pipe: nobody reads it while the sandbox runs, and a full pipe would stop it.
        self._owner = os.getpid()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 – open as long as the sandbox runs
        try:
            self._popen = subprocess.Popen(
                [binary, "--json", "--exit-with-parent", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise SandboxError(f"{binary} cannot be started: {error}") from error
        try:
            self.info: dict[str, Any] = json.loads(self._first_line())
        except ValueError as error:
            self._popen.kill()
            self._popen.wait()
            said = self._said()
            self.end()
            raise SandboxError(f"{binary} did not start: {said or 'it said nothing'}") from error

    def _first_line(self) -> bytes:
        assert self._popen.stdout is not None
        ready, _, _ = select.select([self._popen.stdout], [], [], _START_SECONDS)
        return self._popen.stdout.readline() if ready else b""

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End it as a crash would."""
        self._popen.kill()
        self.end()

    def end(self) -> None:
        """End it and wait until it has ended; a second time does nothing."""
        if os.getpid() != self._owner:
            return  # a child that was forked from us, on its way out: the sandbox is not its to end
        # A signal, not the end of its input: such children hold the pipe, too.
        self._popen.terminate()
        try:
            self._popen.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._errors):
            if pipe is not None:
                pipe.close()
