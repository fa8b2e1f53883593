//! Calls of MCP servers.

use std::ffi::{CString, c_char, c_void};

use lime_core::{McpCall, McpResult, Result};
use serde_json::{Map, Value};

use crate::agent::lime_agent;
use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::strings::{Out, borrow, c_optional, c_text, get, invalid, optional_text, pointer, take, text};
use crate::userdata::{UserData, lime_drop_user_data};

/// What an MCP server answered. Free it with lime_mcp_result_free().
pub struct lime_mcp_result {
    json: CString,
    text: Option<CString>,
    structured: Option<CString>,
    is_error: bool,
}

impl From<McpResult> for lime_mcp_result {
    fn from(result: McpResult) -> Self {
        let object = result.object().unwrap_or_default();
        let texts: Vec<&str> = object
            .get("content")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|item| item["type"] == "text")
            .filter_map(|item| item["text"].as_str())
            .collect();
        Self {
            json: c_text(result.json()),
            text: c_optional((!texts.is_empty()).then(|| texts.join("\n")).as_deref()),
            structured: object.get("structuredContent").map(|value| c_text(&value.to_string())),
            is_error: object.get("isError") == Some(&Value::Bool(true)),
        }
    }
}

/// Receives the result of lime_agent_mcp_start() and lime_agent_call_tool_start(). `status` is LIME_OK and `result` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_mcp_result_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        result: *mut lime_mcp_result,
        error: *mut lime_error,
    ),
>;

/// Calls an MCP server, by the method of the protocol:
///
/// "tools/list", "tools/call" {"name", "arguments"} (or lime_agent_call_tool()), "resources/list",
/// "resources/templates/list", "resources/read" {"uri"}, "prompts/list", "prompts/get" {"name", "arguments"}, "ping",
/// "logging/setLevel" {"level"}, "notifications/progress" {"progressToken", "progress", "total"}, and whatever else a
/// server knows. Lists are of all pages. "initialize" sends nothing if there is a session; its result is what the server
/// said of its capabilities.
///
/// The agent's token for the server is attached, and replaced once when the server refuses it; the session with the
/// server is kept for the next call. No redirect is followed, and nothing is sent twice that may act twice. Blocks.
///
/// Parameters: `target`: the server's URL, or a host name, see lime_resolve_mcp_http_url(). `method`: the method.
/// `params_json`: its parameters as a JSON object; NULL for none. `result`: gets the result, to be freed with
/// lime_mcp_result_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; what lime_agent_get_mcp_access_token() returns; LIME_ERROR_MCP_AUTHENTICATION when the server
/// refuses a fresh token, too; LIME_ERROR_MCP when it reports an error; LIME_ERROR_OUTCOME_UNKNOWN when a tool was called
/// and the answer got lost; LIME_ERROR_INVALID_ARGUMENT, also when `params_json` is no JSON object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_mcp(
    agent: *const lime_agent,
    target: *const c_char,
    method: *const c_char,
    params_json: *const c_char,
    result: *mut *mut lime_mcp_result,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, target, call, place) = unsafe {
            (
                borrow(agent, "agent")?,
                text(target, "target")?,
                by_method(method, params_json)?,
                Out::new(result, "result")?,
            )
        };
        wait(agent.0.mcp(target, call), place)
    })
}

/// The started form of lime_agent_mcp(); see "Started calls" in the manual above. When it is cancelled, the server is
/// told that nobody waits for the answer.
///
/// Parameters: `target`, `method`: copied. `params_json`: copied; NULL for none. `callback`: gets the result. `user_data`,
/// `drop_user_data`: see the manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or
/// gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_mcp_start(
    agent: *const lime_agent,
    target: *const c_char,
    method: *const c_char,
    params_json: *const c_char,
    callback: lime_mcp_result_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let call = || {
                let call = by_method(method, params_json)?;
                Ok(borrow(agent, "agent")?.0.mcp(text(target, "target")?, call))
            };
            start(call, callback, user, operation)
        }
    })
}

/// Calls a tool of an MCP server. Blocks.
///
/// Parameters: `target`: the server's URL, or a host name. `name`: the tool. `arguments_json`: its arguments as a JSON
/// object; NULL for none. `result`: gets the result, to be freed with lime_mcp_result_free(); that the tool failed is a
/// result, too: lime_mcp_result_is_error(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; what lime_agent_mcp() returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_call_tool(
    agent: *const lime_agent,
    target: *const c_char,
    name: *const c_char,
    arguments_json: *const c_char,
    result: *mut *mut lime_mcp_result,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, target, call, place) = unsafe {
            (
                borrow(agent, "agent")?,
                text(target, "target")?,
                tool(name, arguments_json)?,
                Out::new(result, "result")?,
            )
        };
        wait(agent.0.mcp(target, call), place)
    })
}

/// The started form of lime_agent_call_tool(); see "Started calls" in the manual above. When it is cancelled, the server
/// is told that nobody waits for the answer.
///
/// Parameters: `target`, `name`: copied. `arguments_json`: copied; NULL for none. `callback`: gets the result. `user_data`,
/// `drop_user_data`: see the manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or
/// gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_call_tool_start(
    agent: *const lime_agent,
    target: *const c_char,
    name: *const c_char,
    arguments_json: *const c_char,
    callback: lime_mcp_result_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let call = || {
                let call = tool(name, arguments_json)?;
                Ok(borrow(agent, "agent")?.0.mcp(text(target, "target")?, call))
            };
            start(call, callback, user, operation)
        }
    })
}

/// # Safety
/// Both pointers are NULL or end with a NUL.
unsafe fn by_method(method: *const c_char, params_json: *const c_char) -> Result<McpCall> {
    // SAFETY: as promised by the caller.
    unsafe {
        Ok(McpCall::new(text(method, "method")?, object(params_json, "params_json")?.unwrap_or_default()))
    }
}

/// # Safety
/// Both pointers are NULL or end with a NUL.
unsafe fn tool(name: *const c_char, arguments_json: *const c_char) -> Result<McpCall> {
    // SAFETY: as promised by the caller.
    unsafe { Ok(McpCall::call_tool(text(name, "name")?, object(arguments_json, "arguments_json")?)) }
}

/// # Safety
/// `json` is NULL or ends with a NUL.
unsafe fn object(json: *const c_char, name: &str) -> Result<Option<Map<String, Value>>> {
    // SAFETY: as promised by the caller.
    let json = unsafe { optional_text(json, name) }?;
    json.map(|json| serde_json::from_str(json).map_err(|_| invalid(format!("{name} is no JSON object"))))
        .transpose()
}

/// The whole result, a JSON object as the server wrote it: of "tools/call" {"content", "structuredContent", "isError"},
/// of "tools/list" {"tools"}, and so on.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_result_json(result: *const lime_mcp_result) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| r.json.as_ptr()) }
}

/// The texts in a tool's answer, with line feeds between them.
///
/// Returns: text that is valid until the object is freed; NULL when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_result_text(result: *const lime_mcp_result) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| pointer(r.text.as_ref())) }
}

/// The structured part of a tool's answer, as JSON.
///
/// Returns: text that is valid until the object is freed; NULL when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_result_structured_json(result: *const lime_mcp_result) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| pointer(r.structured.as_ref())) }
}

/// Whether a tool says of itself that it failed.
///
/// Returns: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_result_is_error(result: *const lime_mcp_result) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, 0, |r| i32::from(r.is_error)) }
}

/// Frees a result. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_result_free(result: *mut lime_mcp_result) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(result) };
}
