/* An agent calls a tool of an MCP server, which verifies its token.
   Reads LIME_API_BASE, LIME_AGENT_TOKEN and MCP_SERVER_URL; prints each step and its milliseconds. */
#include <lime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static lime_error *error;

static void done(const char *step, int32_t status) {
    static struct timespec last;
    struct timespec now;
    if (status != LIME_OK) {
        fprintf(stderr, "%s: %s: %s\n", step, lime_status_name(status), lime_error_message(error));
        exit(1);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    double elapsed = (double)(now.tv_sec - last.tv_sec) * 1e3 + (double)(now.tv_nsec - last.tv_nsec) / 1e6;
    if (last.tv_sec) printf("%s\t%.1f\n", step, elapsed), fflush(stdout);
    last = now;
}

int main(void) {
    const char *server = getenv("MCP_SERVER_URL");
    lime_agent *agent;
    lime_agent_profile *profile;
    lime_mcp_access_token *token;
    lime_mcp_result *tools, *result;
    if (lime_agent_new(NULL, &agent, &error)) return fprintf(stderr, "%s\n", lime_error_message(error)), 1;
    done("profile read", lime_agent_get_profile(agent, &profile, &error));

    /* Only for programs that do something else with it: the calls below get it by themselves. */
    done("token issued", lime_agent_get_mcp_access_token(agent, server, 0, &token, &error));
    if (strcmp(lime_mcp_access_token_token_type(token), "Bearer")) return 2;

    done("tools listed", lime_agent_mcp(agent, server, "tools/list", NULL, &tools, &error));
    if (!strstr(lime_mcp_result_json(tools), "\"who\"")) return 2;

    done("tool called", lime_agent_call_tool(agent, server, "who", "{\"greeting\":\"hello\"}", &result, &error));
    /* What the server read in the token that it verified. */
    char expected[256];
    snprintf(expected, sizeof expected, "hello %s", lime_agent_profile_agent_id(profile));
    if (lime_mcp_result_is_error(result) || strcmp(lime_mcp_result_text(result), expected)) return 2;

    lime_mcp_result_free(result), lime_mcp_result_free(tools);
    lime_mcp_access_token_free(token), lime_agent_profile_free(profile);
    lime_agent_free(agent);
}
