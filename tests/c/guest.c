/* A good guest: the library is loaded and used, and the process is as it was before. Prints nothing but its
   results: run.py looks at that, too. The library is the first argument. */
#define _GNU_SOURCE
#include "check.h"
#include "probe.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <lime.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process shares with everybody in it. */
struct state {
    struct {
        uintptr_t handler;
        int flags;
        uint64_t mask;
    } actions[65];
    uint64_t blocked;
    struct rlimit limits[RLIM_NLIMITS];
    char directory[4096], locale[256];
    mode_t mask;
};

static struct state before;

static uint64_t signals(const sigset_t *set) {
    uint64_t bits = 0;
    for (int number = 1; number < 65; number++) bits |= (uint64_t)(sigismember(set, number) == 1) << (number - 1);
    return bits;
}

static void look(struct state *state) {
    memset(state, 0, sizeof *state);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue; /* two are glibc's own */
        state->actions[number].handler = (uintptr_t)action.sa_handler;
        state->actions[number].flags = action.sa_flags;
        state->actions[number].mask = signals(&action.sa_mask);
    }
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    state->blocked = signals(&blocked);
    for (int which = 0; which < RLIM_NLIMITS; which++) getrlimit(which, &state->limits[which]);
    CHECK(getcwd(state->directory, sizeof state->directory));
    snprintf(state->locale, sizeof state->locale, "%s", setlocale(LC_ALL, NULL));
    state->mask = umask(0);
    umask(state->mask);
}

static void same(void) {
    static struct state now;
    look(&now);
    for (int number = 1; number < 65; number++) {
        CHECK(before.actions[number].handler == now.actions[number].handler);
        CHECK(before.actions[number].flags == now.actions[number].flags);
        CHECK(before.actions[number].mask == now.actions[number].mask);
    }
    CHECK(before.blocked == now.blocked && before.mask == now.mask);
    CHECK(memcmp(before.limits, now.limits, sizeof now.limits) == 0);
    CHECK_TEXT(now.directory, before.directory);
    CHECK_TEXT(now.locale, before.locale);
}

static void *library;

/* Through dlsym, as a program that loads the library late has it. */
#define CALL(name) ((__typeof__(name) *)(uintptr_t)symbol(#name))

static void *symbol(const char *name) {
    void *found = dlsym(library, name);
    if (!found) fprintf(stderr, "%s is not there\n", name), exit(2);
    return found;
}

static void a_login(void) {
    lime_site *site = NULL;
    lime_agent *agent = NULL;
    lime_login_request *request = NULL;
    lime_approval_result *result = NULL;
    lime_login_event *event = NULL;
    CHECK(CALL(lime_site_new)(NULL, &site, NULL) == LIME_OK);
    CHECK(CALL(lime_agent_new)(NULL, &agent, NULL) == LIME_OK);
    CHECK(CALL(lime_site_create_login_request)(site, &request, NULL) == LIME_OK);
    const char *id = CALL(lime_login_request_request_id)(request);
    CHECK(CALL(lime_agent_login)(agent, id, &result, NULL) == LIME_OK);
    CHECK(CALL(lime_site_wait_for_login)(site, id, LIME_WAIT_FOREVER, &event, NULL) == LIME_OK);
    CALL(lime_login_event_free)(event);
    CALL(lime_approval_result_free)(result);
    CALL(lime_login_request_free)(request);
    CALL(lime_agent_free)(agent);
    CALL(lime_site_free)(site);
}

static char inherited[1024]; /* descriptors that were open before */

static void loading_changes_nothing(void) {
    same();
    CHECK(threads() == 1);
}

static void using_changes_nothing(void) {
    a_login();
    same();
}

static void children_inherit_no_descriptor(void) {
    lime_site *site = NULL;
    lime_login_request *request = NULL;
    CHECK(CALL(lime_site_new)(NULL, &site, NULL) == LIME_OK);
    CHECK(CALL(lime_site_start_events)(site, NULL) == LIME_OK);
    CHECK(CALL(lime_site_create_login_request)(site, &request, NULL) == LIME_OK);
    CALL(lime_login_request_free)(request);
    /* While the event stream and the kept connection are open. */
    int open = 0;
    for (int descriptor = 3; descriptor < 1024; descriptor++) {
        int flags = fcntl(descriptor, F_GETFD);
        if (flags < 0 || inherited[descriptor]) continue;
        open++;
        CHECK(flags & FD_CLOEXEC);
    }
    CHECK(open > 0);
    CALL(lime_site_free)(site);
}

enum { CLIENTS = 1000 };

static void on_profile(void *user_data, int32_t status, lime_agent_profile *profile, lime_error *error) {
    CALL(lime_agent_profile_free)(profile);
    (void)error; /* there is none */
    ((struct probe *)user_data)->status = status;
    add(user_data, &((struct probe *)user_data)->calls);
}

static void a_thousand_clients_have_two_threads(void) {
    static lime_agent *agents[CLIENTS];
    static lime_site *sites[CLIENTS];
    struct probe probe = PROBE;
    for (int at = 0; at < CLIENTS; at++) {
        CHECK(CALL(lime_agent_new)(NULL, &agents[at], NULL) == LIME_OK);
        CHECK(CALL(lime_site_new)(NULL, &sites[at], NULL) == LIME_OK);
    }
    /* Each in use, one after the other: a thousand connections at once are another test's. */
    for (int at = 0; at < CLIENTS; at++) {
        CHECK(CALL(lime_agent_get_profile_start)(agents[at], on_profile, &probe, NULL, NULL, NULL) == LIME_OK);
        await(&probe, &probe.calls, at + 1);
        CHECK(probe.status == LIME_OK);
    }
    /* This one, the runtime's, the dispatcher's, and what looks up names or searches nonces for a moment. */
    CHECK(threads() <= 5);
    for (int at = 0; at < CLIENTS; at++) {
        CALL(lime_agent_free)(agents[at]);
        CALL(lime_site_free)(sites[at]);
    }
    same();
}

#define GUEST(test) (check_begin("guest:" #test), test(), check_end())

int main(int argc, char **argv) {
    alarm(240);
    setlocale(LC_ALL, "");
    look(&before);
    for (int descriptor = 3; descriptor < 1024; descriptor++) inherited[descriptor] = fcntl(descriptor, F_GETFD) >= 0;
    library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) return 2;
    GUEST(loading_changes_nothing);
    GUEST(using_changes_nothing);
    GUEST(children_inherit_no_descriptor);
    GUEST(a_thousand_clients_have_two_threads);
    return check_failed ? 1 : 0;
}
