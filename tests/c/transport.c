/* The host's own HTTP client, its clock, and what a login and a search show while they run.

   One host answers from memory, on the library's own thread, later, or never; another one carries everything to
   the platform that the environment names, each request on a thread of its own. Nothing sleeps. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define INVALID LIME_ERROR_INVALID_ARGUMENT

#define CREATED                                                                                                  \
    "{\"ok\":true,\"data\":{\"login_request_id\":\"lr_1\",\"status\":\"PENDING\","                                \
    "\"expires_at\":\"2030-01-01T00:00:00Z\"}}"

/* A host that keeps what it is asked. */
struct host {
    struct probe probe; /* calls: requests that came; entered: aborts; left: resumes; drops */
    lime_http_request *requests[64];
    uint64_t aborted[64];
    int answers;       /* answer at once, with this HTTP status */
    int32_t fails;     /* or fail at once, with this reach */
    atomic_int refuse; /* free at once, unanswered */
};

#define HOST {.probe = PROBE, .answers = 0, .fails = -1}

static void answer(lime_http_request *request, int32_t http_status, const char *body) {
    const char *names[] = {"content-type"}, *values[] = {"application/json"};
    CHECK(lime_http_request_respond(request, http_status, names, values, 1) == LIME_OK);
    CHECK(lime_http_request_write(request, body, strlen(body)) == LIME_OK);
    CHECK(lime_http_request_end(request) == LIME_OK);
    CHECK(lime_http_request_is_wanted(request) == 0);
}

static void on_send(void *user_data, lime_http_request *request) {
    struct host *host = user_data;
    if (host->answers) answer(request, host->answers, CREATED);
    if (host->fails >= 0) CHECK(lime_http_request_fail(request, host->fails, "on purpose") == LIME_OK);
    if (host->answers || host->fails >= 0 || atomic_load(&host->refuse)) {
        lime_http_request_free(request);
    } else {
        pthread_mutex_lock(&host->probe.lock);
        host->requests[host->probe.calls % 64] = request;
        pthread_mutex_unlock(&host->probe.lock);
    }
    add(&host->probe, &host->probe.calls);
}

static void on_abort(void *user_data, uint64_t request_id) {
    struct host *host = user_data;
    pthread_mutex_lock(&host->probe.lock);
    host->aborted[host->probe.entered % 64] = request_id;
    pthread_mutex_unlock(&host->probe.lock);
    add(&host->probe, &host->probe.entered);
}

static void on_resume(void *user_data, uint64_t request_id) {
    struct host *host = user_data;
    (void)request_id;
    add(&host->probe, &host->probe.left);
}

static lime_transport *transport_of(struct host *host) {
    lime_transport *transport = NULL;
    CHECK(lime_transport_new(on_send, on_abort, on_resume, host, drop, &transport, NULL) == LIME_OK && transport);
    return transport;
}

/* A site whose requests the host carries out. The transport is the site's alone then. */
static lime_site *site_with(lime_transport *transport, lime_clock *clock, uint32_t max_retries, uint64_t timeout_ms) {
    lime_site *site = NULL;
    lime_site_options *options = lime_site_options_new();
    CHECK(lime_site_options_set_site_token(options, "st_of_the_host") == LIME_OK);
    CHECK(lime_site_options_set_base_url(options, "http://platform.test/api/v1") == LIME_OK);
    CHECK(lime_site_options_set_max_retries(options, max_retries) == LIME_OK);
    CHECK(lime_site_options_set_timeout_ms(options, timeout_ms) == LIME_OK);
    CHECK(lime_site_options_set_event_queue_limit(options, 1) == LIME_OK);
    CHECK(lime_site_options_set_transport(options, transport) == LIME_OK);
    CHECK(lime_site_options_set_clock(options, clock) == LIME_OK);
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK && site);
    lime_site_options_free(options);
    lime_transport_free(transport);
    lime_clock_free(clock);
    return site;
}

#define LONG_MS 60000

static void on_request(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    CHECK((status == LIME_OK) == (request != NULL) && (status == LIME_OK) == (error == NULL));
    if (request) CHECK_TEXT(lime_login_request_request_id(request), "lr_1");
    lime_login_request_free(request);
    finish(user_data, status, error);
}

static void a_host_answers_at_once(void) {
    struct host host = HOST;
    host.answers = 201;
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS);
    lime_login_request *request = NULL;
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
    CHECK_TEXT(lime_login_request_request_id(request), "lr_1");
    lime_login_request_free(request);
    CHECK(host.probe.calls == 1 && host.probe.drops == 0);
    lime_site_free(site);
    await(&host.probe, &host.probe.drops, 1);
    CHECK(host.probe.drops == 1 && host.probe.entered == 0);
}

static const char *header(const lime_http_request *request, const char *name) {
    for (size_t i = 0; i < lime_http_request_header_count(request); i++) {
        if (strcmp(lime_http_request_header_name(request, i), name) == 0) {
            return lime_http_request_header_value(request, i);
        }
    }
    return NULL;
}

static void a_request_says_what_is_to_be_sent(void) {
    struct host host = HOST;
    struct probe probe = PROBE;
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS);
    CHECK(lime_site_create_login_request_start(site, on_request, &probe, drop, &probe.operation, NULL) == LIME_OK);
    await(&host.probe, &host.probe.calls, 1);
    lime_http_request *request = host.requests[0];
    CHECK_TEXT(lime_http_request_method(request), "POST");
    CHECK_TEXT(lime_http_request_url(request), "http://platform.test/api/v1/modules/agent-login/requests");
    CHECK_TEXT(header(request, "x-site-token"), "st_of_the_host");
    CHECK_TEXT(header(request, "content-type"), "application/json");
    size_t length = 99, count = lime_http_request_header_count(request);
    const void *body = lime_http_request_body(request, &length);
    CHECK(length == 2 && body && memcmp(body, "{}", 2) == 0);
    CHECK(lime_http_request_header_name(request, count) == NULL);
    CHECK(lime_http_request_header_value(request, (size_t)-1) == NULL);
    CHECK(lime_http_request_id(request) != 0 && lime_http_request_is_stream(request) == 0);
    CHECK(lime_http_request_operation(request) == probe.operation);
    CHECK(lime_http_request_time_limit_ms(request) == -1);
    CHECK(lime_http_request_is_wanted(request) == 1 && lime_http_request_wants_more(request) == 1);
    CHECK(lime_http_request_wait(request) == 1);
    answer(request, 200, CREATED);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_OK && probe.calls == 1);
    lime_site_free(site);
    CHECK(host.probe.drops == 0); /* the request is not freed yet, and its texts are there */
    CHECK_TEXT(lime_http_request_method(request), "POST");
    lime_http_request_free(request);
    await(&host.probe, &host.probe.drops, 1);
}

static void a_request_is_answered_in_order(void) {
    struct host host = HOST;
    struct probe probe = PROBE;
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS);
    CHECK(lime_site_create_login_request_start(site, on_request, &probe, drop, NULL, NULL) == LIME_OK);
    await(&host.probe, &host.probe.calls, 1);
    lime_http_request *request = host.requests[0];
    const char *names[] = {"a", NULL}, *values[] = {"b", "c"};
    CHECK(lime_http_request_write(request, "{", 1) == INVALID);
    CHECK(lime_http_request_end(request) == INVALID);
    CHECK(lime_http_request_respond(request, 99, NULL, NULL, 0) == INVALID);
    CHECK(lime_http_request_respond(request, 1000, NULL, NULL, 0) == INVALID);
    CHECK(lime_http_request_respond(request, -1, NULL, NULL, 0) == INVALID);
    CHECK(lime_http_request_respond(request, 200, names, values, 2) == INVALID);
    CHECK(lime_http_request_respond(request, 200, NULL, values, 1) == INVALID);
    CHECK(lime_http_request_respond(request, 200, names, values, (size_t)-1) == INVALID);
    CHECK(lime_http_request_fail(request, 4, "x") == INVALID);
    CHECK(lime_http_request_fail(request, LIME_REACH_NOT_SENT, "\xc3\x28") == INVALID);
    CHECK(lime_http_request_fail(request, LIME_REACH_NOT_SENT, NULL) == INVALID);
    CHECK(lime_http_request_respond(request, 200, names, values, 1) == LIME_OK);
    CHECK(lime_http_request_respond(request, 200, names, values, 1) == INVALID);
    CHECK(lime_http_request_write(request, NULL, 1) == INVALID);
    CHECK(lime_http_request_write(request, "{", (size_t)-1) == INVALID);
    CHECK(lime_http_request_write(request, NULL, 0) == LIME_OK);
    CHECK(lime_http_request_write(request, CREATED, strlen(CREATED)) == LIME_OK);
    CHECK(lime_http_request_end(request) == LIME_OK);
    CHECK(lime_http_request_end(request) == INVALID);
    CHECK(lime_http_request_write(request, "{", 1) == INVALID);
    CHECK(lime_http_request_fail(request, LIME_REACH_NOT_SENT, "x") == INVALID);
    lime_http_request_free(request);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_OK);
    lime_site_free(site);
    await(&host.probe, &host.probe.drops, 1);
}

static void a_cancelled_call_aborts_its_request(void) {
    struct host host = HOST;
    struct probe probe = PROBE;
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS);
    CHECK(lime_site_create_login_request_start(site, on_request, &probe, drop, &probe.operation, NULL) == LIME_OK);
    await(&host.probe, &host.probe.calls, 1);
    lime_http_request *request = host.requests[0];
    CHECK(lime_http_request_respond(request, 200, NULL, NULL, 0) == LIME_OK);
    CHECK(lime_operation_cancel(probe.operation) == 1);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_ERROR_CANCELLED);
    await(&host.probe, &host.probe.entered, 1);
    CHECK(host.aborted[0] == lime_http_request_id(request));
    CHECK(lime_http_request_is_wanted(request) == 0 && lime_http_request_wait(request) == 0);
    CHECK(lime_http_request_write(request, "{", 1) == LIME_ERROR_CANCELLED);
    CHECK(lime_http_request_end(request) == LIME_OK);
    lime_http_request_free(request);
    lime_site_free(site);
    await(&host.probe, &host.probe.drops, 1);
    CHECK(host.probe.entered == 1);
}

static void an_unanswered_request_fails(void) {
    struct host host = HOST;
    atomic_store(&host.refuse, 1);
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS);
    lime_login_request *request = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_create_login_request(site, &request, &error) == LIME_ERROR_TRANSPORT);
    CHECK(request == NULL && strstr(lime_error_message(error), "gave no whole answer"));
    lime_error_free(error);
    lime_site_free(site);
    await(&host.probe, &host.probe.drops, 1);
}

static void the_reach_decides_about_another_try(void) {
    static const struct {
        int32_t reach, status;
        int tries;
    } cases[] = {
        {LIME_REACH_NOT_SENT, LIME_ERROR_TRANSPORT, 4},
        {LIME_REACH_MAYBE_SENT, LIME_ERROR_TRANSPORT, 4},
        {LIME_REACH_TIMED_OUT, LIME_ERROR_TRANSPORT_TIMEOUT, 4},
        {LIME_REACH_HOST_FAULT, LIME_ERROR_TRANSPORT, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct host host = HOST;
        host.fails = cases[i].reach;
        lime_site *site = site_with(transport_of(&host), lime_clock_new(0, 1), 3, LONG_MS);
        lime_login_request *request = NULL;
        lime_error *error = NULL;
        int32_t status = lime_site_create_login_request(site, &request, &error);
        CHECK(status == cases[i].status && host.probe.calls == cases[i].tries);
        CHECK(strstr(lime_error_message(error), "on purpose"));
        lime_error_free(error);
        lime_site_free(site);
        await(&host.probe, &host.probe.drops, 1);
    }
}

static void time_is_kept_by_the_library_or_by_the_host(void) {
    struct host ours = HOST, theirs = HOST;
    struct probe probe = PROBE;
    lime_transport *transport = transport_of(&theirs);
    CHECK(lime_transport_set_keeps_time(transport, 2) == INVALID);
    CHECK(lime_transport_set_keeps_time(transport, 1) == LIME_OK);
    lime_site *patient = site_with(transport, NULL, 0, 1);
    CHECK(lime_site_create_login_request_start(patient, on_request, &probe, drop, NULL, NULL) == LIME_OK);
    await(&theirs.probe, &theirs.probe.calls, 1);
    /* By now the other's time would be over, too. */
    lime_site *site = site_with(transport_of(&ours), NULL, 0, 20);
    lime_login_request *request = NULL;
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_ERROR_TRANSPORT_TIMEOUT);
    await(&ours.probe, &ours.probe.entered, 1);
    lime_http_request_free(ours.requests[0]);
    lime_site_free(site);
    answer(theirs.requests[0], 200, CREATED);
    lime_http_request_free(theirs.requests[0]);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_OK && theirs.probe.entered == 0);
    lime_site_free(patient);
    await(&ours.probe, &ours.probe.drops, 1);
    await(&theirs.probe, &theirs.probe.drops, 1);
}

static void the_clock_is_the_hosts(void) {
    struct host host = HOST;
    struct probe probe = PROBE;
    host.fails = LIME_REACH_NOT_SENT;
    lime_clock *clock = lime_clock_new(1700000000000, 0), *hold = clock;
    CHECK(lime_clock_new(-1, 0) == NULL && lime_clock_new(0, 2) == NULL);
    CHECK(lime_clock_set_jitter(clock, 1.0) == INVALID && lime_clock_set_jitter(clock, -0.1) == INVALID);
    CHECK(lime_clock_set_jitter(clock, 0.5) == LIME_OK);
    CHECK(lime_clock_sleeps(clock) == 0 && lime_clock_slept_ms(clock, 0) == -1);
    CHECK(lime_clock_wait_for_sleeps(clock, 0, 0) == LIME_OK);
    CHECK(lime_clock_wait_for_sleeps(clock, 1, 1) == LIME_ERROR_TIMEOUT);
    lime_site *site = NULL;
    lime_transport *transport = transport_of(&host);
    lime_site_options *options = lime_site_options_new();
    CHECK(lime_site_options_set_site_token(options, "st_x") == LIME_OK);
    CHECK(lime_site_options_set_max_retries(options, 2) == LIME_OK);
    CHECK(lime_site_options_set_transport(options, transport) == LIME_OK);
    CHECK(lime_site_options_set_clock(options, clock) == LIME_OK);
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK);
    lime_site_options_free(options);
    lime_transport_free(transport);
    CHECK(lime_site_create_login_request_start(site, on_request, &probe, drop, NULL, NULL) == LIME_OK);
    for (size_t wait = 0; wait < 2; wait++) {
        CHECK(lime_clock_wait_for_sleeps(clock, wait + 1, LONG_MS) == LIME_OK);
        int64_t slept = lime_clock_slept_ms(clock, wait);
        CHECK(slept > 0 && host.probe.calls == (int)wait + 1 && probe.calls == 0);
        if (wait == 1) CHECK(slept > lime_clock_slept_ms(clock, 0)); /* it backs off */
        CHECK(lime_clock_advance_ms(clock, (uint64_t)slept) == LIME_OK);
    }
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_ERROR_TRANSPORT && host.probe.calls == 3 && lime_clock_sleeps(clock) == 2);
    CHECK(lime_clock_advance_ms(clock, UINT64_MAX) == LIME_OK && lime_clock_advance_ms(clock, UINT64_MAX) == LIME_OK);
    lime_clock_free(hold);
    lime_site_free(site);
    await(&host.probe, &host.probe.drops, 1);
}

/* Events that the handler keeps. */
struct events {
    struct probe probe;
    lime_login_event *kept[8];
};

static void keep(void *user_data, lime_login_event *event) {
    struct events *events = user_data;
    pthread_mutex_lock(&events->probe.lock);
    events->kept[events->probe.calls % 8] = event;
    pthread_mutex_unlock(&events->probe.lock);
    add(&events->probe, &events->probe.calls);
}

static void approved(char *frame, size_t size, int number) {
    snprintf(frame, size, "data: {\"type\":\"approved\",\"login_request_id\":\"lr_%d\",\"agent_passport_jwt\":\"jwt_%d\"}\n\n",
             number, number);
}

static void an_event_that_is_kept_holds_the_stream_back(void) {
    struct host host = HOST;
    struct events events = {.probe = PROBE};
    lime_site *site = site_with(transport_of(&host), NULL, 0, LONG_MS); /* a queue of one */
    CHECK(lime_site_on_login_event(site, NULL, &events, drop, NULL) == INVALID && events.probe.drops == 1);
    CHECK(lime_site_on_login_event(site, keep, &events, drop, NULL) == LIME_OK);
    await(&host.probe, &host.probe.calls, 1);
    lime_http_request *stream = host.requests[0];
    CHECK(lime_http_request_is_stream(stream) == 1 && lime_http_request_operation(stream) == 0);
    CHECK_TEXT(header(stream, "accept"), "text/event-stream");
    const char *names[] = {"content-type"}, *values[] = {"text/event-stream"};
    CHECK(lime_http_request_respond(stream, 200, names, values, 1) == LIME_OK);
    char frame[128];
    for (int number = 0; number < 3; number++) {
        approved(frame, sizeof frame, number);
        for (const char *byte = frame; *byte; byte++) CHECK(lime_http_request_write(stream, byte, 1) == LIME_OK);
    }
    await(&events.probe, &events.probe.calls, 1);
    /* The place is taken: nothing is read on. What is written now waits, until the host is asked to pause. */
    char comment[4096];
    memset(comment, ':', sizeof comment);
    comment[sizeof comment - 1] = '\n';
    int written = 0;
    while (lime_http_request_wants_more(stream)) {
        CHECK(lime_http_request_write(stream, comment, sizeof comment) == LIME_OK);
        if (++written > 1000) break;
    }
    CHECK(written > 1 && written < 200 && lime_http_request_is_wanted(stream) == 1);
    CHECK(events.probe.calls == 1 && host.probe.left == 0);
    CHECK_TEXT(lime_login_event_request_id(events.kept[0]), "lr_0");
    CHECK_TEXT(lime_login_event_passport(events.kept[0]), "jwt_0");
    lime_login_event_free(events.kept[0]);
    await(&events.probe, &events.probe.calls, 2);
    CHECK_TEXT(lime_login_event_request_id(events.kept[1]), "lr_1");
    lime_login_event_free(events.kept[1]);
    await(&events.probe, &events.probe.calls, 3);
    CHECK(lime_http_request_wait(stream) == 1); /* it is read on */
    await(&host.probe, &host.probe.left, 1);
    lime_site_free(site);
    await(&host.probe, &host.probe.entered, 1);
    CHECK(lime_http_request_write(stream, comment, 1) == LIME_ERROR_CANCELLED);
    CHECK_TEXT(lime_login_event_request_id(events.kept[2]), "lr_2"); /* it outlives the site */
    lime_login_event_free(events.kept[2]);
    lime_http_request_free(stream);
    await(&events.probe, &events.probe.drops, 2);
    await(&host.probe, &host.probe.drops, 1);
}

static void nothing_is_kept_of_a_transport_that_is_refused(void) {
    struct host host = HOST;
    lime_transport *transport = NULL;
    CHECK(lime_transport_new(NULL, on_abort, on_resume, &host, drop, &transport, NULL) == INVALID);
    CHECK(host.probe.drops == 1 && transport == NULL);
    CHECK(lime_transport_new(on_send, NULL, NULL, &host, drop, NULL, NULL) == INVALID && host.probe.drops == 2);
    CHECK(lime_transport_new(on_send, NULL, NULL, &host, drop, &transport, NULL) == LIME_OK);
    lime_transport_free(transport);
    CHECK(host.probe.drops == 3);
    CHECK(lime_site_options_set_transport(NULL, NULL) == INVALID && lime_site_options_set_clock(NULL, NULL) == INVALID);
    CHECK(lime_agent_options_set_transport(NULL, NULL) == INVALID && lime_agent_options_set_clock(NULL, NULL) == INVALID);
    CHECK(lime_sesame_options_set_transport(NULL, NULL) == INVALID);
    CHECK(lime_sesame_options_set_clock(NULL, NULL) == INVALID);
}

/* ---- A host that does the HTTP itself: each request on a thread of its own, one connection each. ---- */

static int connected(const char *authority) {
    char host[64], *port;
    snprintf(host, sizeof host, "%s", authority);
    port = strchr(host, ':');
    if (!port) return -1;
    *port++ = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found)) return -1;
    int connection = socket(found->ai_family, found->ai_socktype, 0);
    int refused = connect(connection, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (refused) close(connection);
    return refused ? -1 : connection;
}

static void carry_over(lime_http_request *request, int connection, const char *authority, const char *path) {
    size_t length = 0, count = lime_http_request_header_count(request);
    const void *body = lime_http_request_body(request, &length);
    FILE *out = fdopen(dup(connection), "w"), *in = fdopen(connection, "r");
    /* HTTP/1.0, so that the body ends with the connection. */
    fprintf(out, "%s %s HTTP/1.0\r\nhost: %s\r\n", lime_http_request_method(request), path, authority);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s: %s\r\n", lime_http_request_header_name(request, i), lime_http_request_header_value(request, i));
    }
    if (body) fprintf(out, "content-length: %zu\r\n", length);
    fprintf(out, "\r\n%.*s", (int)length, body ? (const char *)body : "");
    fclose(out);
    char line[4096];
    int http_status = 0;
    size_t headers = 0;
    char *names[32], *values[32];
    if (!fgets(line, sizeof line, in) || sscanf(line, "HTTP/%*s %d", &http_status) != 1) http_status = 0;
    while (http_status && fgets(line, sizeof line, in) && line[0] != '\r' && headers < 32) {
        char *value = strchr(line, ':');
        if (!value) continue;
        *value++ = 0;
        value[strcspn(value, "\r\n")] = 0;
        names[headers] = strdup(line);
        values[headers++] = strdup(value + strspn(value, " "));
    }
    if (http_status) {
        lime_http_request_respond(request, http_status, (const char *const *)names, (const char *const *)values, headers);
        for (int byte; lime_http_request_wait(request) && (byte = fgetc(in)) != EOF;) {
            char one = (char)byte;
            if (lime_http_request_write(request, &one, 1) != LIME_OK) break;
        }
        lime_http_request_end(request);
    } else {
        lime_http_request_fail(request, LIME_REACH_MAYBE_SENT, "The connection broke");
    }
    for (size_t i = 0; i < headers; i++) free(names[i]), free(values[i]);
    fclose(in);
}

/* The connections that a notice can close. */
struct carrier {
    struct probe probe;
    struct {
        uint64_t id;
        int connection;
    } open[16];
};

struct errand {
    struct carrier *carrier;
    lime_http_request *request;
};

static void *run_errand(void *argument) {
    struct errand errand = *(struct errand *)argument;
    free(argument);
    char authority[64] = "";
    const char *url = lime_http_request_url(errand.request) + strlen("http://");
    const char *path = strchr(url, '/');
    snprintf(authority, sizeof authority, "%.*s", (int)(path - url), url);
    int connection = connected(authority), slot = -1;
    if (connection < 0) lime_http_request_fail(errand.request, LIME_REACH_NOT_SENT, "No connection");
    pthread_mutex_lock(&errand.carrier->probe.lock);
    for (int i = 0; slot < 0 && connection >= 0 && i < 16; i++) {
        if (errand.carrier->open[i].id) continue;
        slot = i;
        errand.carrier->open[i].id = lime_http_request_id(errand.request);
        errand.carrier->open[i].connection = connection;
    }
    pthread_mutex_unlock(&errand.carrier->probe.lock);
    if (slot >= 0) {
        carry_over(errand.request, connection, authority, path);
        pthread_mutex_lock(&errand.carrier->probe.lock);
        errand.carrier->open[slot].id = 0;
        pthread_mutex_unlock(&errand.carrier->probe.lock);
    }
    lime_http_request_free(errand.request);
    add(&errand.carrier->probe, &errand.carrier->probe.left);
    return NULL;
}

static void on_carry(void *user_data, lime_http_request *request) {
    struct carrier *carrier = user_data;
    struct errand *errand = malloc(sizeof *errand);
    pthread_t thread;
    add(&carrier->probe, &carrier->probe.calls);
    *errand = (struct errand){carrier, request};
    if (pthread_create(&thread, NULL, run_errand, errand) == 0) pthread_detach(thread);
}

static void on_give_up(void *user_data, uint64_t request_id) {
    struct carrier *carrier = user_data;
    pthread_mutex_lock(&carrier->probe.lock);
    for (int i = 0; i < 16; i++) {
        if (carrier->open[i].id == request_id) shutdown(carrier->open[i].connection, SHUT_RDWR);
    }
    pthread_mutex_unlock(&carrier->probe.lock);
    add(&carrier->probe, &carrier->probe.entered);
}

static void on_approval(void *user_data, int32_t status, lime_approval_result *result, lime_error *error) {
    lime_approval_result_free(result);
    finish(user_data, status, error);
}

static void the_whole_story_goes_through_the_host(void) {
    struct carrier carrier = {.probe = PROBE};
    struct probe probe = PROBE;
    lime_transport *transport = NULL;
    CHECK(lime_transport_new(on_carry, on_give_up, NULL, &carrier, drop, &transport, NULL) == LIME_OK);
    lime_site_options *site_options = lime_site_options_new();
    lime_agent_options *agent_options = lime_agent_options_new();
    lime_sesame_options *sesame_options = lime_sesame_options_new();
    CHECK(lime_site_options_set_transport(site_options, transport) == LIME_OK);
    CHECK(lime_agent_options_set_transport(agent_options, transport) == LIME_OK);
    CHECK(lime_sesame_options_set_transport(sesame_options, transport) == LIME_OK);
    lime_transport_free(transport);
    lime_site *site = NULL;
    lime_agent *agent = NULL;
    lime_sesame *sesame = NULL;
    CHECK(lime_site_new(site_options, &site, NULL) == LIME_OK);
    CHECK(lime_agent_new(agent_options, &agent, NULL) == LIME_OK);
    CHECK(lime_sesame_new(sesame_options, &sesame, NULL) == LIME_OK);
    lime_site_options_free(site_options);
    lime_agent_options_free(agent_options);
    lime_sesame_options_free(sesame_options);

    lime_login_request *request = NULL;
    lime_login_event *event = NULL;
    lime_passport *passport = NULL;
    lime_login_progress *progress = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_create_login_request(site, &request, &error) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    CHECK(lime_agent_progress(agent, &progress, NULL) == LIME_OK);
    CHECK(lime_login_progress_stage(progress) == LIME_LOGIN_STAGE_CHALLENGE);
    CHECK(lime_login_progress_difficulty(progress) == -1 && lime_login_progress_hashes(progress) == 0);
    CHECK(lime_login_progress_left_ms(progress) == 10000);
    CHECK(lime_agent_login_with_progress_start(agent, id, NULL, on_approval, &probe, drop, NULL, NULL) == INVALID);
    CHECK(probe.drops == 1 && probe.calls == 0);
    CHECK(lime_agent_login_with_progress_start(agent, id, progress, on_approval, &probe, drop, NULL, NULL) == LIME_OK);
    CHECK(lime_site_wait_for_login(site, id, LONG_MS, &event, &error) == LIME_OK);
    await(&probe, &probe.drops, 2);
    CHECK(probe.status == LIME_OK);
    CHECK(lime_login_progress_stage(progress) == LIME_LOGIN_STAGE_APPROVE);
    CHECK(lime_login_progress_difficulty(progress) == 8 && lime_login_progress_hashes(progress) > 0);
    CHECK(lime_login_progress_left_ms(progress) <= 10000);
    lime_login_progress_free(progress);
    const char *jwt = lime_login_event_passport(event);
    passport = (lime_passport *)&probe; /* written over also where there is none */
    CHECK(lime_site_verify_passport_cached(site, jwt, id, 0, &passport, &error) == LIME_OK && passport == NULL);
    CHECK(lime_site_verify_passport_cached(site, "no passport", id, 0, &passport, NULL) == LIME_ERROR_INVALID_PASSPORT);
    CHECK(lime_site_verify_passport(site, jwt, id, 0, &passport, &error) == LIME_OK);
    lime_passport_free(passport);
    int sent = carrier.probe.calls;
    CHECK(lime_site_verify_passport_cached(site, jwt, id, 0, &passport, &error) == LIME_OK && passport);
    CHECK_TEXT(lime_passport_text_claim(passport, "request_id"), id);
    lime_passport_free(passport);
    CHECK(carrier.probe.calls == sent);
    lime_login_event_free(event);
    lime_login_request_free(request);

    /* A wait is a long poll: the host is told how long it may take. */
    lime_approval_request *asked = NULL;
    lime_approval *approval = NULL;
    CHECK(lime_approval_request_new("host.refund", "Refund", &asked, NULL) == LIME_OK);
    CHECK(lime_sesame_require_approval(sesame, asked, LONG_MS, 1, &approval, &error) == LIME_OK);
    if (error) printf("%s\n", lime_error_message(error));
    lime_error_free(error);
    lime_approval_free(approval);
    lime_approval_request_free(asked);

    lime_site_free(site); /* gives the stream up, by a notice */
    lime_agent_free(agent);
    lime_sesame_free(sesame);
    await(&carrier.probe, &carrier.probe.drops, 1);
    await(&carrier.probe, &carrier.probe.left, carrier.probe.calls);
    CHECK(carrier.probe.calls >= 7 && carrier.probe.entered >= 1);
}

/* ---- The proof of work, started. ---- */

static void on_nonce(void *user_data, int32_t status, lime_pow_nonce *nonce, lime_error *error) {
    struct probe *probe = user_data;
    CHECK(lime_is_library_thread() == 1);
    CHECK((status == LIME_OK) == (nonce != NULL) && (status == LIME_OK) == (error == NULL));
    if (nonce) snprintf(probe->request_id, sizeof probe->request_id, "%s", lime_pow_nonce_text(nonce));
    lime_pow_nonce_free(nonce);
    finish(probe, status, error);
}

static void a_search_is_started(void) {
    struct probe probe = PROBE;
    char nonce[LIME_POW_NONCE_SIZE] = "";
    CHECK(lime_is_library_thread() == 0);
    CHECK(lime_pow_solve("challenge", 9, 14, LIME_POW_DIGEST_TODAY, LONG_MS, 1, nonce, sizeof nonce, NULL) == LIME_OK);
    CHECK(lime_pow_solve_start("challenge", 9, 14, LIME_POW_DIGEST_TODAY, LONG_MS, 2, on_nonce, &probe, drop, NULL,
                               NULL) == LIME_OK);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_OK);
    CHECK_TEXT(probe.request_id, nonce);
}

static void a_search_is_cancelled(void) {
    struct probe probe = PROBE;
    CHECK(lime_pow_solve_start("challenge", 9, 250, LIME_POW_DIGEST_SEED, UINT64_MAX, 2, on_nonce, &probe, drop,
                               &probe.operation, NULL) == LIME_OK);
    CHECK(lime_operation_cancel(probe.operation) == 1);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_ERROR_CANCELLED && probe.calls == 1);
    CHECK(lime_operation_cancel(probe.operation) == 0);
}

static void a_search_is_refused(void) {
    struct probe probe = PROBE;
    CHECK(lime_pow_solve_start("c", 1, 1, LIME_POW_DIGEST_AUTO, 1, 1, on_nonce, &probe, drop, NULL, NULL) == INVALID);
    CHECK(lime_pow_solve_start("\xc3\x28", 2, 1, 1, 1, 1, on_nonce, &probe, drop, NULL, NULL) == INVALID);
    CHECK(lime_pow_solve_start(NULL, 2, 1, 1, 1, 1, on_nonce, &probe, drop, NULL, NULL) == INVALID);
    CHECK(lime_pow_solve_start("c", 1, 1, 1, 1, 1, NULL, &probe, drop, NULL, NULL) == INVALID);
    CHECK(probe.drops == 4 && probe.calls == 0);
}

#undef RUN
#define RUN(test) (check_begin("transport:" #test), test(), check_end())

int main(void) {
    alarm(120); /* a test that hangs ends here */
    RUN(a_host_answers_at_once);
    RUN(a_request_says_what_is_to_be_sent);
    RUN(a_request_is_answered_in_order);
    RUN(a_cancelled_call_aborts_its_request);
    RUN(an_unanswered_request_fails);
    RUN(the_reach_decides_about_another_try);
    RUN(time_is_kept_by_the_library_or_by_the_host);
    RUN(the_clock_is_the_hosts);
    RUN(an_event_that_is_kept_holds_the_stream_back);
    RUN(nothing_is_kept_of_a_transport_that_is_refused);
    RUN(the_whole_story_goes_through_the_host);
    RUN(a_search_is_started);
    RUN(a_search_is_cancelled);
    RUN(a_search_is_refused);
    return check_failed ? 1 : 0;
}
