// An agent calls a tool of an MCP server, which verifies its token.
// Reads LIME_API_BASE, LIME_AGENT_TOKEN and MCP_SERVER_URL; prints each step and its milliseconds.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <lime.hpp>

void done(const char *step) {
    static auto last = std::chrono::steady_clock::now();
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> elapsed = now - last;
    if (step) std::printf("%s\t%.1f\n", step, elapsed.count()), std::fflush(stdout);
    last = now;
}

int main() try {
    const char *url = std::getenv("MCP_SERVER_URL");
    const std::string server = url ? url : "";
    const lime::Agent agent;
    const lime::AgentProfile profile = agent.get_profile();
    done(nullptr);

    // Only for programs that do something else with it: the calls below get it by themselves.
    if (agent.get_mcp_access_token(server).token_type() != "Bearer") return 2;
    done("token issued");

    if (agent.list_tools(server).json().find("\"who\"") == std::string::npos) return 2;
    done("tools listed");

    const lime::McpResult result = agent.call_tool(server, "who", R"({"greeting":"hello"})");
    // What the server read in the token that it verified.
    if (result.is_error() || result.text() != "hello " + profile.agent_id()) return 2;
    done("tool called");
    return 0;
} catch (const lime::Error &error) {
    std::cerr << lime::status_name(error.status()) << ": " << error.what() << std::endl;
    return 1;
}
