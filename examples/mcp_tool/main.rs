//! An agent calls a tool of an MCP server, which verifies its token.
//!
//! Reads `LIME_API_BASE`, `LIME_AGENT_TOKEN` and `MCP_SERVER_URL`; prints each step and its milliseconds.

use std::time::Instant;

use lime_core::{AgentConfig, LimeAgent, McpCall};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::var("MCP_SERVER_URL")?;
    let agent = LimeAgent::new(AgentConfig::default())?;
    let profile = agent.get_profile().wait()?;
    let mut last = Instant::now();
    let mut done = |step: &str| {
        println!("{step}\t{:.1}", last.elapsed().as_secs_f64() * 1000.0);
        last = Instant::now();
    };

    // Only for programs that do something else with it: the calls below get it by themselves.
    let token = agent.get_mcp_access_token(&server, false).wait()?;
    assert!(!token.access_token.is_empty());
    done("token issued");

    let tools = agent.mcp(&server, McpCall::list_tools()).wait()?.object()?;
    let tools = tools["tools"].as_array().ok_or("no tools")?;
    assert!(tools.iter().any(|tool| tool["name"] == "who"));
    done("tools listed");

    let arguments = json!({"greeting": "hello"}).as_object().cloned();
    let result = agent.mcp(&server, McpCall::call_tool("who", arguments)).wait()?.object()?;
    // What the server read in the token that it verified.
    assert_eq!(result["content"][0]["text"], format!("hello {}", profile.agent_id));
    done("tool called");

    agent.close();
    Ok(())
}
