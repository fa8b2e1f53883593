"""The client of an agent worker that blocks."""

from __future__ import annotations

import lime_agents  # its classes of results are loaded with the first client
from lime_agents import _mcp
from lime_agents._domain import checked
from lime_sdk import _blocking, _bridge, _native
from lime_sdk._client import load_results
from lime_sdk._errors import McpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Literal

    from typing_extensions import Self

    from lime_agents._mcp_types import (
        CallToolResult,
        GetPromptResult,
        ListPromptsResult,
        ListResourcesResult,
        ListResourceTemplatesResult,
        ListToolsResult,
        Prompt,
        ReadResourceResult,
        Resource,
        ResourceTemplate,
        ServerCapabilities,
        Tool,
    )
    from lime_agents._types import AgentProfile, ApprovalResult, McpAccessToken
    from lime_sdk._progress import LoginProgress

    LoggingLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class SyncLimeAgent:
    """Confirms login requests for an agent, blocking: for scripts, Celery, Django, Flask.

    Make one per agent token and process, anywhere; any number of threads may use it at once, and a
    forked child too. While a call blocks, other threads run and Ctrl-C is heard.
    :class:`~lime_agents.LimeAgent` is for event loops.

    Example::

        with SyncLimeAgent(agent_token="at_...") as agent:
            result = agent.login(request_id)
            print(result.status)
    """

    def __init__(
        self,
        *,
        agent_token: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        pow_timeout: float = 10.0,
        platform: Literal["auto", "seed", "today"] = "auto",
        pow_digest: Literal["auto", "seed", "today"] | None = None,
        pow_threads: int = 1,
        post_retry: Literal["auto", "seed", "today"] | None = None,
        mcp_token_refresh_skew: float = 30.0,
        mcp_read_timeout: float = 300.0,
        serialize_mcp_per_url: bool = True,
        mcp_addresses: Mapping[str, str] | None = None,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the client; nothing is started or sent yet.

        Args:
            agent_token: The agent's secret, ``at_...``; else ``LIME_AGENT_TOKEN``.
            base_url: The API root with ``/api/v1``; else ``LIME_API_BASE``, else
                ``https://lime.pics/api/v1``.
            timeout: Seconds that one attempt of a request may take.
            max_retries: Further attempts on transport errors and HTTP 408, 429, 500, 502, 503, 504.
            pow_timeout: Seconds that a proof of work may take.
            platform: What differs between the platform's times, all at once; ``pow_digest`` and ``post_retry``
                change it. ``"auto"`` works with all of them.
            pow_digest: ``"auto"`` tries the seed's digest first, then today's, and remembers per API
                root which one the platform took.
            pow_threads: Threads that search for a proof of work.
            post_retry: ``"today"`` never repeats a POST after 500, 502 or 504; ``"auto"`` never one that the
                first releases did not have.
            mcp_token_refresh_skew: Seconds before its end from which on a token for MCP servers is renewed.
            mcp_read_timeout: Seconds that an MCP server may take to answer, and between two pieces of its answer.
            serialize_mcp_per_url: Call each MCP server for one thing after the other.
            mcp_addresses: IP addresses of MCP servers by their host names, in place of the name system; else
                ``LIME_MCP_ADDRESSES`` (``tools.example.com=127.0.0.1,...``). For tests, and for networks with
                names of their own.
            tls_pins: Public keys that the platform's server may have, beside the usual checks: SHA-256 of its
                certificate's SubjectPublicKeyInfo in base64, ``sha256/`` in front or not; else
                ``LIME_TLS_PINS``, with commas between. Name the next key before it comes. MCP
                servers are not the platform's.

        Raises:
            AuthenticationError: There is no agent token.
            ValueError: A setting makes no sense.
        """
        load_results("lime_agents._types")
        self._native = _native.Agent(
            agent_token=agent_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            pow_timeout=pow_timeout,
            pow_threads=pow_threads,
            platform=platform,
            pow_digest=pow_digest,
            post_retry=post_retry,
            mcp_token_refresh_skew=mcp_token_refresh_skew,
            mcp_read_timeout=mcp_read_timeout,
            serialize_mcp_per_url=serialize_mcp_per_url,
            mcp_addresses=_mcp.addresses(mcp_addresses),
            tls_pins=list(tls_pins),
            transport=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def login(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """Confirm a site's login request: fetch its challenge, solve it, send the approval.

        Args:
            request_id: The login request, from the site.
            on_progress: Called on this thread with a :class:`LoginProgress`, at once, a few times a
                second, and when the login has succeeded. What it raises ends the login.

        Raises:
            TypeError: ``on_progress`` is a coroutine function, which nobody would await.
            PowTimeoutError: The challenge was not solved within ``pow_timeout``.
            OutcomeUnknownError: The approval was sent and its answer got lost.
            AuthenticationError: The platform does not take the token.
            RateLimitError: Too many requests.
            ApiError: Any other error that the platform reports; ``INVALID_REQUEST_ID`` for an id
                that is empty or no id at all.
            LimeError: The platform could not be reached or understood.

        Example::

            with tqdm(unit="hash", unit_scale=True) as bar:

                def show(progress: LoginProgress) -> None:
                    bar.total = progress.expected
                    bar.set_description(progress.stage)
                    bar.update(progress.hashes - bar.n)

                agent.login(request_id, on_progress=show)
        """
        return self._login(request_id, on_progress)

    def approve(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """The same as :meth:`login`, by its earlier name."""
        return self._login(request_id, on_progress)

    def _login(
        self, request_id: str, on_progress: Callable[[LoginProgress], object] | None
    ) -> ApprovalResult:
        _bridge.set_log_level()
        native = self._native
        if on_progress is None:
            return _result(_blocking.call(native.login, native.login_blocking, request_id))
        from lime_sdk._progress import LoginReporter

        progress = native.progress()
        reporter = LoginReporter(on_progress, progress)
        result = _result(
            _blocking.call(native.login, native.login_blocking, request_id, progress, report=reporter)
        )
        reporter.done()
        return result

    def get_profile(self) -> AgentProfile:
        """Read the agent's own profile.

        Raises:
            AuthenticationError: The platform does not take the token.
            ApiError: Any other error that the platform reports.
        """
        _bridge.set_log_level()
        native = self._native
        return lime_agents.AgentProfile.from_api(
            _blocking.call(native.get_profile, native.get_profile_blocking)
        )

    def get_mcp_access_token(self, target: str, *, force_refresh: bool = False) -> McpAccessToken:
        """Give a token for the MCP servers of a host name; the one that is held, as long as it lives.

        Tokens are kept for each host name and fetched by one call at a time; one that ends within
        ``mcp_token_refresh_skew`` is replaced by the next call.

        Args:
            target: A URL or a host name: :func:`~lime_agents.extract_and_normalize_domain`.
            force_refresh: Fetch a new one, whatever is held.

        Raises:
            ValueError: The target is no public DNS name.
            OAuthCapabilityError: The agent lacks the grant ``oauth:mcp``.
            AuthenticationError: The platform does not take the agent's token.
            RateLimitError: Too many requests.
            ApiError: Any other error that the platform reports; ``INVALID_TOKEN_RESPONSE`` for an answer
                that is no token.
            LimeError: The platform could not be reached or understood.
        """
        from lime_agents._types import token_from_native

        _bridge.set_log_level()
        start, block = self._native.get_mcp_access_token, self._native.get_mcp_access_token_blocking
        return token_from_native(_blocking.call(start, block, checked(target), bool(force_refresh)))

    def list_tools(self, target: str) -> list[Tool]:
        """List the tools of an MCP server, of all pages.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ListToolsResult = self._call_mcp(target, _mcp.list_tools())
        return list(result.tools)

    def call_tool(self, target: str, name: str, arguments: dict[str, Any] | None = None) -> CallToolResult:
        """Call a tool of an MCP server.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.
            name: The tool.
            arguments: Its arguments, which JSON can hold.

        Returns:
            What it answers; ``isError`` when the tool itself failed.

        Raises:
            ValueError: The target is no public DNS name, or the arguments are not for JSON.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            OAuthCapabilityError: The platform gives this agent no tokens for MCP servers.
            OutcomeUnknownError: The tool was called and the answer got lost: it may have run.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: CallToolResult = self._call_mcp(target, _mcp.call_tool(name, arguments))
        return result

    def list_resources(self, target: str) -> list[Resource]:
        """List the resources of an MCP server, of all pages.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ListResourcesResult = self._call_mcp(target, _mcp.list_resources())
        return list(result.resources)

    def list_resource_templates(self, target: str) -> list[ResourceTemplate]:
        """List the templates of resources of an MCP server, of all pages.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ListResourceTemplatesResult = self._call_mcp(target, _mcp.list_resource_templates())
        return list(result.resourceTemplates)

    def list_prompts(self, target: str) -> list[Prompt]:
        """List the prompts of an MCP server, of all pages.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ListPromptsResult = self._call_mcp(target, _mcp.list_prompts())
        return list(result.prompts)

    def read_resource(self, target: str, uri: str) -> ReadResourceResult:
        """Read a resource of an MCP server.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.
            uri: The resource.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ReadResourceResult = self._call_mcp(target, _mcp.read_resource(uri))
        return result

    def get_prompt(self, target: str, name: str, arguments: dict[str, str] | None = None) -> GetPromptResult:
        """Fill in a prompt of an MCP server.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.
            name: The prompt.
            arguments: Its arguments.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: GetPromptResult = self._call_mcp(target, _mcp.get_prompt(name, arguments))
        return result

    def set_logging_level(self, target: str, level: LoggingLevel) -> None:
        """Say from which level on an MCP server is to send log records.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.
            level: ``debug`` to ``emergency``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        self._call_mcp(target, _mcp.set_logging_level(level))

    def send_ping(self, target: str) -> None:
        """Ask whether an MCP server is there.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        self._call_mcp(target, _mcp.send_ping())

    def get_server_capabilities(self, target: str) -> ServerCapabilities:
        """What an MCP server can do, as it said when the session with it began.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: ServerCapabilities = self._call_mcp(target, _mcp.get_server_capabilities())
        return result

    def send_progress_notification(
        self, target: str, progress_token: str, progress: float, total: float | None = None
    ) -> None:
        """Tell an MCP server how far something has come that it asked for.

        Args:
            target: The server: its URL, or a host name, which stands for ``https://<host>/mcp``.
            progress_token: The server's token for it.
            progress: How far it has come.
            total: How far it has to come, if that is known.

        Raises:
            ValueError: The target is no public DNS name.
            McpError: The server reports an error.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        self._call_mcp(target, _mcp.send_progress_notification(progress_token, progress, total))

    def _call_mcp(self, target: str, call: _mcp.Call) -> Any:
        # Before the call: importing mcp takes its time.
        from lime_agents import _mcp_types

        _bridge.set_log_level()
        native = self._native
        try:
            text = _blocking.call(
                native.mcp, native.mcp_blocking, checked(target), call.method, call.params, call.whole
            )
        except McpError as error:
            _mcp_types.reraise(error)
        return _mcp_types.read(call.kind, text)

    def close(self) -> None:
        """Refuse further calls; those that other threads wait for go on."""
        self._native.close()


def _result(answer: tuple[str, str, str, tuple[int, int | None], str | None]) -> ApprovalResult:
    from lime_sdk._times import from_native

    request_id, site_id, status, expires_at, agent_id = answer
    return lime_agents.ApprovalResult(request_id, site_id, status, from_native(expires_at), agent_id)
