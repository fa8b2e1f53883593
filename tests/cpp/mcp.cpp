// An agent and an MCP server, the official SDK's. Runs against the platform and the server that the environment names.
#include "check.hpp"
#include <cstdlib>

namespace {

using namespace std::chrono_literals;

std::string server;

lime::AgentOptions options() {
    lime::AgentOptions made;
    made.mcp_addresses = {{"tools.example.com", "127.0.0.1"}};
    made.mcp_read_timeout = 60s;
    return made;
}

void tokens() {
    const lime::Agent agent;
    const lime::McpAccessToken first = agent.get_mcp_access_token(server);
    CHECK_EQ(first.token_type(), std::string("Bearer"));
    CHECK(first.expires_in() == 300s);
    CHECK(first.issued_at().time_since_epoch() > 1700000000s);
    CHECK_EQ(agent.get_mcp_access_token("Tools.example.com").access_token(), first.access_token());
    CHECK(agent.get_mcp_access_token_start(server, true).get().access_token() != first.access_token());
    CHECK_THROWS(lime::InvalidArgumentError, agent.get_mcp_access_token("127.1"));
    lime::AgentOptions impatient = options();
    impatient.mcp_token_refresh_skew = 5min;
    const lime::Agent renewing(impatient);
    CHECK(renewing.get_mcp_access_token(server).access_token() != renewing.get_mcp_access_token(server).access_token());
}

void calls() {
    lime::AgentOptions at_once = options();
    at_once.serialize_mcp_per_url = false;
    const lime::Agent agent(at_once);
    CHECK(agent.get_server_capabilities(server).json().find("tools") != std::string::npos);
    CHECK(agent.list_tools(server).json().find("\"echo\"") != std::string::npos);
    CHECK(agent.list_resources(server).json().find("note://today") != std::string::npos);
    CHECK(agent.list_resource_templates(server).json().find("note://{name}") != std::string::npos);
    CHECK(agent.list_prompts(server).json().find("greet") != std::string::npos);
    CHECK(agent.read_resource(server, "note://mine").json().find("the note mine") != std::string::npos);
    CHECK(agent.get_prompt(server, "greet", R"({"name":"Ada"})").json().find("Greet Ada") != std::string::npos);
    agent.send_ping(server);
    agent.set_logging_level(server, "warning");
    agent.send_progress_notification(server, "a \"token\"\n", 0.5, 1);
    const lime::McpResult sum = agent.call_tool(server, "add", R"({"a":2,"b":3})");
    CHECK_EQ(sum.structured_json(), std::optional<std::string>("{\"sum\":5}"));
    CHECK(!sum.is_error() && agent.call_tool(server, "fail").is_error());
    auto one = agent.call_tool_start(server, "echo", R"({"text":"one"})");
    auto other = agent.mcp_start(server, "tools/call", R"({"name":"echo","arguments":{"text":"other"}})");
    CHECK_EQ(one.get().text(), std::optional<std::string>("one"));
    CHECK_EQ(other.get().text(), std::optional<std::string>("other"));
    std::promise<std::optional<std::string>> told;
    agent.call_tool_start(server, "echo", R"({"text":"then"})",
                          [&](lime::Result<lime::McpResult> result) { told.set_value(result.value().text()); });
    CHECK_EQ(told.get_future().get(), std::optional<std::string>("then"));
}

void refusals() {
    const lime::Agent agent;
    const auto error = CHECK_THROWS(lime::McpError, agent.read_resource(server, "none://there"));
    CHECK(std::string(error.what()).find("Unknown resource") != std::string::npos && error.detail_json());
    CHECK_THROWS(lime::InvalidArgumentError, agent.call_tool(server, "echo", "no json"));
    CHECK_THROWS(lime::InvalidArgumentError, agent.mcp(std::string("a\0b", 3), "ping"));
    CHECK_EQ(agent.try_mcp(std::getenv("MCP_OTHER_URL"), "ping").status(), LIME_ERROR_MCP_AUTHENTICATION);
    auto given_up = agent.call_tool_start(server, "forever");
    CHECK(given_up.cancel());
    CHECK_THROWS(lime::CancelledError, given_up.get());
    lime::AgentOptions wrong = options();
    wrong.mcp_addresses = {{"tools.example.com", "localhost"}};
    CHECK_THROWS(lime::InvalidArgumentError, lime::Agent{wrong});
}

} // namespace

int main() {
    server = std::getenv("MCP_SERVER_URL");
    RUN_TEST("mcp", tokens);
    RUN_TEST("mcp", calls);
    RUN_TEST("mcp", refusals);
    return check_failed ? 1 : 0;
}
