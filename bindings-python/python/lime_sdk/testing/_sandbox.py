"""The sandbox as tests use it: where it is, what it decides, what goes wrong, what it has seen."""

from __future__ import annotations

import ipaddress
import json
import os
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode, urlsplit

from lime_sdk.testing._process import Process, SandboxError, find_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from types import TracebackType
    from typing import Any, Literal

    from typing_extensions import Self

    from lime_agents import LimeAgent
    from lime_sites import LimeSite
    from sesame_sdk import AsyncSesame, Sesame

# Proofs of work cost nothing at this difficulty; tests are not about them.
_DIFFICULTY = 8
_TIMEOUT = 30.0


class Rule:
    """A rule that the sandbox goes by until it is removed, or until the end of a ``with`` block.

    Attributes:
        id: Its number in the control API.
    """

    def __init__(self, sandbox: LimeSandbox, kind: str, number: int) -> None:
        """Made by :class:`LimeSandbox`; programs do not make one.

        Args:
            sandbox: Where it holds.
            kind: ``rules`` or ``faults``.
            number: Its number there.
        """
        self._sandbox = sandbox
        self._kind = kind
        self.id = number

    def remove(self) -> None:
        """Take it away; one that is gone already stays gone.

        Raises:
            SandboxError: It is not there.
        """
        try:
            self._sandbox.control("DELETE", f"/{self._kind}/{self.id}")
        except SandboxError as error:
            if error.http_status != 404:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.remove()


class LimeSandbox:
    """A running sandbox: both platforms on a local port, in a process of its own.

    Its methods block, for milliseconds, and can be called from any thread.

    Example::

        with LimeSandbox() as sandbox, sandbox.in_environment():
            with sandbox.auto_approve("payments.*"):
                issue_refund(4200, "cus_123")  # your code, with its @require_approval
            assert len(sandbox.received("trigger_approval")) == 1

    Attributes:
        api_base: For ``base_url`` of ``LimeSite`` and ``LimeAgent``.
        base_url: For ``base_url`` of ``TokenVerifier``: the same without ``/api/v1``.
        site_token: The first site's token.
        agent_token: The first agent's token.
        sesame_url: For ``base_url`` of ``Sesame``; in a browser, the inbox.
        sesame_api_key: The broker's first API key.
        webhook_secret: What webhooks are signed with.
        control_url: The control API.
    """

    def __init__(
        self,
        *,
        difficulty: int | None = _DIFFICULTY,
        platform: Literal["seed", "today", "both"] | None = None,
        request_ttl: float | None = None,
        keepalive: float | None = None,
        approval_ttl: float | None = None,
        long_poll: float | None = None,
        port: int = 0,
        state: str | os.PathLike[str] | None = None,
        site_token: str | None = None,
        agent_token: str | None = None,
        sesame_api_key: str | None = None,
        webhook_secret: str | None = None,
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        """Start one; it is ready when this returns. What is ``None`` is as ``lime-sandbox --help`` says.

        Args:
            difficulty: Leading zero bits that a proof of work needs.
            platform: Wire forms: the seed releases', today's, or forms that both understand.
            request_ttl: Seconds that a login request lives.
            keepalive: Seconds between two keepalives of an event stream.
            approval_ttl: Seconds that an approval lives.
            long_poll: Seconds that a long poll is held at most.
            port: On 127.0.0.1; 0 takes a free one.
            state: A file that keeps approvals over restarts.
            site_token: Made up, not a real one; random when left out.
            agent_token: Likewise.
            sesame_api_key: Likewise.
            webhook_secret: Likewise.
            binary: The program; else as :func:`find_binary` finds it.

        Raises:
            SandboxError: There is no ``lime-sandbox``, or it did not start.
        """
        options = {
            "--difficulty": difficulty,
            "--platform": platform,
            "--request-ttl": request_ttl,
            "--keepalive": keepalive,
            "--approval-ttl": approval_ttl,
            "--long-poll": long_poll,
            "--port": port,
            "--state": None if state is None else os.fspath(state),
            "--site-token": site_token,
            "--agent-token": agent_token,
            "--sesame-api-key": sesame_api_key,
            "--webhook-secret": webhook_secret,
        }
        arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
        binary = find_binary() if binary is None else os.fspath(binary)
        self._process: Process | None = Process(binary, arguments)
        self._adopt(self._process.info)

    @classmethod
    def connect(cls, control_url: str) -> Self:
        """Use a sandbox that runs already, as in ``lime-sandbox`` in another terminal.

        Args:
            control_url: As it prints it, ``http://127.0.0.1:PORT/_sandbox``.

        Raises:
            SandboxError: What answers there is not a sandbox on this machine.
        """
        sandbox = cls.__new__(cls)
        sandbox._process = None
        sandbox._adopt(_identify(control_url))
        return sandbox

    def _adopt(self, info: dict[str, Any]) -> None:
        self.api_base: str = info["lime_api_base"]
        self.base_url: str = info["lime_base_url"]
        self.site_token: str = info["site_token"]
        self.agent_token: str = info["agent_token"]
        self.sesame_url: str = info["sesame_url"]
        self.sesame_api_key: str = info["sesame_api_key"]
        self.webhook_secret: str = info["webhook_secret"]
        self.control_url: str = info["control_url"]

    # ── its life ──────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it. One that was only connected to goes on."""
        if self._process is not None:
            self._process.end()

    def kill(self) -> None:
        """End it as a crash would, to see what your code does then.

        Raises:
            SandboxError: It was only connected to, and is somebody else's process.
        """
        if self._process is None:
            raise SandboxError("this sandbox is somebody else's process")
        self._process.kill()

    @property
    def running(self) -> bool:
        """Whether it is there. One that was only connected to is taken at its word."""
        return self._process is None or self._process.running

    def reset(self) -> None:
        """Back to the start: no requests, approvals, rules or faults, the first settings, the real clock.

        Addresses, first tokens and the webhook secret stay. Open streams and long polls end.

        Raises:
            SandboxError: It is not there.
        """
        self.control("POST", "/reset")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point every client at it, for ``env=`` of a subprocess."""
        return {
            "LIME_API_BASE": self.api_base,
            "LIME_BASE_URL": self.base_url,
            "LIME_SITE_TOKEN": self.site_token,
            "LIME_AGENT_TOKEN": self.agent_token,
            "SESAME_BROKER_URL": self.sesame_url,
            "SESAME_API_KEY": self.sesame_api_key,
            "SESAME_WEBHOOK_SECRET": self.webhook_secret,
        }

    @contextmanager
    def in_environment(self) -> Generator[Self]:
        """Point this process at it, and the client that ``@require_approval`` shares, for a ``with`` block.

        It changes ``os.environ``, and with it what other threads see. What was there before is there again
        after the block.

        Example::

            with sandbox.in_environment():
                issue_refund(4200, "cus_123")  # your code, with its @require_approval
        """
        from sesame_sdk import decorator

        before = {name: os.environ.get(name) for name in self.environment}
        shared = decorator._default_client  # pyright: ignore[reportPrivateUsage]
        os.environ.update(self.environment)
        # It was made from the environment as it was.
        decorator._default_client = None  # pyright: ignore[reportPrivateUsage]
        try:
            yield self
        finally:
            decorator._default_client = shared  # pyright: ignore[reportPrivateUsage]
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    # ── clients ───────────────────────────────────────────────────────────────────────────────────

    def site(self, **settings: Any) -> LimeSite:
        """A ``LimeSite`` of the first site. In a running loop only: ``async with sandbox.site() as site:``.

        Args:
            settings: As for ``LimeSite``; they win over the sandbox's token and address.

        Raises:
            RuntimeError: No event loop is running in this thread.
            ValueError: A setting makes no sense.
        """
        from lime_sites import LimeSite

        own: dict[str, Any] = {"site_token": self.site_token, "base_url": self.api_base}
        return LimeSite(**{**own, **settings})

    def agent(self, **settings: Any) -> LimeAgent:
        """A ``LimeAgent`` of the first agent; it is yours to close.

        Args:
            settings: As for ``LimeAgent``; they win over the sandbox's token and address.

        Raises:
            ValueError: A setting makes no sense.
        """
        from lime_agents import LimeAgent

        own: dict[str, Any] = {"agent_token": self.agent_token, "base_url": self.api_base}
        return LimeAgent(**{**own, **settings})

    def sesame(self, **settings: Any) -> Sesame:
        """A ``Sesame`` with the first API key; it is yours to close.

        Args:
            settings: As for ``Sesame``; they win over the sandbox's key and address.

        Raises:
            ValueError: A setting makes no sense.
        """
        from sesame_sdk import Sesame

        own: dict[str, Any] = {"api_key": self.sesame_api_key, "base_url": self.sesame_url}
        return Sesame(**{**own, **settings})

    def async_sesame(self, **settings: Any) -> AsyncSesame:
        """An ``AsyncSesame`` with the first API key; it is yours to close.

        Args:
            settings: As for ``AsyncSesame``; they win over the sandbox's key and address.

        Raises:
            ValueError: A setting makes no sense.
        """
        from sesame_sdk import AsyncSesame

        own: dict[str, Any] = {"api_key": self.sesame_api_key, "base_url": self.sesame_url}
        return AsyncSesame(**{**own, **settings})

    # ── decisions ─────────────────────────────────────────────────────────────────────────────────

    def auto_approve(
        self, pattern: str = "*", *, delay: float = 0, count: int = 0, note: str | None = None
    ) -> Rule:
        """Approve what is asked for from now on, and what is pending: until the end of a ``with`` block.

        Args:
            pattern: Which actions; ``*`` is any text, ``?`` one character.
            delay: Seconds that the human takes.
            count: How many approvals; 0 is for ever.
            note: What the human writes.

        Raises:
            SandboxError: This is not, or no longer, a sandbox; or the environment is such that real
                people would be asked: ``SESAME_BROKER_URL`` is a broker on another machine, or is not
                set beside a ``SESAME_API_KEY`` that is not the sandbox's.
        """
        return self._rule("approved", pattern, delay, count, note)

    def deny(self, pattern: str = "*", *, delay: float = 0, count: int = 0, note: str | None = None) -> Rule:
        """Deny instead, as :meth:`auto_approve` approves. The first rule that fits an action decides.

        Args:
            pattern: Which actions; ``*`` is any text, ``?`` one character.
            delay: Seconds that the human takes.
            count: How many approvals; 0 is for ever.
            note: What the human writes.

        Raises:
            SandboxError: As :meth:`auto_approve`.
        """
        return self._rule("denied", pattern, delay, count, note)

    def _rule(self, decision: str, pattern: str, delay: float, count: int, note: str | None) -> Rule:
        self._only_a_sandbox()
        rule = {"action": pattern, "decision": decision, "delay_ms": round(delay * 1000), "count": count}
        if note is not None:
            rule["note"] = note
        (number,) = self.control("POST", "/rules", rule)["ids"]
        return Rule(self, "rules", number)

    def decide(
        self, approval: Any, decision: Literal["approved", "denied"] = "approved", note: str | None = None
    ) -> None:
        """Decide one approval.

        Args:
            approval: It, or its id.
            decision: What the human says.
            note: What the human writes.

        Raises:
            SandboxError: There is no such approval, or it is not pending.
        """
        self._only_a_sandbox()
        body = {"decision": decision} if note is None else {"decision": decision, "note": note}
        self.control("POST", f"/approvals/{_id(approval)}/decision", body)

    def approve_login(self, request: Any) -> None:
        """Sign the first agent in, without a proof of work.

        Args:
            request: The login request, or its id.

        Raises:
            SandboxError: There is no such request, or it is not pending; or as :meth:`auto_approve`.
        """
        self._only_a_sandbox()
        self.control("POST", f"/login-requests/{_id(request)}/approve", {})

    def expire(self, what: Any) -> None:
        """Let an approval or a login request expire ahead of time.

        Args:
            what: It, or its id.

        Raises:
            SandboxError: There is no such thing, or it is not pending.
        """
        try:
            self.control("POST", f"/approvals/{_id(what)}/expire")
        except SandboxError as error:
            if error.http_status != 404:
                raise
            self.control("POST", f"/login-requests/{_id(what)}/expire", {})

    def approvals(
        self, status: str | None = None, *, at_least: int = 0, timeout: float = _TIMEOUT
    ) -> list[dict[str, Any]]:
        """The approvals that were asked for, oldest first.

        Args:
            status: Only ``pending``, ``approved``, ``denied`` or ``expired`` ones.
            at_least: Wait until there are so many.
            timeout: For so many seconds.

        Raises:
            TimeoutError: There are fewer.
        """
        return self._listing("approvals", timeout, status=status, min=at_least)

    # ── what goes wrong ───────────────────────────────────────────────────────────────────────────

    def fault(self, route: str, **rule: Any) -> Rule:
        """Make requests fail: once, ``count`` times, or until the end of a ``with`` block (``count=0``).

        Example::

            sandbox.fault("approve", action="drop_after")  # it happens, but its answer is lost
            with sandbox.fault("trigger_approval", status=503, count=0):
                ...

        Args:
            route: ``create_request``, ``read_request``, ``events``, ``jwks``, ``challenge``, ``approve``,
                ``profile``, ``trigger_approval``, ``read_approval`` or ``*``.
            rule: ``action``, ``status``, ``body``, ``headers``, ``location``, ``delay_ms``, ``skip``,
                ``count``, ``reset`` …: the sandbox's README lists them.

        Returns:
            The rule, which a ``with`` block takes away again at its end.

        Raises:
            SandboxError: It refused, as what it is asked for makes no sense, or is not there.
        """
        (number,) = self.control("POST", "/faults", {"route": route, **rule})["ids"]
        return Rule(self, "faults", number)

    def disconnect(self, *, abort: bool = False) -> None:
        """End all event streams.

        Args:
            abort: In the middle of the response; else as a complete one.

        Raises:
            SandboxError: It is not there.
        """
        self.control("POST", "/streams/disconnect", {"abort": abort})

    def rotate_keys(self, *, keep_old: bool = False) -> None:
        """Sign passports with a new key from now on.

        Args:
            keep_old: Go on publishing the old key, beside the new one.

        Raises:
            SandboxError: It is not there.
        """
        self.control("POST", "/keys/rotate", {"keep_old": keep_old})

    def mcp_token(
        self,
        domain: str,
        *,
        agent_id: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Issue an access token for MCP servers, past the platform's rules: to test a server with.

        Args:
            domain: The host name that it is for, as it is.
            agent_id: Whose it is; the first agent's if left out.
            claims: Claims to set over the usual ones; one that is ``None`` is left out.

        Returns:
            The JWT.

        Raises:
            SandboxError: It is not there, or there is no such agent.

        Example::

            headers = {"Authorization": f"Bearer {sandbox.mcp_token('tools.example.com')}"}
            assert client.get("/tools", headers=headers).status_code == 200
            late = sandbox.mcp_token("tools.example.com", claims={"exp": 1})
        """
        body = {"domain": domain, "agent_id": agent_id, "claims": dict(claims or {})}
        return str(self.control("POST", "/mcp-tokens", body)["access_token"])

    def advance(self, seconds: float) -> None:
        """Put the platforms' clock forward: what is due by then expires at once.

        Args:
            seconds: By how much.

        Raises:
            SandboxError: It refused, as what it is asked for makes no sense, or is not there.
        """
        self.control("POST", "/clock", {"advance_seconds": seconds})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings until the next reset.

        Args:
            changes: ``pow_difficulty``, ``request_ttl_seconds``, ``platform`` …: the sandbox's README lists
                them, with their units.

        Returns:
            All settings, as they are now.

        Raises:
            SandboxError: It refused, as what it is asked for makes no sense, or is not there.
        """
        found: dict[str, Any] = self.control("PATCH", "/settings", changes)
        return found

    # ── what it has seen ──────────────────────────────────────────────────────────────────────────

    def received(
        self, route: str | None = None, *, at_least: int = 0, timeout: float = _TIMEOUT
    ) -> list[dict[str, Any]]:
        """The requests that arrived, with ``route``, ``headers``, ``body``, ``status`` …, oldest first.

        Args:
            route: Only those for this route, named as for :meth:`fault`.
            at_least: Wait until so many have been answered.
            timeout: For so many seconds.

        Raises:
            TimeoutError: There are fewer.
        """
        return self._listing("received", timeout, route=route, min=at_least)

    def webhooks(
        self, approval: Any = None, *, at_least: int = 0, timeout: float = _TIMEOUT
    ) -> list[dict[str, Any]]:
        """The attempts to deliver webhooks, oldest first.

        Each has ``url``, ``status``, ``body``, ``delivered`` …

        Args:
            approval: Only those about this one, or its id.
            at_least: Wait until there are so many.
            timeout: For so many seconds.

        Raises:
            TimeoutError: There are fewer.
        """
        about = None if approval is None else _id(approval)
        return self._listing("webhooks", timeout, approval_id=about, min=at_least)

    def wait_for_streams(self, count: int = 1, *, timeout: float = _TIMEOUT) -> None:
        """Return when so many event streams are open: from then on each gets every event.

        Args:
            count: How many at least.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: There are fewer.
        """
        self._listing("streams", timeout, min_open=count)

    def _listing(self, what: str, timeout: float, **query: Any) -> list[dict[str, Any]]:
        query["wait_ms"] = round(timeout * 1000)
        text = urlencode({name: value for name, value in query.items() if value is not None})
        try:
            found = self.control("GET", f"/{what}?{text}", timeout=timeout + _TIMEOUT)
        except SandboxError as error:
            if error.http_status == 504:
                raise TimeoutError(f"fewer {what} than wanted after {timeout:g} s") from None
            raise
        entries: list[dict[str, Any]] = found.get(what, [])
        return entries

    # ── the control API ───────────────────────────────────────────────────────────────────────────

    def control(self, method: str, path: str, body: Any = None, *, timeout: float = _TIMEOUT) -> Any:
        """Any call of the control API, as the sandbox's README lists them.

        Args:
            method: ``GET``, ``POST`` …
            path: Below the control URL, as ``/clock``.
            body: Sent as JSON.
            timeout: Seconds.

        Returns:
            The answer's JSON.

        Raises:
            SandboxError: It refused, or is not there.
        """
        return _send(self.control_url, method, path, body, timeout)

    def _only_a_sandbox(self) -> None:
        """Refuse to decide anything for anybody but a sandbox."""
        if _identify(self.control_url)["site_token"] != self.site_token:
            raise SandboxError(f"what answers at {self.control_url} is not this sandbox any more")
        broker, key = (os.environ.get(name, "").strip() for name in ("SESAME_BROKER_URL", "SESAME_API_KEY"))
        if _is_local(broker) if broker else key in ("", self.sesame_api_key):
            return
        # Without a URL a client asks the broker that everybody uses.
        found = f"is {broker}" if broker else "is not set and SESAME_API_KEY is no key of this sandbox"
        raise SandboxError(
            f"SESAME_BROKER_URL {found}: code under test would ask real people. "
            "Use sandbox.in_environment() or the fixture lime_sandbox"
        )


def _id(what: Any) -> str:
    """An approval's or a login request's id, fit for a path."""
    found = getattr(what, "approval_id", None) or getattr(what, "request_id", None) or what
    return quote(str(found), safe="")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _identify(control_url: str) -> dict[str, Any]:
    """What the sandbox there says of itself; an error when it is none."""
    if not control_url.startswith("http://") or not _is_local(control_url):
        raise SandboxError(f"{control_url} is not a sandbox: those are http://127.0.0.1:PORT/_sandbox")
    info = _send(control_url, "GET", "/info", None, _TIMEOUT)
    if not isinstance(info, dict) or info.get("control_url") != control_url:
        raise SandboxError(f"what answers at {control_url} is not a sandbox")
    return info


def _send(control_url: str, method: str, path: str, body: Any, timeout: float) -> Any:
    """One call. Not urllib: that would send it through a proxy where the environment names one."""
    where = urlsplit(control_url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=timeout)
    content = None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, where.path + path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        status, text = response.status, response.read()
    except (OSError, HTTPException) as error:
        raise SandboxError(f"no sandbox answers at {control_url}: {error}") from error
    finally:
        connection.close()
    try:
        answer = json.loads(text) if text else None
    except ValueError as error:
        raise SandboxError(f"what answers at {control_url} is not a sandbox", status) from error
    if status >= 400:
        reason = answer.get("error") if isinstance(answer, dict) else answer
        raise SandboxError(f"{method} {path}: {reason}", status)
    return answer
