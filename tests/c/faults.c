/* One fault on purpose, the one that is named: each tool that watches the tests has to see it. */
#include "probe.h"
#include <lime.h>
#include <pthread.h>
#include <sched.h>

/* An error is read after it was freed; the library's code is what reads. */
static void use_after_free(void) {
    lime_error *error = NULL;
    int64_t micros;
    lime_timestamp_parse("no time", &micros, NULL, &error);
    lime_error_free(error);
    printf("%d\n", (int)lime_error_status(error));
}

static void ignore_event(void *user_data, const char *event, const char *data, size_t length, const char *id) {
    (void)user_data, (void)event, (void)data, (void)length, (void)id;
}

/* A length that is larger than what the pointer points to; the library's code is what reads. */
static void beyond_the_end(void) {
    char *chunk = malloc(64);
    lime_sse_parser *parser = lime_sse_parser_new();
    memset(chunk, 'x', 64);
    lime_sse_parser_feed(parser, chunk, 200, ignore_event, NULL, NULL);
    lime_sse_parser_free(parser);
    free(chunk);
}

/* Nobody frees what the library has handed over, and nobody has its address any more. */
static void leak(void) {
    for (int round = 0; round < 10; round++) lime_site_options_new();
}

static void overflow(void) {
    volatile int most = INT32_MAX;
    most = most + 1;
    printf("%d\n", most);
}

static void misaligned(void) {
    _Alignas(8) char bytes[16] = {0};
    volatile size_t one = 1;
    printf("%d\n", (int)*(volatile int64_t *)(void *)(bytes + one));
}

/* A branch that depends on what was never written. */
static void uninitialised(void) {
    char *(*volatile allocate)(size_t) = (char *(*)(size_t))malloc; /* out of the compiler's sight */
    char *text = allocate(8);
    printf("%s\n", text[3] == 'x' ? "x" : "not x");
    free(text);
}

static int unguarded, told;

static void on_profile(void *user_data, int32_t status, lime_agent_profile *profile, lime_error *error) {
    (void)user_data, (void)status;
    lime_agent_profile_free(profile);
    lime_error_free(error);
    unguarded++;
    /* Says that it is done, and orders nothing. */
    __atomic_store_n(&told, 1, __ATOMIC_RELAXED);
}

/* Callback and caller change one number. */
static void race_with_a_callback(void) {
    lime_agent *agent = NULL;
    lime_agent_new(NULL, &agent, NULL);
    lime_agent_get_profile_start(agent, on_profile, NULL, NULL, NULL, NULL);
    while (!__atomic_load_n(&told, __ATOMIC_RELAXED)) sched_yield();
    unguarded++;
    lime_agent_free(agent);
}

/* Waits for the other one; orders nothing. */
static void meet(int *count) {
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(count, __ATOMIC_RELAXED) < 2) sched_yield();
}

static void *set(void *options) {
    static int begun, done;
    meet(&begun);
    for (uint32_t round = 0; round < 10; round++) lime_site_options_set_max_retries(options, round);
    meet(&done); /* both are there when the second one writes */
    return NULL;
}

/* Two threads change an object that one thread at a time may change; the library's code is what writes. */
static void race_in_the_library(void) {
    lime_site_options *options = lime_site_options_new();
    pthread_t ids[2];
    for (int at = 0; at < 2; at++) pthread_create(&ids[at], NULL, set, options);
    for (int at = 0; at < 2; at++) pthread_join(ids[at], NULL);
    lime_site_options_free(options);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*commit)(void);
    } faults[] = {
        {"use-after-free", use_after_free},
        {"beyond-the-end", beyond_the_end},
        {"leak", leak},
        {"overflow", overflow},
        {"misaligned", misaligned},
        {"uninitialised", uninitialised},
        {"race-with-a-callback", race_with_a_callback},
        {"race-in-the-library", race_in_the_library},
    };
    for (size_t at = 0; argc == 2 && at < sizeof faults / sizeof *faults; at++) {
        if (strcmp(faults[at].name, argv[1]) != 0) continue;
        faults[at].commit();
        return 0;
    }
    return 2;
}
