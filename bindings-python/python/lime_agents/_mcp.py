"""Calls of MCP servers: what is the same for the client of an event loop and the one that blocks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address
    from typing import Any


class Call:
    """A call of the protocol: its method, its parameters as JSON, and the class of its result."""

    __slots__ = ("kind", "method", "params", "whole")

    def __init__(
        self, method: str, kind: str, params: Mapping[str, Any] | None = None, whole: bool = True
    ) -> None:
        self.method = method
        self.kind = kind
        import json

        # What is not in JSON is refused here, where it stands who has given it.
        self.params = json.dumps(params or {}, allow_nan=False)
        self.whole = whole


def list_tools() -> Call:
    """The tools of the server."""
    return Call("tools/list", "ListToolsResult")


def call_tool(name: str, arguments: Mapping[str, Any] | None) -> Call:
    """What a tool answers."""
    return Call("tools/call", "CallToolResult", {"name": name, "arguments": arguments or {}})


def list_resources() -> Call:
    """The resources of the server."""
    return Call("resources/list", "ListResourcesResult")


def list_resource_templates() -> Call:
    """The templates of resources."""
    return Call("resources/templates/list", "ListResourceTemplatesResult")


def read_resource(uri: str) -> Call:
    """The contents of a resource; pydantic's URLs are texts, too."""
    return Call("resources/read", "ReadResourceResult", {"uri": str(uri)})


def list_prompts() -> Call:
    """The prompts of the server."""
    return Call("prompts/list", "ListPromptsResult")


def get_prompt(name: str, arguments: Mapping[str, str] | None) -> Call:
    """A prompt that is filled in."""
    return Call("prompts/get", "GetPromptResult", {"name": name, "arguments": arguments or {}})


def send_ping() -> Call:
    """Whether the server is there."""
    return Call("ping", "EmptyResult")


def set_logging_level(level: str) -> Call:
    """From which level on the server is to send log records."""
    return Call("logging/setLevel", "EmptyResult", {"level": level})


def get_server_capabilities() -> Call:
    """What the server can do."""
    return Call("initialize", "ServerCapabilities")


def send_progress_notification(
    progress_token: str | int, progress: float, total: float | None, message: str | None = None
) -> Call:
    """How far something has come that the server asked for."""
    params: dict[str, Any] = {"progressToken": progress_token, "progress": progress}
    if total is not None:
        params["total"] = total
    if message is not None:
        params["message"] = message
    return Call("notifications/progress", "EmptyResult", params)


def addresses(given: Mapping[str, str] | None) -> list[tuple[str, IPv4Address | IPv6Address]]:
    """The addresses of MCP servers by their host names.

    Raises:
        ValueError: One is no IP address.
    """
    if not given:
        return []
    from ipaddress import ip_address

    return [(name, ip_address(address)) for name, address in given.items()]
