//! Texts that mean something to the functions, and what a platform answers.

use std::ffi::CString;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::call::Choices;
use super::host::c_text;
use crate::signer::MAIN;

/// Where a passport is signed for, and an access token.
static KEYS: LazyLock<String> = LazyLock::new(|| json!({"keys": [MAIN.jwk("k1")]}).to_string());

static KNOWN: LazyLock<Vec<CString>> = LazyLock::new(|| {
    let header = br#"{"alg":"RS256","kid":"k1"}"#;
    let payload = |more: Value| {
        let mut claims = json!({"iat": 1000, "exp": 1060, "sub": "agt_1", "iss": "https://lime.pics"});
        let (Value::Object(claims), Value::Object(more)) = (&mut claims, more) else { return String::new() };
        claims.extend(more);
        Value::Object(claims.clone()).to_string()
    };
    let passports = [
        payload(json!({"aud": "lime-site-login", "request_id": "lr_1"})),
        payload(json!({"aud": "lime-binding", "binding_id": "br_1"})),
        payload(json!({"aud": "mcp", "domain": "tools.example.com"})),
    ];
    let passports = passports.map(|payload| MAIN.token(header, payload.as_bytes()));
    let plain = [
        "",
        "lr_1",
        "ap_1",
        "br_1",
        "../x",
        " ",
        "https://lime.pics/api/v1",
        "https://lime.pics",
        "https://getsesame.dev",
        "https://shop.example/bound",
        "https://tools.example.com/mcp",
        "tools.example.com",
        "127.0.0.1",
        "st_1",
        "mcp",
        "echo",
        "tools/list",
        "notifications/x",
        "{}",
        "{\"a\":1}",
        "[",
        "null",
        "approved",
        "high",
        "agent_id",
        "2026-11-23T10:00:00Z",
        "Bearer x",
        "X-Sesame-Signature",
        "X-Sesame-Timestamp",
        "1000",
        "data: {\"type\":\"keepalive\"}\n\n",
        "{\"type\":\"approved\",\"login_request_id\":\"lr_1\",\"agent_passport_jwt\":\"a.b.c\"}",
        "{\"ok\":true,\"data\":{}}",
        "\u{e9}\u{1f34b}",
        "missing_token",
    ];
    let plain = plain.iter().map(|text| c_text(text));
    let signed = passports.iter().chain([&*KEYS]).map(|text| c_text(text));
    plain.chain(signed).chain([CString::from(c"\xff\xfe")]).collect()
});

/// A text, or NULL.
pub(super) fn text(choices: &mut Choices<'_>) -> Option<CString> {
    match choices.next() {
        255 => None,
        // As it stands in the input.
        254 => {
            let length = usize::from(choices.next() % 64).min(choices.0.len());
            let (text, rest) = choices.0.split_at(length);
            choices.0 = rest;
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(length);
            CString::new(&text[..end]).ok()
        }
        253 => Some(c_text(&"long ".repeat(usize::from(choices.next()) * 8))),
        choice => Some(KNOWN[usize::from(choice) % KNOWN.len()].clone()),
    }
}

/// What a platform answers to a request, or an MCP server.
pub(super) fn answer(method: &str, url: &str, sent: &[u8], status: i32) -> String {
    let data = |data: Value| json!({"ok": true, "data": data}).to_string();
    let at = "2026-11-23T10:00:00Z";
    if status >= 400 {
        return json!({"ok": false, "error": {"code": "NOT_FOUND", "message": "no", "detail": {"a": 1}}})
            .to_string();
    }
    if url.contains("tools.example.com") {
        let question: Value = serde_json::from_slice(sent).unwrap_or_default();
        let result = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "tools": [], "content": []});
        return json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string();
    }
    if url.ends_with("/events") {
        return concat!(
            "data: {\"type\":\"keepalive\"}\n\n",
            "data: {\"type\":\"approved\",\"login_request_id\":\"lr_1\",\"agent_passport_jwt\":\"a.b.c\"}\n\n",
            "data: nonsense\n\ndata: {\"type\":\"expired\",\"login_request_id\":\"lr_2\"}\n\n",
        )
        .to_owned();
    }
    if url.ends_with("jwks.json") {
        return KEYS.clone();
    }
    if url.ends_with("oauth-authorization-server") {
        return json!({"issuer": "https://lime.pics", "jwks_uri": "/core/.well-known/jwks.json"}).to_string();
    }
    if url.ends_with("/oauth/token") {
        return json!({"access_token": "h.p.s", "token_type": "Bearer", "expires_in": 300}).to_string();
    }
    if url.ends_with("/profile") {
        return data(
            json!({"agent_id": "agt_1", "owner_id": "own_1", "display_name": "A", "agent_reputation": 5}),
        );
    }
    if url.contains("/auth/requests/") {
        return data(
            json!({"request_id": "lr_1", "status": "PENDING", "pow_challenge": "c", "pow_difficulty": 4,
            "expires_at": at}),
        );
    }
    if url.ends_with("/approve") {
        return data(json!({"request_id": "lr_1", "site_id": "s", "status": "APPROVED", "expires_at": at}));
    }
    if url.ends_with("/bindings/requests") {
        return data(json!({"binding_id": "br_1", "connect_url": "https://lime.pics/c", "status": "PENDING",
            "expires_at": at}));
    }
    if url.ends_with("/bindings/exchange") {
        return data(
            json!({"passport": "a.b.c", "agent_passport_jwt": "a.b.c", "binding_passport_jwt": "a.b.c"}),
        );
    }
    if url.contains("/v1/approvals") {
        let status = if method == "POST" { "pending" } else { "approved" };
        return json!({"approval_id": "ap_1", "status": status, "expires_at": at}).to_string();
    }
    data(json!({"login_request_id": "lr_1", "status": "PENDING", "expires_at": at}))
}
