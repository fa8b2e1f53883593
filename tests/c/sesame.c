/* A gate in all its turns, against a broker. Where a human, a rule or a fault comes in, the program says
   `at <what> <arguments>` and waits for a line: run.py does it meanwhile, and answers. */
#include "probe.h"
#include <lime.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOTHING ((lime_approval *)1) /* what a place for a result holds when nothing was written to it */

static char answer[4096];

/* Has something done, and gives the answer. */
static const char *at(const char *what, const char *first, const char *second) {
    printf("at %s %s %s\n", what, first ? first : "", second ? second : "");
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(2);
    answer[strcspn(answer, "\n")] = 0;
    return answer;
}

static lime_sesame *sesame;

static lime_approval_request *ask_for(const char *action, const char *dedup_key) {
    lime_approval_request *request = NULL;
    CHECK(lime_approval_request_new(action, "Something to decide", &request, NULL) == LIME_OK);
    CHECK(lime_approval_request_set_dedup_key(request, dedup_key) == LIME_OK);
    return request;
}

/* Asks, and gives the approval's id. */
static const char *trigger(const char *action, char id[64]) {
    lime_approval_request *request = ask_for(action, NULL);
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    CHECK(lime_sesame_trigger(sesame, request, &approval, &error) == LIME_OK && !error);
    CHECK_TEXT(lime_approval_status_text(approval), "pending");
    snprintf(id, 64, "%s", lime_approval_approval_id(approval) ? lime_approval_approval_id(approval) : "");
    lime_error_free(error);
    lime_approval_free(approval);
    lime_approval_request_free(request);
    return id;
}

/* What a started call ended with. */
struct outcome {
    struct probe probe;
    char approval_id[64], status_text[16], code[32];
};

#define OUTCOME {.probe = PROBE}

static void keep(char *place, size_t size, const char *text) { snprintf(place, size, "%s", text ? text : ""); }

static void on_outcome(void *user_data, int32_t status, lime_approval *approval, lime_error *error) {
    struct outcome *outcome = user_data;
    CHECK((status == LIME_OK) == (approval != NULL) && (status == LIME_OK) == (error == NULL));
    keep(outcome->status_text, sizeof outcome->status_text, lime_approval_status_text(approval));
    keep(outcome->code, sizeof outcome->code, lime_error_code(error));
    keep(outcome->approval_id, sizeof outcome->approval_id,
         approval ? lime_approval_approval_id(approval) : lime_error_approval_id(error));
    lime_approval_free(approval);
    finish(&outcome->probe, status, error);
}

static void start_waiting(struct outcome *outcome, const char *id) {
    CHECK(lime_sesame_wait_start(sesame, id, LIME_WAIT_FOREVER, 1, on_outcome, outcome, drop, &outcome->probe.operation, NULL) ==
          LIME_OK);
}

/* Waits for the end, which comes once. */
static void ended(struct outcome *outcome, int32_t status, const char *id, const char *text) {
    await(&outcome->probe, &outcome->probe.drops, 1);
    CHECK(outcome->probe.calls == 1 && outcome->probe.drops == 1 && outcome->probe.calls_after_drop == 0);
    CHECK(outcome->probe.status == status && outcome->probe.status_of_error == status);
    CHECK(outcome->probe.operation == outcome->probe.operation_in_callback);
    CHECK(lime_operation_cancel(outcome->probe.operation) == 0);
    CHECK_TEXT(outcome->approval_id, id);
    CHECK_TEXT(status == LIME_OK ? outcome->status_text : outcome->code, text);
}

/* ---- */

static void everything_is_asked_for(void) {
    static const char context[] = "{\"amount\": 4200, \"exact\": 123456789012345678901234567890, \"who\": \"Zo\xc3\xab\"}";
    lime_approval_request *request = NULL;
    lime_approval *approval = NULL;
    CHECK(lime_approval_request_new("first.refund", "Refund \xe2\x82\xac" "42", &request, NULL) == LIME_OK);
    CHECK(lime_approval_request_set_reason(request, "charged twice") == LIME_OK);
    CHECK(lime_approval_request_set_severity(request, "high") == LIME_OK);
    CHECK(lime_approval_request_set_dedup_key(request, "refund-1") == LIME_OK);
    CHECK(lime_approval_request_set_context_json(request, "{\"another\": 1}", 14) == LIME_OK);
    CHECK(lime_approval_request_set_context_json(request, context, sizeof context - 1) == LIME_OK);
    CHECK(lime_approval_request_set_context_json(request, "[]", 2) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_sesame_trigger(sesame, request, &approval, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_status_text(approval), "pending");
    CHECK(!lime_approval_is_approved(approval) && !lime_approval_is_terminal(approval));
    CHECK(lime_approval_expires_at_unix_micros(approval) > INT64_C(1700000000000000));
    CHECK(lime_approval_expires_at_offset_seconds(approval) == 0);
    CHECK(lime_approval_decided_at_unix_micros(approval) == LIME_NO_TIME);
    CHECK(lime_approval_decided_at_offset_seconds(approval) == LIME_NO_OFFSET);
    CHECK(!lime_approval_note(approval));
    at("asked", lime_approval_approval_id(approval), NULL);
    lime_approval_free(approval);
    lime_approval_request_free(request);
}

static void a_decision_is_waited_for(void) {
    struct outcome outcome = OUTCOME;
    lime_approval *approval = NULL;
    char id[64];
    start_waiting(&outcome, trigger("a.b", id));
    at("polls", "1", NULL);
    CHECK(lime_sesame_get(sesame, id, 0, &approval, NULL) == LIME_OK);
    CHECK(!lime_approval_is_terminal(approval) && seen(&outcome.probe, &outcome.probe.calls) == 0);
    lime_approval_free(approval);
    at("decide", id, "approved");
    ended(&outcome, LIME_OK, id, "approved");
    /* It can be waited for again, by anybody, and by an id with white space around. */
    char padded[80];
    snprintf(padded, sizeof padded, " %s\n", id);
    CHECK(lime_sesame_wait(sesame, padded, LIME_WAIT_FOREVER, 2000, &approval, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_approval_id(approval), id);
    CHECK(lime_approval_is_approved(approval) && lime_approval_is_terminal(approval));
    CHECK(lime_approval_decided_at_unix_micros(approval) > INT64_C(1700000000000000));
    CHECK(lime_approval_decided_at_offset_seconds(approval) == 0);
    CHECK_TEXT(lime_approval_note(approval), "Decided by a test");
    lime_approval_free(approval);
}

static void the_same_key_is_the_same_approval(void) {
    lime_approval_request *request = ask_for("a.b", "once");
    lime_approval *approvals[3] = {NULL, NULL, NULL};
    for (int round = 0; round < 3; round++) {
        CHECK(lime_sesame_trigger(sesame, request, &approvals[round], NULL) == LIME_OK);
        CHECK_TEXT(lime_approval_approval_id(approvals[round]), lime_approval_approval_id(approvals[0]));
        CHECK_TEXT(lime_approval_status_text(approvals[round]), round < 2 ? "pending" : "denied");
        if (round == 1) at("decide", lime_approval_approval_id(approvals[0]), "denied");
    }
    for (int round = 0; round < 3; round++) lime_approval_free(approvals[round]);
    lime_approval_request_free(request);
}

static void a_gate_opens(void) {
    lime_approval_request *request = ask_for("payments.refund", NULL);
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    at("rule", "payments.*", "approved");
    CHECK(lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error) == LIME_OK && !error);
    CHECK(lime_approval_is_approved(approval));
    lime_approval_free(approval);
    lime_approval_request_free(request);
}

static void an_approval_lets_one_call_through(void) {
    lime_approval_request *request = ask_for("once.refund", "once-1"), *more = NULL;
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    at("decide-all", "once.*", "approved");
    CHECK(lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error) == LIME_OK);
    lime_approval_free(approval);
    approval = NOTHING;
    CHECK(lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error) == LIME_ERROR_APPROVAL_DENIED);
    CHECK_TEXT(lime_error_code(error), "already_used");
    lime_error_free(error);
    error = NULL;
    CHECK(lime_approval_request_new("once.refund", "Refund $1,000,000", &more, NULL) == LIME_OK);
    CHECK(lime_approval_request_set_dedup_key(more, "once-1") == LIME_OK);
    CHECK(lime_sesame_require_approval(sesame, more, 60000, 2000, &approval, &error) == LIME_ERROR_APPROVAL_DENIED);
    CHECK_TEXT(lime_error_code(error), "args_changed");
    CHECK(approval == NOTHING && lime_error_approval_id(error));
    lime_error_free(error);
    lime_approval_request_free(more);
    lime_approval_request_free(request);
}

static void a_gate_stays_shut(void) {
    lime_approval_request *request = ask_for("db.delete", NULL);
    lime_approval *approval = NOTHING;
    lime_error *error = NULL;
    at("rule", "db.*", "denied");
    CHECK(lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error) == LIME_ERROR_APPROVAL_DENIED);
    CHECK(approval == NOTHING && lime_error_status(error) == LIME_ERROR_APPROVAL_DENIED);
    CHECK_TEXT(lime_error_code(error), "denied");
    CHECK(strstr(lime_error_message(error), "db.delete") && strstr(lime_error_message(error), "Decided by a test"));
    CHECK(lime_error_approval_id(error) && !lime_error_request_id(error));
    lime_error_free(error);
    lime_approval_request_free(request);
}

static void an_approval_expires(void) {
    struct outcome outcome = OUTCOME;
    lime_approval_request *request = ask_for("slow.one", NULL);
    lime_approval *approval = NULL;
    char id[64];
    CHECK(lime_sesame_require_approval_start(sesame, request, LIME_WAIT_FOREVER, 2000, on_outcome, &outcome, drop,
                                             &outcome.probe.operation, NULL) == LIME_OK);
    lime_approval_request_free(request);
    keep(id, sizeof id, at("expire", "slow.one", NULL));
    ended(&outcome, LIME_ERROR_APPROVAL_DENIED, id, "expired");
    /* A wait that only waits tells how it ended. */
    CHECK(lime_sesame_wait(sesame, id, 60000, 2000, &approval, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_status_text(approval), "expired");
    CHECK(!lime_approval_is_approved(approval) && lime_approval_is_terminal(approval));
    lime_approval_free(approval);
}

static void nobody_decides_in_time(void) {
    struct outcome outcome = OUTCOME;
    lime_approval_request *request = ask_for("slow.two", NULL);
    lime_approval *approval = NOTHING;
    lime_error *error = NULL;
    char id[64];
    trigger("slow.one", id);
    for (uint64_t timeout = 0; timeout <= 20; timeout += 20) {
        CHECK(lime_sesame_wait(sesame, id, timeout, 2000, &approval, &error) == LIME_ERROR_TIMEOUT);
        CHECK_TEXT(lime_error_approval_id(error), id);
        CHECK(strstr(lime_error_message(error), "not decided within"));
        lime_error_free(error);
    }
    CHECK(lime_sesame_require_approval(sesame, request, 1500, 2000, &approval, &error) == LIME_ERROR_TIMEOUT);
    CHECK(lime_error_approval_id(error) && strcmp(lime_error_approval_id(error), id) && approval == NOTHING);
    /* It is still pending, and waiting can go on. */
    keep(id, sizeof id, lime_error_approval_id(error));
    start_waiting(&outcome, id);
    at("decide", id, "approved");
    ended(&outcome, LIME_OK, id, "approved");
    lime_error_free(error);
    lime_approval_request_free(request);
}

static void a_broker_that_holds_polls_for_a_moment_only(void) {
    struct outcome outcome = OUTCOME;
    lime_approval *approval = NULL;
    char id[64];
    at("hold", "0.02", NULL);
    trigger("a.b", id);
    CHECK(lime_sesame_get(sesame, id, 1, &approval, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_status_text(approval), "pending");
    lime_approval_free(approval);
    start_waiting(&outcome, id);
    at("reads", "5", NULL);
    at("decide", id, "denied");
    ended(&outcome, LIME_OK, id, "denied");
    at("hold", "25", NULL);
}

static void cancelling_a_wait_and_a_gate(void) {
    struct outcome outcomes[2] = {OUTCOME, OUTCOME};
    lime_approval_request *request = ask_for("a.gate", NULL);
    lime_approval *approval = NULL;
    char id[64];
    start_waiting(&outcomes[0], trigger("a.b", id));
    CHECK(lime_sesame_require_approval_start(sesame, request, LIME_WAIT_FOREVER, 2000, on_outcome, &outcomes[1], drop,
                                             &outcomes[1].probe.operation, NULL) == LIME_OK);
    lime_approval_request_free(request);
    at("polls", "2", NULL);
    for (int each = 0; each < 2; each++) CHECK(lime_operation_cancel(outcomes[each].probe.operation) == 1);
    for (int each = 0; each < 2; each++) ended(&outcomes[each], LIME_ERROR_CANCELLED, "", "");
    at("polls", "0", NULL); /* the broker was told, by the connections that ended */
    CHECK(lime_sesame_get(sesame, id, 0, &approval, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_status_text(approval), "pending");
    lime_approval_free(approval);
}

static void unknown_ids(void) {
    const char *ids[] = {"ap_nobody", "", "  ", ".", "..", "a/b", "../v1", "a?b", "a#b", "a%2Fb", "a\nb", "\xc3\xa9"};
    for (size_t each = 0; each < sizeof ids / sizeof *ids; each++) {
        struct outcome outcome = OUTCOME;
        lime_approval *approval = NOTHING;
        lime_error *error = NULL;
        CHECK(lime_sesame_get(sesame, ids[each], 0, &approval, &error) == LIME_ERROR_NOT_FOUND);
        /* The broker's word, or that no URL could ask for it. */
        if (lime_error_http_status(error) != 404) CHECK_TEXT(lime_error_code(error), "INVALID_APPROVAL_ID");
        if (each == 0) CHECK(lime_error_http_status(error) == 404);
        if (each == 0) CHECK_TEXT(lime_error_approval_id(error), ids[each]);
        lime_error_free(error);
        CHECK(lime_sesame_get(sesame, ids[each], 1, &approval, NULL) == LIME_ERROR_NOT_FOUND);
        CHECK(lime_sesame_wait(sesame, ids[each], LIME_WAIT_FOREVER, 2000, &approval, NULL) == LIME_ERROR_NOT_FOUND);
        int32_t status = lime_sesame_get_start(sesame, ids[each], 0, on_outcome, &outcome, drop, NULL, NULL);
        CHECK(status == LIME_OK || status == LIME_ERROR_NOT_FOUND);
        await(&outcome.probe, &outcome.probe.drops, 1);
        CHECK(outcome.probe.calls == (status == LIME_OK) && approval == NOTHING);
        if (status == LIME_OK) CHECK(outcome.probe.status == LIME_ERROR_NOT_FOUND);
    }
}

static void log_record(void *user_data, int32_t level, const char *message) {
    CHECK(level >= LIME_LOG_DEBUG && !strstr(message, "sk_nobody") && !strstr(message, getenv("SESAME_API_KEY")));
    add(user_data, &((struct probe *)user_data)->calls);
}

static void a_refused_key(void) {
    struct probe log = PROBE;
    lime_sesame_options *options = lime_sesame_options_new();
    lime_sesame *refused = NULL;
    lime_approval_request *request = ask_for("a.b", NULL);
    lime_approval *approval = NOTHING;
    lime_error *error = NULL;
    CHECK(lime_sesame_options_set_log_callback(options, LIME_LOG_DEBUG, log_record, &log, drop) == LIME_OK);
    CHECK(lime_sesame_options_set_api_key(options, "  ") == LIME_OK);
    CHECK(lime_sesame_new(options, &refused, &error) == LIME_ERROR_AUTHENTICATION && !refused);
    lime_error_free(error);
    CHECK(lime_sesame_options_set_api_key(options, "sk_nobody") == LIME_OK);
    CHECK(lime_sesame_new(options, &refused, NULL) == LIME_OK);
    lime_sesame_options_free(options);
    CHECK(lime_sesame_trigger(refused, request, &approval, &error) == LIME_ERROR_AUTHENTICATION);
    CHECK(lime_error_http_status(error) == 401 && !strstr(lime_error_message(error), "sk_nobody"));
    lime_error_free(error);
    CHECK(lime_sesame_get(refused, "ap_1", 0, &approval, NULL) == LIME_ERROR_AUTHENTICATION);
    CHECK(lime_sesame_wait(refused, "ap_1", LIME_WAIT_FOREVER, 2000, &approval, NULL) == LIME_ERROR_AUTHENTICATION);
    CHECK(lime_sesame_require_approval(refused, request, LIME_WAIT_FOREVER, 2000, &approval, NULL) ==
          LIME_ERROR_AUTHENTICATION);
    CHECK(approval == NOTHING && seen(&log, &log.calls) > 0 && seen(&log, &log.drops) == 0);
    lime_sesame_free(refused);
    await(&log, &log.drops, 1);
    CHECK(log.drops == 1 && log.calls_after_drop == 0);
    lime_approval_request_free(request);
}

static void a_request_that_the_broker_does_not_take(void) {
    lime_approval_request *request = ask_for("", NULL);
    lime_approval *approval = NOTHING;
    lime_error *error = NULL;
    CHECK(lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error) == LIME_ERROR_API);
    CHECK(lime_error_http_status(error) == 422 && !lime_error_approval_id(error) && approval == NOTHING);
    lime_error_free(error);
    lime_approval_request_free(request);
}

static void a_wait_rides_out_faults(void) {
    struct outcome outcome = OUTCOME;
    char id[64];
    trigger("a.b", id);
    at("faults", NULL, NULL);
    start_waiting(&outcome, id);
    at("polls", "1", NULL); /* behind all of them */
    at("decide", id, "approved");
    ended(&outcome, LIME_OK, id, "approved");
}

static void a_question_whose_answer_is_lost(void) {
    lime_approval_request *once = ask_for("lost.one", NULL), *keyed = ask_for("lost.two", "lost");
    lime_approval *approval = NOTHING;
    lime_error *error = NULL;
    at("lose", NULL, NULL);
    CHECK(lime_sesame_trigger(sesame, once, &approval, &error) == LIME_ERROR_OUTCOME_UNKNOWN && approval == NOTHING);
    lime_error_free(error);
    at("count", "lost.one", "1");
    at("lose", NULL, NULL);
    CHECK(lime_sesame_trigger(sesame, keyed, &approval, NULL) == LIME_OK);
    at("count", "lost.two", "1");
    lime_approval_free(approval);
    lime_approval_request_free(once);
    lime_approval_request_free(keyed);
}

static void a_closed_client_refuses(void) {
    lime_sesame *closed = NULL;
    lime_approval_request *request = ask_for("a.b", NULL);
    lime_approval *approval = NOTHING;
    struct probe probe = PROBE;
    CHECK(lime_sesame_new(NULL, &closed, NULL) == LIME_OK);
    lime_sesame_close(closed);
    lime_sesame_close(closed);
    CHECK(lime_sesame_trigger(closed, request, &approval, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_get(closed, "x", 0, &approval, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_wait(closed, "x", 1, 1, &approval, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_require_approval(closed, request, 1, 1, &approval, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_trigger_start(closed, request, on_outcome, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_get_start(closed, "x", 0, on_outcome, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_wait_start(closed, "x", 1, 1, on_outcome, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_sesame_require_approval_start(closed, request, 1, 1, on_outcome, &probe, drop, NULL, NULL) ==
          LIME_ERROR_CLOSED);
    CHECK(probe.calls == 0 && probe.drops == 4 && approval == NOTHING);
    lime_sesame_free(closed);
    lime_approval_request_free(request);
}

static void freeing_the_client_leaves_waits(void) {
    struct outcome outcome = OUTCOME;
    lime_sesame *other = NULL;
    char id[64];
    trigger("a.b", id);
    CHECK(lime_sesame_new(NULL, &other, NULL) == LIME_OK);
    CHECK(lime_sesame_wait_start(other, id, LIME_WAIT_FOREVER, 2000, on_outcome, &outcome, drop, &outcome.probe.operation,
                                 NULL) == LIME_OK);
    at("polls", "1", NULL);
    lime_sesame_free(other);
    CHECK(seen(&outcome.probe, &outcome.probe.calls) == 0);
    at("decide", id, "approved");
    ended(&outcome, LIME_OK, id, "approved");
}

static void in_callback(void *user_data, int32_t status, lime_approval *approval, lime_error *error) {
    struct probe *probe = user_data;
    lime_approval_request *request = ask_for("a.b", "in a callback");
    lime_approval *other = NOTHING;
    const char *id = lime_approval_approval_id(approval);
    probe->blocking[0] = lime_sesame_trigger(probe->sesame, request, &other, NULL);
    probe->blocking[1] = lime_sesame_get(probe->sesame, id, 0, &other, NULL);
    probe->blocking[2] = lime_sesame_wait(probe->sesame, id, 1, 1, &other, NULL);
    probe->blocking[3] = lime_sesame_require_approval(probe->sesame, request, 1, 1, &other, NULL);
    CHECK(other == NOTHING && status == LIME_OK);
    if (probe->entered++ < 3)
        CHECK(lime_sesame_trigger_start(probe->sesame, request, in_callback, probe, drop, NULL, NULL) == LIME_OK);
    else lime_sesame_free(probe->sesame);
    lime_approval_request_free(request);
    lime_approval_free(approval);
    finish(probe, status, error);
}

static void inside_a_callback(void) {
    struct probe probe = PROBE;
    lime_approval_request *request = ask_for("a.b", "in a callback");
    CHECK(lime_sesame_new(NULL, &probe.sesame, NULL) == LIME_OK);
    CHECK(lime_sesame_trigger_start(probe.sesame, request, in_callback, &probe, drop, NULL, NULL) == LIME_OK);
    await(&probe, &probe.drops, 4);
    CHECK(probe.calls == 4 && probe.drops == 4);
    for (int each = 0; each < 4; each++) CHECK(probe.blocking[each] == LIME_ERROR_WOULD_DEADLOCK);
    lime_approval_request_free(request);
}

enum { MANY = 1000 };

static void a_thousand_waits(void) {
    static struct outcome asked[MANY], waited[MANY];
    struct rlimit files;
    lime_approval_request *request = ask_for("many.waits", NULL);
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK(files.rlim_max > MANY + 100); /* a wait has a connection */
    for (int each = 0; each < MANY; each++) {
        asked[each] = waited[each] = (struct outcome)OUTCOME;
        CHECK(lime_sesame_trigger_start(sesame, request, on_outcome, &asked[each], drop, NULL, NULL) == LIME_OK);
    }
    lime_approval_request_free(request);
    for (int each = 0; each < MANY; each++) {
        await(&asked[each].probe, &asked[each].probe.drops, 1);
        CHECK(asked[each].probe.status == LIME_OK);
        start_waiting(&waited[each], asked[each].approval_id);
    }
    at("polls", "1000", NULL);
    CHECK(threads() == 3); /* this one and the library's two */
    at("decide-all", "many.waits", "approved");
    for (int each = 0; each < MANY; each++) ended(&waited[each], LIME_OK, asked[each].approval_id, "approved");
    CHECK(threads() <= 3);
}

static void a_child_goes_on(void) {
    struct outcome outcome = OUTCOME;
    char id[64];
    start_waiting(&outcome, trigger("a.b", id));
    at("polls", "1", NULL);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        lime_approval *approval = NULL;
        alarm(60);
        CHECK(lime_sesame_get(sesame, id, 0, &approval, NULL) == LIME_OK);
        CHECK(lime_sesame_wait(sesame, id, 1, 1, &approval, NULL) == LIME_ERROR_TIMEOUT);
        CHECK(outcome.probe.calls == 0 && outcome.probe.drops == 0);
        lime_approval_free(approval);
        lime_sesame_free(sesame);
        _exit(check_failures ? 1 : 0);
    }
    CHECK(ended_well(child));
    at("decide", id, "approved");
    ended(&outcome, LIME_OK, id, "approved");
}

static void exit_with_waits_pending(void) {
    char id[64];
    trigger("a.b", id);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct outcome outcome = OUTCOME;
        alarm(60);
        leaks_are_meant = 1;
        start_waiting(&outcome, id);
        exit(check_failures ? 1 : 0); /* nothing freed, nothing awaited */
    }
    CHECK(ended_well(child));
}

/* What run.py's receiver got: a number of headers, then their names and values, then the body. */
static int32_t verify_delivery(const lime_webhook_verifier *verifier, lime_webhook **webhook, char *body, lime_error **error) {
    enum { MOST = 32 };
    static char texts[2 * MOST][256];
    const char *names[MOST], *values[MOST];
    size_t count = (size_t)atoi(answer);
    CHECK(count >= 2 && count <= MOST);
    for (size_t each = 0; each < 2 * count && each < 2 * MOST; each++) {
        if (!fgets(texts[each], sizeof texts[each], stdin)) exit(2);
        texts[each][strcspn(texts[each], "\n")] = 0;
        (each % 2 ? values : names)[each / 2] = texts[each];
    }
    if (!fgets(body, 4096, stdin)) exit(2);
    body[strcspn(body, "\n")] = 0;
    return lime_webhook_verify(verifier, names, values, count, body, strlen(body), webhook, error);
}

static void a_webhook_arrives(void) {
    static char body[4096];
    lime_webhook_verifier *verifier = lime_webhook_verifier_new(), *other = lime_webhook_verifier_new();
    lime_webhook *webhook = NULL, *none = NULL;
    lime_approval_request *request = ask_for("web.hook", "hooked");
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    const char *secret = getenv("SESAME_WEBHOOK_SECRET");
    CHECK(lime_webhook_verifier_add_secret(verifier, "whsec_old", 9) == LIME_OK);
    CHECK(lime_webhook_verifier_add_secret(verifier, secret, strlen(secret)) == LIME_OK);
    CHECK(lime_webhook_verifier_set_replay_guard(verifier, 86400000, 1000) == LIME_OK);
    CHECK(lime_webhook_verifier_add_secret(other, "whsec_old", 9) == LIME_OK);
    CHECK(lime_approval_request_set_callback_url(request, getenv("CALLBACK_URL")) == LIME_OK);
    CHECK(lime_sesame_trigger(sesame, request, &approval, NULL) == LIME_OK);
    const char *id = lime_approval_approval_id(approval);
    at("decide", id, "denied");

    at("webhook", NULL, NULL);
    CHECK(verify_delivery(verifier, &webhook, body, NULL) == LIME_OK);
    CHECK_TEXT(lime_webhook_approval_id(webhook), id);
    CHECK_TEXT(lime_webhook_action(webhook), "web.hook");
    CHECK_TEXT(lime_webhook_status_text(webhook), "denied");
    CHECK_TEXT(lime_webhook_text(webhook, "dedup_key"), "hooked");
    CHECK(lime_webhook_text(webhook, "decided_at") && lime_webhook_timestamp(webhook) > 1700000000);
    CHECK_TEXT(lime_webhook_payload_json(webhook), body);
    lime_webhook_free(webhook);

    at("resend", id, NULL);
    at("webhook", NULL, NULL);
    CHECK(verify_delivery(verifier, &none, body, &error) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(lime_error_code(error), LIME_REFUSAL_REPLAYED);
    lime_error_free(error);
    CHECK(lime_webhook_verifier_forget(verifier, body, strlen(body)) == 1);
    at("resend", id, NULL);
    at("webhook", NULL, NULL);
    CHECK(verify_delivery(verifier, &webhook, body, NULL) == LIME_OK);
    lime_webhook_free(webhook);
    at("resend", id, NULL);
    at("webhook", NULL, NULL);
    CHECK(verify_delivery(other, &none, body, &error) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(lime_error_code(error), LIME_REFUSAL_MISMATCH);
    CHECK(!none);

    lime_error_free(error);
    lime_approval_free(approval);
    lime_approval_request_free(request);
    lime_webhook_verifier_free(verifier);
    lime_webhook_verifier_free(other);
}

static void nothing_is_left_behind(void) {
    lime_sesame_free(sesame);
    at("polls", "0", NULL);
    CHECK(threads() <= 3);
}

#define STORY(test) (check_begin("sesame:" #test), test(), check_end())

int main(void) {
    alarm(240);
    if (lime_sesame_new(NULL, &sesame, NULL) != LIME_OK) return 2;
    STORY(everything_is_asked_for);
    STORY(a_decision_is_waited_for);
    STORY(the_same_key_is_the_same_approval);
    STORY(a_gate_opens);
    STORY(an_approval_lets_one_call_through);
    STORY(a_gate_stays_shut);
    STORY(an_approval_expires);
    STORY(nobody_decides_in_time);
    STORY(a_broker_that_holds_polls_for_a_moment_only);
    STORY(cancelling_a_wait_and_a_gate);
    STORY(unknown_ids);
    STORY(a_refused_key);
    STORY(a_request_that_the_broker_does_not_take);
    STORY(a_wait_rides_out_faults);
    STORY(a_question_whose_answer_is_lost);
    STORY(a_closed_client_refuses);
    STORY(freeing_the_client_leaves_waits);
    STORY(inside_a_callback);
    STORY(a_thousand_waits);
    STORY(a_child_goes_on);
    STORY(exit_with_waits_pending);
    STORY(a_webhook_arrives);
    STORY(nothing_is_left_behind);
    return check_failed ? 1 : 0;
}
