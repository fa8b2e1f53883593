/* An agent and an MCP server, the official SDK's: tokens, calls, refusals. Runs against the platform and the server
   that the environment names. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <pthread.h>
#include <stdlib.h>

static const char *server;

static lime_agent *new_agent(void) {
    lime_agent *agent = NULL;
    CHECK(lime_agent_new(NULL, &agent, NULL) == LIME_OK);
    return agent;
}

static void tokens(void) {
    check_begin("mcp:tokens");
    lime_agent *agent = new_agent();
    lime_mcp_access_token *first = NULL, *again = NULL, *forced = NULL;
    CHECK(lime_agent_get_mcp_access_token(agent, server, 0, &first, NULL) == LIME_OK);
    CHECK(lime_agent_get_mcp_access_token(agent, "tools.example.com", 0, &again, NULL) == LIME_OK);
    CHECK(lime_agent_get_mcp_access_token(agent, "tools.example.com", 1, &forced, NULL) == LIME_OK);
    const char *text = lime_mcp_access_token_access_token(first);
    CHECK_TEXT(text, lime_mcp_access_token_access_token(again));
    CHECK(strcmp(text, lime_mcp_access_token_access_token(forced)) != 0);
    CHECK_TEXT(lime_mcp_access_token_token_type(first), "Bearer");
    CHECK(lime_mcp_access_token_expires_in_seconds(first) == 300);
    CHECK(lime_mcp_access_token_issued_at_unix_micros(first) > INT64_C(1700000000000000));
    lime_mcp_access_token_free(first);
    lime_mcp_access_token_free(again);
    lime_mcp_access_token_free(forced);
    lime_agent_free(agent);
    check_end();
}

static void calls(void) {
    check_begin("mcp:calls");
    lime_agent *agent = new_agent();
    lime_mcp_result *result = NULL;
    CHECK(lime_agent_mcp(agent, server, "initialize", NULL, &result, NULL) == LIME_OK);
    CHECK(result && strstr(lime_mcp_result_json(result), "\"tools\""));
    CHECK(!lime_mcp_result_text(result) && !lime_mcp_result_structured_json(result) && !lime_mcp_result_is_error(result));
    lime_mcp_result_free(result);
    CHECK(lime_agent_mcp(agent, server, "tools/list", NULL, &result, NULL) == LIME_OK);
    CHECK(result && strstr(lime_mcp_result_json(result), "\"name\":\"echo\""));
    lime_mcp_result_free(result);
    CHECK(lime_agent_call_tool(agent, server, "add", "{\"a\":2,\"b\":3}", &result, NULL) == LIME_OK);
    CHECK_TEXT(lime_mcp_result_structured_json(result), "{\"sum\":5}");
    CHECK(lime_mcp_result_is_error(result) == 0);
    lime_mcp_result_free(result);
    CHECK(lime_agent_call_tool(agent, server, "fail", NULL, &result, NULL) == LIME_OK);
    CHECK(lime_mcp_result_is_error(result) == 1);
    CHECK(result && strstr(lime_mcp_result_text(result), "it went wrong"));
    lime_mcp_result_free(result);
    CHECK(lime_agent_mcp(agent, server, "resources/read", "{\"uri\":\"note://mine\"}", &result, NULL) == LIME_OK);
    CHECK(result && strstr(lime_mcp_result_json(result), "the note mine"));
    lime_mcp_result_free(result);
    CHECK(lime_agent_mcp(agent, server, "ping", NULL, &result, NULL) == LIME_OK);
    CHECK_TEXT(lime_mcp_result_json(result), "{}");
    lime_mcp_result_free(result);
    lime_agent_free(agent);
    check_end();
}

static void refusals(void) {
    check_begin("mcp:refusals");
    lime_agent *agent = new_agent();
    lime_mcp_result *result = NULL;
    lime_error *error = NULL;
    CHECK(lime_agent_mcp(agent, server, "resources/read", "{\"uri\":\"none://there\"}", &result, &error) == LIME_ERROR_MCP);
    CHECK(!result && strstr(lime_error_message(error), "Unknown resource"));
    CHECK(lime_error_detail_json(error) && strstr(lime_error_detail_json(error), "\"code\""));
    lime_error_free(error);
    CHECK(lime_agent_mcp(agent, "http://127.0.0.1:1/mcp", "ping", NULL, &result, NULL) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_agent_mcp(agent, server, "ping", "[]", &result, NULL) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_agent_call_tool(agent, server, "echo", "no json", &result, NULL) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(!result);
    /* A server that tokens for this name are not for. */
    CHECK(lime_agent_mcp(agent, getenv("MCP_OTHER_URL"), "ping", NULL, &result, &error) == LIME_ERROR_MCP_AUTHENTICATION);
    CHECK(lime_error_http_status(error) == 401);
    lime_error_free(error);
    lime_agent_free(agent);
    check_end();
}

static void options(void) {
    check_begin("mcp:options");
    lime_agent_options *options = lime_agent_options_new();
    lime_agent *agent = NULL;
    lime_mcp_access_token *first = NULL, *again = NULL;
    CHECK(lime_agent_options_set_mcp_token_refresh_skew_ms(options, 300000) == LIME_OK);
    CHECK(lime_agent_options_set_mcp_read_timeout_ms(options, 60000) == LIME_OK);
    CHECK(lime_agent_options_set_mcp_read_timeout_ms(options, 0) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_agent_options_set_serialize_mcp_per_url(options, 0) == LIME_OK);
    CHECK(lime_agent_options_add_mcp_address(options, "tools.example.com", "localhost") == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_agent_options_add_mcp_address(options, "tools.example.com", "127.0.0.1") == LIME_OK);
    CHECK(lime_agent_new(options, &agent, NULL) == LIME_OK);
    /* Every token is too near its end. */
    CHECK(lime_agent_get_mcp_access_token(agent, server, 0, &first, NULL) == LIME_OK);
    CHECK(lime_agent_get_mcp_access_token(agent, server, 0, &again, NULL) == LIME_OK);
    CHECK(strcmp(lime_mcp_access_token_access_token(first), lime_mcp_access_token_access_token(again)) != 0);
    lime_mcp_access_token_free(first);
    lime_mcp_access_token_free(again);
    lime_agent_free(agent);
    agent = NULL;
    CHECK(lime_agent_options_add_mcp_address(options, "localhost", "127.0.0.1") == LIME_OK);
    CHECK(lime_agent_new(options, &agent, NULL) == LIME_ERROR_INVALID_ARGUMENT && !agent);
    lime_agent_options_free(options);
    check_end();
}

static void on_result(void *user_data, int32_t status, lime_mcp_result *result, lime_error *error) {
    CHECK((status == LIME_OK) == (result != NULL));
    if (result) CHECK_TEXT(lime_mcp_result_text(result), "started");
    lime_mcp_result_free(result);
    finish(user_data, status, error);
}

static void started(void) {
    check_begin("mcp:started");
    lime_agent *agent = new_agent();
    struct probe done = PROBE, given_up = PROBE;
    CHECK(lime_agent_call_tool_start(agent, server, "echo", "{\"text\":\"started\"}", on_result, &done, drop, NULL, NULL) ==
          LIME_OK);
    await(&done, &done.drops, 1);
    CHECK(done.status == LIME_OK);
    CHECK(lime_agent_call_tool_start(agent, server, "forever", NULL, on_result, &given_up, drop, &given_up.operation, NULL) ==
          LIME_OK);
    CHECK(lime_operation_cancel(given_up.operation) == 1);
    await(&given_up, &given_up.drops, 1);
    CHECK(given_up.status == LIME_ERROR_CANCELLED);
    lime_agent_free(agent);
    check_end();
}

int main(void) {
    server = getenv("MCP_SERVER_URL");
    tokens();
    calls();
    refusals();
    options();
    started();
    return check_failed ? 1 : 0;
}
