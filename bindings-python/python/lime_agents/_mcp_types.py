"""What MCP servers answer: the classes of ``mcp.types`` where ``mcp`` is installed, else ones of the same shape."""

from __future__ import annotations

import json

from lime_sdk._errors import McpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn

    from mcp.types import (
        CallToolResult,
        CompleteResult,
        EmptyResult,
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

__all__ = [
    "CallToolResult",
    "CompleteResult",
    "EmptyResult",
    "GetPromptResult",
    "ListPromptsResult",
    "ListResourceTemplatesResult",
    "ListResourcesResult",
    "ListToolsResult",
    "Prompt",
    "ReadResourceResult",
    "Resource",
    "ResourceTemplate",
    "ServerCapabilities",
    "Tool",
]

# JSON of servers and tools themselves: what is in there is theirs, and stays a dict.
_FREE = frozenset(("inputSchema", "outputSchema", "structuredContent", "_meta", "experimental", "data"))


_ABSENT: dict[str, Any] = {"meta": None, "annotations": None, "title": None, "description": None}


class McpObject:
    """An object that an MCP server sent; its members are attributes, and ``meta`` is ``_meta``."""

    __slots__ = ("_members",)
    # What is not sent, and has a value all the same.
    _absent: ClassVar[dict[str, Any]] = _ABSENT

    def __init__(self, **members: Any) -> None:
        """Make one of its members.

        Args:
            members: As the protocol names them.
        """
        self._members = members

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> McpObject:
        """Make one of JSON text; the name is that of the method of ``mcp.types``."""
        return cls(**json.loads(text))

    def model_dump(self, *, by_alias: bool = True, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """The object as it was sent.

        Args:
            by_alias: Ignored, as whatever else pydantic takes: members are named as they were sent.
            exclude_none: Leave out members that are null.
        """
        if exclude_none:
            return {name: value for name, value in self._members.items() if value is not None}
        return dict(self._members)

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling look for attributes before there are any.
        if name.startswith("__") or name == "_members":
            raise AttributeError(name)
        sent = "_meta" if name == "meta" else name
        if sent in self._members:
            value = self._members[sent]
            return value if sent in _FREE else _shaped(value)
        if name in self._absent:
            value = self._absent[name]
            return value.copy() if isinstance(value, list) else value
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._members == other._members

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        return self._members

    def __setstate__(self, members: dict[str, Any]) -> None:
        self._members = members

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._members.items())})"


def _shaped(value: Any) -> Any:
    if isinstance(value, dict):
        return McpObject(**value)
    if isinstance(value, list):
        return [_shaped(item) for item in value]
    return value


def _kind(name: str, **absent: Any) -> type[McpObject]:
    """A class of this name, with what its members are where they are absent."""
    members = {"__slots__": (), "_absent": {**_ABSENT, **absent}, "__module__": __name__}
    return type(name, (McpObject,), members)


def _list(name: str, member: str, item: str) -> type[McpObject]:
    """A class for a page of a list, whose items have a class of their own."""
    kind = _kind(name, nextCursor=None)

    def items(self: McpObject) -> list[McpObject]:
        return [_OWN[item](**each) for each in self.model_dump().get(member, ())]

    setattr(kind, member, property(items))
    return kind


_OWN: dict[str, type[McpObject]] = {
    "Tool": _kind("Tool", outputSchema=None, icons=None, execution=None),
    "Resource": _kind("Resource", mimeType=None, size=None, icons=None),
    "ResourceTemplate": _kind("ResourceTemplate", mimeType=None, icons=None),
    "Prompt": _kind("Prompt", arguments=None, icons=None),
    "CallToolResult": _kind("CallToolResult", structuredContent=None, isError=False),
    "ReadResourceResult": _kind("ReadResourceResult"),
    "GetPromptResult": _kind("GetPromptResult"),
    "CompleteResult": _kind("CompleteResult"),
    "EmptyResult": _kind("EmptyResult"),
    "ServerCapabilities": _kind(
        "ServerCapabilities",
        **dict.fromkeys(
            ("experimental", "logging", "prompts", "resources", "tools", "completions", "tasks"), None
        ),
    ),
    "ListToolsResult": _list("ListToolsResult", "tools", "Tool"),
    "ListResourcesResult": _list("ListResourcesResult", "resources", "Resource"),
    "ListResourceTemplatesResult": _list(
        "ListResourceTemplatesResult", "resourceTemplates", "ResourceTemplate"
    ),
    "ListPromptsResult": _list("ListPromptsResult", "prompts", "Prompt"),
}

try:
    from mcp import McpError as _RealError
    from mcp import types as _real
except ImportError:
    _real = None  # type: ignore[assignment]
else:
    from mcp.types import ErrorData

    class McpServerError(McpError, _RealError):
        """An :class:`~lime_agents.McpError` that is an ``mcp.McpError``, too: ``error`` is its ``ErrorData``."""

        @classmethod
        def made_of(cls, error: McpError) -> McpServerError:
            """The same error, of this class."""
            made = cls.__new__(cls, *error.args)
            made.args = error.args
            made.__dict__.update(error.__dict__)
            detail = error.detail or {}
            made.error = ErrorData(
                code=detail.get("code", error.http_status or 0),
                message=error.message,
                data=detail.get("data"),
            )
            made.__cause__ = error.__cause__
            return made


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _OWN:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_real, name) if _real is not None else _OWN[name]


def read(kind: str, text: str) -> Any:
    """Make a result of the JSON text that a server sent.

    Raises:
        LimeError: It is none of this kind.
    """
    if _real is None:
        return _OWN[kind].model_validate_json(text)
    try:
        return getattr(_real, kind).model_validate_json(text)
    except ValueError as error:
        from lime_sdk._errors import LimeError

        raise LimeError(f"The MCP server's result is no {kind}: {error}") from error


def reraise(error: McpError) -> NoReturn:
    """Raise an error as what programs that use ``mcp`` catch."""
    if _real is None:
        raise error
    raise McpServerError.made_of(error) from error.__cause__
