"""Makes C tables from tests/vectors/*.json, and checks the outcomes that are JSON objects."""

import base64
import json
from pathlib import Path

FILES = (
    *("pow", "passports", "bindings", "access_tokens", "mcp_domains", "sse", "envelopes", "timestamps"),
    "webhooks",
    "mcp_targets",
)

STRUCTS = """\
/* Made by tests/c/tables.py. */
#include <lime.h>

struct pow_case {
    const char *id, *challenge;
    size_t length;
    int64_t difficulty;
    int32_t digest;
    uint64_t timeout_ms;
    const char *nonce; /* or error */
    int32_t error;
};
struct passport_case {
    const char *id, *jwt, *jwks;
    size_t jwks_length;
    const char *api_root, *expected_request_id;
    int32_t require_issuer;
    double now;
    int32_t error;
    const char *contains;
};
struct binding_case {
    const char *id, *jwt, *jwks;
    size_t jwks_length;
    const char *api_root, *expected_binding_id;
    int32_t require_issuer;
    double now;
    int32_t error;
    const char *contains;
};
struct access_token_case {
    const char *id, *jwt, *jwks;
    size_t jwks_length;
    const char *issuer, *expected_domain, *audience;
    uint64_t leeway_ms;
    double now;
    int32_t error;
    const char *code;
};
struct mcp_domain_case {
    const char *id, *domain;
    const char *canonical, *contains; /* one of them */
};
struct sse_event {
    const char *event, *data, *id;
};
struct sse_frame {
    int32_t kind;
    const char *request_id, *passport, *code, *message;
};
struct sse_case {
    const char *id, *input;
    size_t length, event_count;
    const struct sse_event *events;
    const struct sse_frame *frames; /* or NULL */
    int64_t retry_ms;
    const char *last_event_id;
};
struct envelope_case {
    const char *id;
    int32_t http_status;
    const char *body;
    size_t length;
    int32_t error;
    const char *code, *message;
    int32_t error_http_status;
};
struct timestamp_case {
    const char *id, *text;
    int64_t unix_micros;
    int32_t offset_seconds, error;
};
struct mcp_target_case {
    const char *id, *target;
    const char *domain, *url; /* or error */
    int32_t error;
    const char *contains;
};
struct webhook_secret {
    const char *bytes;
    size_t length;
};
struct webhook_delivery {
    const char *const *names, *const *values;
    size_t header_count;
    const char *body;
    size_t length;
    double now;
    const char *code, *contains; /* code: NULL when it is accepted */
    uint64_t timestamp;
    int32_t forget; /* -1: nothing is to be forgotten */
};
struct webhook_case {
    const char *id;
    const struct webhook_secret *secrets;
    size_t secret_count;
    int64_t tolerance_ms; /* -1: the default */
    int guarded;
    uint64_t horizon_ms;
    size_t capacity;
    const struct webhook_delivery *deliveries;
    size_t delivery_count;
};
struct webhook_sign_case {
    const char *id, *body;
    size_t length;
    const char *secret;
    size_t secret_length;
    uint64_t timestamp;
    const char *signature, *timestamp_text; /* or code */
    const char *code;
};
"""

PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:;-+=/{}[]()")


def literal(value: str | bytes | None) -> str:
    """A C string literal; NULL for None."""
    if value is None:
        return "NULL"
    data = value.encode() if isinstance(value, str) else value
    text = "".join(chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in data)
    return f'"{text}"'


def sized(data: bytes) -> str:
    return f"{literal(data)}, {len(data)}"


def status(kind: str | None) -> str:
    return f"LIME_ERROR_{kind.upper()}" if kind else "LIME_OK"


def bytes_of(case: dict, name: str) -> bytes:
    return base64.b64decode(case[f"{name}_base64"]) if f"{name}_base64" in case else case[name].encode()


class Vectors:
    """The vectors, the ids that the C program gives them, and their JSON outcomes."""

    def __init__(self, folder: Path) -> None:
        self.files = {name: json.loads((folder / f"{name}.json").read_text()) for name in FILES}
        self.ids = [f"{name}.json:{case['id']}" for name in FILES for case in self.files[name]["cases"]]
        self.outcomes: dict[str, object] = {}
        for name in ("passports", "bindings", "access_tokens", "envelopes"):
            for case in self.files[name]["cases"]:
                expect = case["expect"]
                if "error" not in expect:
                    self.outcomes[f"{name}.json:{case['id']}"] = expect.get("claims", expect.get("data"))
                elif name == "envelopes":
                    self.outcomes[f"{name}.json:{case['id']}"] = expect["error"]["detail"]
        for case in self.files["webhooks"]["cases"]:
            # The payloads of the deliveries that are accepted, in their order.
            expected = [one["expect"] for one in case.get("deliveries", [])]
            self.outcomes[f"webhooks.json:{case['id']}"] = [
                one["payload"] for one in expected if "payload" in one
            ]

    def tables(self) -> str:
        return STRUCTS + "\n".join(getattr(self, f"_{name}")(self.files[name]) for name in FILES)

    def _table(self, name: str, rows: list[str]) -> str:
        kind = name.removesuffix("s") if name not in ("pow", "sse") else name
        return f"static const struct {kind}_case {kind}_cases[] = {{\n" + ",\n".join(rows) + "\n};\n"

    def _pow(self, file: dict) -> str:
        return self._table(
            "pow",
            [
                f"{{{literal('pow.json:' + case['id'])}, {sized(case['challenge'].encode())}, INT64_C({case['difficulty']}), "
                f"LIME_POW_DIGEST_{case['digest'].upper()}, {case.get('timeout_ms', 60_000)}, "
                f"{literal(case.get('nonce'))}, {status(case.get('error'))}}}"
                for case in file["cases"]
            ],
        )

    def _passports(self, file: dict) -> str:
        return self._tokens("passports", "expected_request_id", file)

    def _bindings(self, file: dict) -> str:
        return self._tokens("bindings", "expected_binding_id", file)

    def _tokens(self, name: str, expected: str, file: dict) -> str:
        documents = {key: json.dumps(document).encode() for key, document in file["jwks"].items()}
        numbers = {key: f"{name}_jwks_{number}" for number, key in enumerate(documents)}
        lines = [f"static const char {numbers[key]}[] = {literal(text)};" for key, text in documents.items()]
        rows = []
        for case in file["cases"]:
            jwks = numbers[case["jwks"]]
            expect = case["expect"]
            rows.append(
                f"{{{literal(f'{name}.json:' + case['id'])}, {literal(case['jwt'])}, {jwks}, sizeof {jwks} - 1, "
                f"{literal(case['api_root'])}, {literal(case.get(expected))}, "
                f"{int(case.get('require_issuer', False))}, {float(case['now'])!r}, {status(expect.get('error'))}, "
                f"{literal(expect.get('message_contains'))}}}"
            )
        return "\n".join(lines) + "\n" + self._table(name, rows)

    def _access_tokens(self, file: dict) -> str:
        documents = {name: json.dumps(document).encode() for name, document in file["jwks"].items()}
        numbers = {name: number for number, name in enumerate(documents)}
        lines = [
            f"static const char token_jwks_{numbers[name]}[] = {literal(text)};"
            for name, text in documents.items()
        ]
        rows = []
        for case in file["cases"]:
            jwks = f"token_jwks_{numbers[case['jwks']]}"
            expect = case["expect"]
            rows.append(
                f"{{{literal('access_tokens.json:' + case['id'])}, {literal(case['jwt'])}, {jwks}, sizeof {jwks} - 1, "
                f"{literal(case['issuer'])}, {literal(case['expected_domain'])}, {literal(case.get('audience'))}, "
                f"{case.get('leeway', 120) * 1000}, {float(case['now'])!r}, {status(expect.get('error'))}, "
                f"{literal(expect.get('code'))}}}"
            )
        return "\n".join(lines) + "\n" + self._table("access_tokens", rows)

    def _mcp_domains(self, file: dict) -> str:
        rows = [
            f"{{{literal('mcp_domains.json:' + case['id'])}, {literal(case['domain'])}, "
            f"{literal(case['expect'].get('canonical'))}, {literal(case['expect'].get('message_contains'))}}}"
            for case in file["cases"]
        ]
        return self._table("mcp_domains", rows)

    def _sse(self, file: dict) -> str:
        lines, rows = [], []
        for number, case in enumerate(file["cases"]):
            events, frames = case["events"], case.get("frames")
            if events:
                cells = ", ".join(
                    f"{{{literal(e['event'])}, {literal(e['data'])}, {literal(e['id'])}}}" for e in events
                )
                lines.append(f"static const struct sse_event sse_events_{number}[] = {{{cells}}};")
            if frames:
                cells = ", ".join(
                    f"{{LIME_FRAME_{f['kind'].upper()}, "
                    + ", ".join(
                        literal(f.get(field)) for field in ("request_id", "passport", "code", "message")
                    )
                    + "}"
                    for f in frames
                )
                lines.append(f"static const struct sse_frame sse_frames_{number}[] = {{{cells}}};")
            retry = -1 if case["retry_ms"] is None else min(case["retry_ms"], 2**63 - 1)
            rows.append(
                f"{{{literal('sse.json:' + case['id'])}, {sized(bytes_of(case, 'input'))}, {len(events)}, "
                f"{f'sse_events_{number}' if events else 'NULL'}, {f'sse_frames_{number}' if frames else 'NULL'}, "
                f"INT64_C({retry}), {literal(case['last_event_id'])}}}"
            )
        return "\n".join(lines) + "\n" + self._table("sse", rows)

    def _envelopes(self, file: dict) -> str:
        rows = []
        for case in file["cases"]:
            error = case["expect"].get("error") or {}
            rows.append(
                f"{{{literal('envelopes.json:' + case['id'])}, {case['http_status']}, {sized(bytes_of(case, 'body'))}, "
                f"{status(error.get('kind'))}, {literal(error.get('code'))}, {literal(error.get('message'))}, "
                f"{error.get('http_status') or 0}}}"
            )
        return self._table("envelopes", rows)

    def _timestamps(self, file: dict) -> str:
        rows = []
        for case in file["cases"]:
            offset = case.get("offset_seconds")
            rows.append(
                f"{{{literal('timestamps.json:' + case['id'])}, {literal(case['text'])}, INT64_C({case.get('unix_micros', 0)}), "
                f"{'LIME_NO_OFFSET' if offset is None else offset}, {status(case.get('error'))}}}"
            )
        return self._table("timestamps", rows)

    def _mcp_targets(self, file: dict) -> str:
        rows = []
        for case in file["cases"]:
            expect = case["expect"]
            rows.append(
                f"{{{literal('mcp_targets.json:' + case['id'])}, {literal(case['target'])}, {literal(expect.get('domain'))}, "
                f"{literal(expect.get('url'))}, {status(expect.get('error'))}, {literal(expect.get('message_contains'))}}}"
            )
        return self._table("mcp_targets", rows)

    def _webhooks(self, file: dict) -> str:
        lines, rows, sign_rows = [], [], []
        for number, case in enumerate(file["cases"]):
            test_id = literal("webhooks.json:" + case["id"])
            if sign := case.get("sign"):
                expect = case["expect"]
                sign_rows.append(
                    f"{{{test_id}, {sized(bytes_of(sign, 'body'))}, {sized(bytes_of(sign, 'secret'))}, "
                    f"UINT64_C({sign['timestamp']}), {literal(expect.get('signature'))}, "
                    f"{literal(expect.get('timestamp'))}, {literal(expect.get('code'))}}}"
                )
                continue
            lines.append(
                self._array(
                    f"struct webhook_secret webhook_secrets_{number}",
                    [f"{{{sized(bytes_of(secret, 'secret'))}}}" for secret in case["secrets"]],
                )
            )
            deliveries = []
            for at, delivery in enumerate(case["deliveries"]):
                place, headers, expect = f"{number}_{at}", delivery["headers"], delivery["expect"]
                names = [literal(header["name"]) for header in headers]
                values = [literal(bytes_of(header, "value")) for header in headers]
                lines.append(self._array(f"char *const webhook_names_{place}", names))
                lines.append(self._array(f"char *const webhook_values_{place}", values))
                deliveries.append(
                    f"{{webhook_names_{place}, webhook_values_{place}, {len(headers)}, "
                    f"{sized(bytes_of(delivery, 'body'))}, {float(delivery['now'])!r}, {literal(expect.get('code'))}, "
                    f"{literal(expect.get('message_contains'))}, UINT64_C({expect.get('timestamp', 0)}), "
                    f"{int(delivery.get('forget', -1))}}}"
                )
            lines.append(self._array(f"struct webhook_delivery webhook_deliveries_{number}", deliveries))
            guard = case.get("guard") or {"horizon_ms": 0, "capacity": 0}
            rows.append(
                f"{{{test_id}, webhook_secrets_{number}, {len(case['secrets'])}, {case.get('tolerance_ms', -1)}, "
                f"{int('guard' in case)}, UINT64_C({guard['horizon_ms']}), {guard['capacity']}, "
                f"webhook_deliveries_{number}, {len(deliveries)}}}"
            )
        tables = [self._table("webhooks", rows), self._table("webhook_signs", sign_rows)]
        return "\n".join([*lines, *tables])

    def _array(self, declaration: str, cells: list[str]) -> str:
        """An array that may be empty: C has none, so it gets a cell that nobody counts."""
        return f"static const {declaration}[] = {{{', '.join(cells) or '0'}}};"

    def differs(self, test_id: str, text: str) -> str | None:
        """Why the JSON text is not the outcome that the vector wants."""
        got, expected = json.loads(text), self.outcomes[test_id]
        return None if same(got, expected) else f"got {text[:300]}, not {json.dumps(expected)[:300]}"


def same(one: object, other: object) -> bool:
    """Equality of JSON values: numbers by value, but true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
