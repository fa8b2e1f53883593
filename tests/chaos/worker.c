/* The program of C: see src/worker.rs for what it is told and tells. Calls of an agent block a thread each, gates are
   started; handlers run on the dispatcher thread. */
#include <lime.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FIELDS 128
#define MOST_SITES 100

static lime_site *sites[MOST_SITES];
static size_t site_count;
static lime_agent *agent;
static lime_sesame *sesame;

/* Calls that have not come back. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int pending;

static void begin(void) {
    pthread_mutex_lock(&lock);
    pending++;
    pthread_mutex_unlock(&lock);
}

static void end(void) {
    pthread_mutex_lock(&lock);
    pending--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* In one write: handlers and threads tell at the same time. */
static void tell(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    fputs(line, stdout);
    fflush(stdout);
}

static void must(int32_t status, lime_error *error) {
    if (status == LIME_OK) return;
    fprintf(stderr, "%s: %s\n", lime_status_name(status), error ? lime_error_message(error) : "");
    exit(1);
}

static char *copy(const char *text) {
    size_t size = strlen(text) + 1;
    char *made = malloc(size);
    if (!made) exit(1);
    return memcpy(made, text, size);
}

static void verified(void *user_data, int32_t status, lime_passport *passport, lime_error *error) {
    tell("session\t%s\t%s", (char *)user_data, lime_status_name(status));
    lime_passport_free(passport);
    lime_error_free(error);
    free(user_data);
    end();
}

static void on_login(void *user_data, const char *request_id, const char *passport) {
    size_t number = (size_t)((lime_site **)user_data - sites);
    lime_error *error = NULL;
    tell("event\t%zu\t%s\t%s", number, request_id, passport ? "approved" : "expired");
    if (!passport) return;
    char *id = copy(request_id);
    begin();
    int32_t status =
        lime_site_verify_passport_start(sites[number], passport, request_id, 0, verified, id, NULL, NULL, &error);
    if (status != LIME_OK) verified(id, status, NULL, error);
}

static void on_gap(void *user_data, const char *const *request_ids, size_t count) {
    size_t number = (size_t)((lime_site **)user_data - sites);
    for (size_t at = 0; at < count; at++) tell("gap\t%zu\t%s", number, request_ids[at]);
}

struct login {
    char job[16];
    lime_site *site;
    int with_agent;
};

static void *login(void *argument) {
    struct login *order = argument;
    lime_login_request *request = NULL;
    lime_approval_result *result = NULL;
    lime_error *error = NULL;
    int32_t status = lime_site_create_login_request(order->site, &request, &error);
    if (status != LIME_OK) {
        tell("create\t%s\t%s", order->job, lime_status_name(status));
    } else {
        const char *id = lime_login_request_request_id(request);
        tell("created\t%s\t%s", order->job, id);
        if (order->with_agent) {
            status = lime_agent_login(agent, id, &result, &error);
            tell("login\t%s\t%s", order->job, lime_status_name(status));
        }
    }
    lime_approval_result_free(result);
    lime_login_request_free(request);
    lime_error_free(error);
    free(order);
    end();
    return NULL;
}

static void gate_ended(void *user_data, int32_t status, lime_approval *approval, lime_error *error) {
    if (status == LIME_OK) tell("ran\t%s", (char *)user_data);
    tell("gate\t%s\t%s", (char *)user_data, lime_status_name(status));
    lime_approval_free(approval);
    lime_error_free(error);
    free(user_data);
    end();
}

static void open_clients(char **fields, size_t count) {
    const char *api = fields[0], *broker = fields[1];
    uint64_t timeout = strtoull(fields[4], NULL, 10);
    int32_t platform = !strcmp(fields[5], "seed")    ? LIME_PLATFORM_SEED
                       : !strcmp(fields[5], "today") ? LIME_PLATFORM_TODAY
                                                     : LIME_PLATFORM_AUTO;
    lime_error *error = NULL;
    for (site_count = 0; site_count + 6 < count && site_count < MOST_SITES; site_count++) {
        lime_site_options *options = lime_site_options_new();
        must(lime_site_options_set_site_token(options, fields[6 + site_count]), NULL);
        must(lime_site_options_set_base_url(options, api), NULL);
        must(lime_site_options_set_timeout_ms(options, timeout), NULL);
        must(lime_site_options_set_sse_backoff_base_ms(options, 5), NULL);
        must(lime_site_options_set_platform(options, platform), NULL);
        must(lime_site_options_set_require_issuer(options, 0), NULL);
        must(lime_site_new(options, &sites[site_count], &error), error);
        lime_site_options_free(options);
        must(lime_site_on_login(sites[site_count], on_login, &sites[site_count], NULL, &error), error);
        must(lime_site_on_gap(sites[site_count], on_gap, &sites[site_count], NULL, &error), error);
    }
    lime_agent_options *of_agent = lime_agent_options_new();
    must(lime_agent_options_set_agent_token(of_agent, fields[2]), NULL);
    must(lime_agent_options_set_base_url(of_agent, api), NULL);
    must(lime_agent_options_set_timeout_ms(of_agent, timeout), NULL);
    must(lime_agent_options_set_platform(of_agent, platform), NULL);
    must(lime_agent_new(of_agent, &agent, &error), error);
    lime_agent_options_free(of_agent);
    lime_sesame_options *of_sesame = lime_sesame_options_new();
    must(lime_sesame_options_set_api_key(of_sesame, fields[3]), NULL);
    must(lime_sesame_options_set_base_url(of_sesame, broker), NULL);
    must(lime_sesame_options_set_timeout_ms(of_sesame, timeout), NULL);
    must(lime_sesame_options_set_poll_timeout_ms(of_sesame, timeout), NULL);
    must(lime_sesame_new(of_sesame, &sesame, &error), error);
    lime_sesame_options_free(of_sesame);
    tell("opened");
}

static void start_login(char **fields) {
    struct login *order = calloc(1, sizeof *order);
    pthread_t thread;
    if (!order) exit(1);
    snprintf(order->job, sizeof order->job, "%s", fields[0]);
    order->site = sites[strtoul(fields[1], NULL, 10) % MOST_SITES];
    order->with_agent = !strcmp(fields[2], "1");
    begin();
    if (pthread_create(&thread, NULL, login, order) || pthread_detach(thread)) exit(1);
}

static void start_gate(char **fields) {
    lime_approval_request *request = NULL;
    lime_error *error = NULL;
    must(lime_approval_request_new(fields[1], "Something that matters", &request, &error), error);
    if (fields[2][0]) must(lime_approval_request_set_dedup_key(request, fields[2]), NULL);
    begin();
    must(lime_sesame_require_approval_start(sesame, request, strtoull(fields[3], NULL, 10), 10, gate_ended,
                                            copy(fields[0]), NULL, NULL, &error),
         error);
    lime_approval_request_free(request);
}

static void close_clients(void) {
    /* A handler may start a call until its site is closed. */
    for (size_t number = 0; number < site_count; number++) lime_site_close(sites[number]);
    pthread_mutex_lock(&lock);
    while (pending) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (size_t number = 0; number < site_count; number++) lime_site_free(sites[number]);
    lime_agent_free(agent);
    lime_sesame_free(sesame);
    site_count = 0, agent = NULL, sesame = NULL;
#ifdef __GLIBC__
    malloc_trim(0); /* What is free is not kept. */
#endif
    tell("closed");
}

int main(void) {
    char *line = NULL, *fields[MOST_FIELDS];
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        size_t count = 0;
        line[strcspn(line, "\n")] = '\0';
        /* Not strtok(), which takes two tabs for one. */
        for (char *rest = line; rest && count < MOST_FIELDS;) fields[count++] = strsep(&rest, "\t");
        if (!strcmp(fields[0], "open")) open_clients(fields + 1, count - 1);
        else if (!strcmp(fields[0], "login")) start_login(fields + 1);
        else if (!strcmp(fields[0], "gate")) start_gate(fields + 1);
        else if (!strcmp(fields[0], "close")) close_clients();
    }
    free(line);
}
