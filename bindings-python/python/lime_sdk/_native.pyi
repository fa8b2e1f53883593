from collections.abc import Callable
from typing import Any, Literal, final

__all__ = [
    "ERROR_KINDS",
    "VERSION",
    "Agent",
    "EventParser",
    "HostTransport",
    "Permit",
    "Progress",
    "Queue",
    "ReplayGuard",
    "Sesame",
    "Site",
    "cancel",
    "new_id",
    "open_envelope",
    "parse_frame",
    "parse_timestamp",
    "set_log_level",
    "sign_webhook",
    "solve_pow",
    "verify_binding_passport",
    "verify_passport",
    "verify_webhook",
]

VERSION: str
ERROR_KINDS: list[tuple[int, str, str]]

_Stamp = tuple[int, int | None]

@final
class Queue:
    def __new__(cls) -> Queue: ...
    def fileno(self) -> int: ...
    def wake(self) -> None: ...
    def take(self) -> list[tuple[Any, ...]]: ...

@final
class Permit: ...

@final
class Progress:
    def read(self) -> tuple[Literal["challenge", "pow", "approve"], int, int | None, float, float]: ...

@final
class HostTransport:
    def __new__(cls, id: int) -> HostTransport: ...
    def head(self, exchange: int, status: int, headers: list[tuple[bytes, bytes]]) -> None: ...
    def chunk(self, exchange: int, chunk: bytes) -> bool: ...
    def end(self, exchange: int) -> None: ...
    def fail(self, exchange: int, message: str, reach: str, timed_out: bool) -> None: ...

@final
class Site:
    def __new__(
        cls,
        *,
        id: int,
        site_token: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        sse_backoff_base: float,
        event_queue_limit: int,
        jwks_cache_ttl: float | None,
        platform: str,
        require_issuer: bool | None,
        post_retry: str | None,
        jwks_form: str | None,
        transport: HostTransport | None,
    ) -> Site: ...
    def start_events(self, queue: Queue) -> None: ...
    def watch_state(self, queue: Queue, handler: int) -> None: ...
    def stream_status(self) -> tuple[str, Exception | None, int, int, int]: ...
    def create_login_request(self, queue: Queue, token: int) -> int: ...
    def read_login_request(self, queue: Queue, token: int, request_id: str) -> int: ...
    def verify_passport_cached(self, jwt: str, expected_request_id: str | None) -> dict[str, Any] | None: ...
    def verify_passport(self, queue: Queue, token: int, jwt: str, expected_request_id: str | None) -> int: ...
    def wait_for_login(self, queue: Queue, token: int, request_id: str, timeout: float) -> int: ...
    def create_binding_request(self, queue: Queue, token: int, redirect_uri: str) -> int: ...
    def exchange_binding_code(self, queue: Queue, token: int, code: str) -> int: ...
    def verify_binding_passport_cached(
        self, jwt: str, expected_binding_id: str | None
    ) -> dict[str, Any] | None: ...
    def verify_binding_passport(
        self, queue: Queue, token: int, jwt: str, expected_binding_id: str | None
    ) -> int: ...
    def create_binding_request_blocking(self, redirect_uri: str) -> tuple[str, str, str, _Stamp]: ...
    def exchange_binding_code_blocking(self, code: str) -> str: ...
    def verify_binding_passport_blocking(
        self, jwt: str, expected_binding_id: str | None
    ) -> dict[str, Any]: ...
    def create_login_request_blocking(self) -> tuple[str, str, _Stamp]: ...
    def read_login_request_blocking(self, request_id: str) -> tuple[str, str, _Stamp | None]: ...
    def verify_passport_blocking(self, jwt: str, expected_request_id: str | None) -> dict[str, Any]: ...
    def wait_for_login_blocking(
        self, request_id: str, timeout: float, report: Callable[[], None] | None = None
    ) -> tuple[str, str | None]: ...
    def close(self) -> None: ...

@final
class Agent:
    def __new__(
        cls,
        *,
        agent_token: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        pow_timeout: float,
        pow_threads: int,
        platform: str,
        pow_digest: str | None,
        post_retry: str | None,
        transport: HostTransport | None,
    ) -> Agent: ...
    def progress(self) -> Progress: ...
    def login(self, queue: Queue, token: int, request_id: str, progress: Progress | None = None) -> int: ...
    def get_profile(self, queue: Queue, token: int) -> int: ...
    def login_blocking(
        self,
        request_id: str,
        progress: Progress | None = None,
        report: Callable[[], None] | None = None,
    ) -> tuple[str, str, str, _Stamp, str | None]: ...
    def get_profile_blocking(self) -> dict[str, Any]: ...
    def close(self) -> None: ...

_Request = tuple[str, str, str | None, str | None, str | None, str | None, str | None]
_Approval = tuple[str, str, _Stamp | None, _Stamp | None, str | None, str | None]

@final
class Sesame:
    def __new__(
        cls,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        poll_timeout: float,
        transport: HostTransport | None,
    ) -> Sesame: ...
    def trigger(self, queue: Queue, token: int, request: _Request) -> int: ...
    def get(self, queue: Queue, token: int, approval_id: str, wait: bool) -> int: ...
    def wait(
        self, queue: Queue, token: int, approval_id: str, timeout: float, poll_interval: float
    ) -> int: ...
    def trigger_blocking(self, request: _Request) -> _Approval: ...
    def get_blocking(self, approval_id: str, wait: bool) -> _Approval: ...
    def wait_blocking(
        self,
        approval_id: str,
        timeout: float,
        poll_interval: float,
        report: Callable[[], None] | None = None,
    ) -> _Approval: ...
    def close(self) -> None: ...

@final
class ReplayGuard:
    def __new__(cls, horizon: float, capacity: int) -> ReplayGuard: ...
    def forget(self, body: bytes) -> bool: ...

@final
class EventParser:
    """Bytes to server-sent events; any cut of the same bytes gives the same events."""

    def __new__(cls, last_event_id: str = ...) -> EventParser: ...
    def feed(self, chunk: bytes) -> list[tuple[str, str, str]]:
        """The events that this chunk completes, as ``(event, data, id)``."""
    @property
    def last_event_id(self) -> str: ...
    @property
    def retry_millis(self) -> int | None: ...

def cancel(operation: int) -> bool: ...
def new_id() -> int: ...
def set_log_level(level: int) -> None: ...
def solve_pow(challenge: str, difficulty: int, digest: str, timeout: float, threads: int) -> str: ...
def open_envelope(http_status: int, body: bytes) -> dict[str, Any]: ...
def parse_timestamp(text: str) -> tuple[int, int | None]: ...
def parse_frame(data: str) -> tuple[str, ...]: ...
def verify_passport(
    jwt: str,
    jwks: bytes,
    api_root: str,
    expected_request_id: str | None,
    require_issuer: bool,
    now: float,
) -> dict[str, Any]: ...
def verify_binding_passport(
    jwt: str,
    jwks: bytes,
    api_root: str,
    expected_binding_id: str | None,
    require_issuer: bool,
    now: float,
) -> dict[str, Any]: ...
def verify_webhook(
    headers: object,
    body: bytes,
    secrets: str | list[bytes],
    tolerance: float,
    now: float,
    replay_guard: ReplayGuard | None,
) -> dict[str, Any]: ...
def sign_webhook(body: bytes, secret: bytes, timestamp: int) -> tuple[str, str]: ...
