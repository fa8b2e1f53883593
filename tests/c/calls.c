/* Calls every function with arguments that are wrong or missing, one at a time; calls.py makes the calls from
   the header, here is what they need. Runs against the platform that the environment names. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* What a place for a result holds when nothing was written to it. */
static char untouched[1];

/* The names, or the values, of headers. */
static const char *const texts[] = {LIME_WEBHOOK_SIGNATURE_HEADER, LIME_WEBHOOK_TIMESTAMP_HEADER};

/* A good one of each type. */
static struct {
    lime_error *lime_error;
    lime_site_options *lime_site_options;
    lime_site *lime_site;
    lime_login_request *lime_login_request;
    lime_login_request_status *lime_login_request_status;
    lime_login_event *lime_login_event;
    lime_binding_request *lime_binding_request;
    lime_binding_exchange *lime_binding_exchange;
    lime_passport *lime_passport;
    lime_agent_options *lime_agent_options;
    lime_agent *lime_agent;
    lime_approval_result *lime_approval_result;
    lime_agent_profile *lime_agent_profile;
    lime_sesame_options *lime_sesame_options;
    lime_sesame *lime_sesame;
    lime_approval_request *lime_approval_request;
    lime_approval *lime_approval;
    lime_webhook_verifier *lime_webhook_verifier;
    lime_webhook *lime_webhook;
    lime_sse_parser *lime_sse_parser;
    lime_login_frame *lime_login_frame;
    lime_transport *lime_transport;
    lime_http_request *lime_http_request;
    lime_clock *lime_clock;
    lime_login_progress *lime_login_progress;
    lime_pow_nonce *lime_pow_nonce;
    lime_mcp_access_token *lime_mcp_access_token;
    lime_mcp_result *lime_mcp_result;
    lime_token_verifier_options *lime_token_verifier_options;
    lime_token_verifier *lime_token_verifier;
    lime_verified_token *lime_verified_token;
    lime_token_refusal *lime_token_refusal;
} live;

static void make_webhook(void) {
    static const char body[] = "{\"approval_id\":\"ap_1\",\"action\":\"a.b\",\"status\":\"approved\"}";
    char signature[LIME_WEBHOOK_SIGNATURE_SIZE];
    const char *values[] = {signature, "1750000000"};
    live.lime_webhook_verifier = lime_webhook_verifier_new();
    CHECK(lime_webhook_sign(body, strlen(body), "whsec", 5, 1750000000, signature, sizeof signature, NULL) == LIME_OK);
    CHECK(lime_webhook_verifier_add_secret(live.lime_webhook_verifier, "whsec", 5) == LIME_OK);
    CHECK(lime_webhook_verifier_set_now_unix_seconds(live.lime_webhook_verifier, 1750000000) == LIME_OK);
    CHECK(lime_webhook_verify(live.lime_webhook_verifier, texts, values, 2, body, strlen(body), &live.lime_webhook, NULL) ==
          LIME_OK);
}

/* A site whose requests come here, and whose calls nobody waits for. */
static lime_site *carried;
static struct probe carrier = PROBE;
static lime_http_request *sent;

static void on_send(void *user_data, lime_http_request *request) {
    (void)user_data;
    sent = request;
    add(&carrier, &carrier.entered);
}

static void on_created(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    (void)user_data, (void)status;
    lime_login_request_free(request);
    lime_error_free(error);
    add(&carrier, &carrier.calls);
}

static void make_carried(void) {
    lime_site_options *options = lime_site_options_new();
    CHECK(lime_transport_new(on_send, NULL, NULL, NULL, NULL, &live.lime_transport, NULL) == LIME_OK);
    CHECK(lime_site_options_set_transport(options, live.lime_transport) == LIME_OK);
    CHECK(lime_site_options_set_max_retries(options, 0) == LIME_OK);
    CHECK(lime_site_new(options, &carried, NULL) == LIME_OK);
    lime_site_options_free(options);
}

/* A request that was just sent; the one before is given up. */
static void new_request(void) {
    lime_http_request_free(live.lime_http_request);
    int requests = carrier.entered;
    CHECK(lime_site_create_login_request_start(carried, on_created, NULL, NULL, NULL, NULL) == LIME_OK);
    await(&carrier, &carrier.entered, requests + 1);
    live.lime_http_request = sent;
}

static void new_request_answered(void) {
    new_request();
    CHECK(lime_http_request_respond(live.lime_http_request, 200, NULL, NULL, 0) == LIME_OK);
}

static void on_nonce(void *user_data, int32_t status, lime_pow_nonce *nonce, lime_error *error) {
    struct probe *probe = user_data;
    CHECK(status == LIME_OK && nonce && !error);
    live.lime_pow_nonce = nonce;
    add(probe, &probe->calls);
}

static void make_nonce(void) {
    struct probe probe = PROBE;
    CHECK(lime_pow_solve_start("x", 1, 1, LIME_POW_DIGEST_SEED, 60000, 1, on_nonce, &probe, drop, NULL, NULL) == LIME_OK);
    await(&probe, &probe.drops, 1);
}

static void make_token(void) {
    live.lime_token_verifier_options = lime_token_verifier_options_new();
    CHECK(lime_token_verifier_new(NULL, &live.lime_token_verifier, NULL) == LIME_OK);
    CHECK(lime_token_verifier_verify(live.lime_token_verifier, getenv("MCP_TOKEN"), &live.lime_verified_token, NULL) == LIME_OK);
    CHECK(lime_token_refusal_new(LIME_ERROR_INVALID_TOKEN, NULL, "x", -1, NULL, &live.lime_token_refusal, NULL) == LIME_OK);
}

static void make_all(void) {
    live.lime_site_options = lime_site_options_new();
    live.lime_agent_options = lime_agent_options_new();
    live.lime_sesame_options = lime_sesame_options_new();
    live.lime_sse_parser = lime_sse_parser_new();
    CHECK(lime_site_new(NULL, &live.lime_site, NULL) == LIME_OK);
    CHECK(lime_agent_new(NULL, &live.lime_agent, NULL) == LIME_OK);
    CHECK(lime_sesame_new(NULL, &live.lime_sesame, NULL) == LIME_OK);
    CHECK(lime_site_create_login_request(live.lime_site, &live.lime_login_request, NULL) == LIME_OK);
    const char *id = lime_login_request_request_id(live.lime_login_request);
    CHECK(lime_site_read_login_request(live.lime_site, id, &live.lime_login_request_status, NULL) == LIME_OK);
    CHECK(lime_agent_progress(live.lime_agent, &live.lime_login_progress, NULL) == LIME_OK);
    CHECK(lime_agent_login_with_progress(live.lime_agent, id, live.lime_login_progress, &live.lime_approval_result, NULL) ==
          LIME_OK);
    CHECK(lime_site_wait_for_login(live.lime_site, id, LIME_WAIT_FOREVER, &live.lime_login_event, NULL) == LIME_OK);
    const char *jwt = lime_login_event_passport(live.lime_login_event);
    CHECK(lime_site_verify_passport(live.lime_site, jwt, id, 1, &live.lime_passport, NULL) == LIME_OK);
    CHECK(lime_site_create_binding_request(live.lime_site, "https://shop.example/", &live.lime_binding_request, NULL) ==
          LIME_OK);
    /* The platform takes any code here: calls.py has told it to. */
    CHECK(lime_site_exchange_binding_code(live.lime_site, "bc_any", &live.lime_binding_exchange, NULL) == LIME_OK);
    CHECK(lime_agent_get_profile(live.lime_agent, &live.lime_agent_profile, NULL) == LIME_OK);
    const char *server = getenv("MCP_SERVER_URL");
    CHECK(lime_agent_get_mcp_access_token(live.lime_agent, server, 0, &live.lime_mcp_access_token, NULL) == LIME_OK);
    CHECK(lime_agent_call_tool(live.lime_agent, server, "add", "{\"a\":1,\"b\":2}", &live.lime_mcp_result, NULL) == LIME_OK);
    CHECK(lime_approval_request_new("a.b", "A and b", &live.lime_approval_request, NULL) == LIME_OK);
    CHECK(lime_sesame_trigger(live.lime_sesame, live.lime_approval_request, &live.lime_approval, NULL) == LIME_OK);
    CHECK(lime_login_frame_parse("{}", 2, &live.lime_login_frame, NULL) == LIME_OK);
    lime_login_request_status *none = NULL;
    CHECK(lime_site_read_login_request(live.lime_site, "lr_nobody", &none, &live.lime_error) == LIME_ERROR_API);
    live.lime_clock = lime_clock_new(1750000000000, 1);
    make_webhook();
    make_carried();
    new_request();
    make_nonce();
    make_token();
}

static void free_all(void) {
    lime_token_verifier_options_free(live.lime_token_verifier_options);
    lime_token_verifier_free(live.lime_token_verifier);
    lime_verified_token_free(live.lime_verified_token);
    lime_token_refusal_free(live.lime_token_refusal);
    lime_http_request_free(live.lime_http_request);
    await(&carrier, &carrier.calls, carrier.entered);
    lime_site_free(carried);
    lime_transport_free(live.lime_transport);
    lime_clock_free(live.lime_clock);
    lime_login_progress_free(live.lime_login_progress);
    lime_pow_nonce_free(live.lime_pow_nonce);
    lime_mcp_access_token_free(live.lime_mcp_access_token);
    lime_mcp_result_free(live.lime_mcp_result);
    lime_error_free(live.lime_error);
    lime_site_options_free(live.lime_site_options);
    lime_site_free(live.lime_site);
    lime_login_request_free(live.lime_login_request);
    lime_login_request_status_free(live.lime_login_request_status);
    lime_login_event_free(live.lime_login_event);
    lime_binding_request_free(live.lime_binding_request);
    lime_binding_exchange_free(live.lime_binding_exchange);
    lime_passport_free(live.lime_passport);
    lime_agent_options_free(live.lime_agent_options);
    lime_agent_free(live.lime_agent);
    lime_approval_result_free(live.lime_approval_result);
    lime_agent_profile_free(live.lime_agent_profile);
    lime_sesame_options_free(live.lime_sesame_options);
    lime_sesame_free(live.lime_sesame);
    lime_approval_request_free(live.lime_approval_request);
    lime_approval_free(live.lime_approval);
    lime_webhook_verifier_free(live.lime_webhook_verifier);
    lime_webhook_free(live.lime_webhook);
    lime_sse_parser_free(live.lime_sse_parser);
    lime_login_frame_free(live.lime_login_frame);
}

/* User data, each with its own count; those that were NULL have one together. */
enum { PROBES = 2000 };
static struct probe probes[PROBES], null_probe = PROBE;
static struct {
    struct probe *probe;
    int drops;
} registrations[PROBES];
static int probe_count, registration_count, null_drops, null_completions;

struct call {
    void *user_data;
};

static struct probe *probe_of(void *user_data) { return user_data ? user_data : &null_probe; }

static void *user_data(void) {
    CHECK(probe_count < PROBES);
    struct probe *probe = &probes[probe_count++ % PROBES];
    *probe = (struct probe)PROBE;
    return probe;
}

static void *no_user_data(void) { return NULL; }

static void drop_call(void *user_data) {
    struct probe *probe = probe_of(user_data);
    add(probe, &probe->drops);
}

static void called_back(void *user_data) {
    struct probe *probe = probe_of(user_data);
    add(probe, &probe->calls);
}

/* The callback of a started call: those without user data are counted together. */
static void completed_back(void *user_data) {
    struct probe *probe = probe_of(user_data);
    add(probe, user_data ? &probe->calls : &probe->left);
}

/* The error says what the status says, and names the argument. */
static void told(int32_t status, lime_error *error, const char *message) {
    if (status == LIME_OK) {
        CHECK((const void *)error == untouched);
        return;
    }
    CHECK((const void *)error != untouched && error);
    if ((const void *)error == untouched) return;
    CHECK(lime_error_status(error) == status);
    if (message && status == LIME_ERROR_INVALID_ARGUMENT && !strstr(lime_error_message(error), message))
        CHECK_TEXT(lime_error_message(error), message);
    lime_error_free(error);
}

/* A call that failed has dropped its user data before it returned, and calls nobody. */
static void never_called(struct call *call, int drops) {
    struct probe *probe = call->user_data;
    if (probe) CHECK(probe->drops == drops && probe->calls == 0);
    else null_drops += drops;
}

/* A started call calls back once, then drops its user data once. */
static void completed(struct call *call, int drops) {
    struct probe *probe = call->user_data;
    if (probe) {
        await(probe, &probe->calls, 1);
        await(probe, &probe->drops, drops);
        CHECK(probe->drops == drops && probe->calls == 1 && probe->calls_after_drop == 0);
    } else {
        null_drops += drops;
        await(&null_probe, &null_probe.left, ++null_completions);
    }
}

/* What is registered is dropped with what it was registered at: looked at in the end. */
static void registered(struct call *call, int drops) {
    registrations[registration_count].probe = probe_of(call->user_data);
    registrations[registration_count++].drops = drops;
}

static void sum_number(uint64_t *sum, uint64_t number) { *sum = *sum * 31 + number; }

static void sum_text(uint64_t *sum, const char *text) {
    sum_number(sum, text != NULL);
    for (; text && *text; text++) sum_number(sum, (unsigned char)*text);
}

#include "calls_table.h"

enum { READERS = 8, ROUNDS = 200 };
static uint64_t expected_sum;

static void *read_often(void *unused) {
    (void)unused;
    size_t same = 0;
    for (int round = 0; round < ROUNDS; round++) same += read_everything() == expected_sum;
    return (void *)same;
}

static void eight_threads_read_every_object(void) {
    pthread_t ids[READERS];
    expected_sum = read_everything();
    for (int at = 0; at < READERS; at++) CHECK(pthread_create(&ids[at], NULL, read_often, NULL) == 0);
    for (int at = 0; at < READERS; at++) {
        void *same;
        pthread_join(ids[at], &same);
        CHECK((size_t)same == ROUNDS);
    }
}

static void user_data_that_was_registered_is_dropped_once(void) {
    int dropped = 0;
    free_all();
    for (int at = 0; at < registration_count; at++) {
        struct probe *probe = registrations[at].probe;
        if (probe == &null_probe) {
            dropped += registrations[at].drops;
            continue;
        }
        await(probe, &probe->drops, registrations[at].drops);
        CHECK(probe->drops == registrations[at].drops && probe->calls_after_drop == 0);
    }
    await(&null_probe, &null_probe.drops, null_drops + dropped);
    CHECK(null_probe.drops == null_drops + dropped && registration_count > 0);
    for (int at = 0; at < probe_count; at++) CHECK(probes[at].drops <= 1);
}

int main(void) {
    alarm(240);
    check_begin("calls:good-objects");
    make_all();
    check_end();
    if (check_failed) return 1;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        check_begin(cases[at].id);
        cases[at].run();
        check_end();
    }
    check_begin("calls:eight-threads-read-every-object");
    eight_threads_read_every_object();
    check_end();
    check_begin("calls:user-data-that-was-registered-is-dropped-once");
    user_data_that_was_registered_is_dropped_once();
    check_end();
    return check_failed ? 1 : 0;
}
