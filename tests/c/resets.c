/* A platform that takes a request over TLS and resets the connection: a program that has not thought of SIGPIPE
   outlives it, and finds the signal in its callbacks as it is elsewhere. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <signal.h>
#include <unistd.h>

static int blocked(void) {
    sigset_t set;
    return pthread_sigmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGPIPE);
}

static void on_profile(void *user_data, int32_t status, lime_agent_profile *profile, lime_error *error) {
    CHECK(!blocked());
    lime_agent_profile_free(profile);
    finish(user_data, status, error);
}

int main(void) {
    alarm(60);
    lime_agent_options *options = lime_agent_options_new();
    lime_agent *agent = NULL;
    check_begin("resets:a-host-outlives-them");
    CHECK(lime_agent_options_set_max_retries(options, 0) == LIME_OK);
    CHECK(lime_agent_new(options, &agent, NULL) == LIME_OK);
    for (int round = 0; round < 20; round++) {
        lime_agent_profile *profile = NULL;
        CHECK(lime_agent_get_profile(agent, &profile, NULL) == LIME_ERROR_TRANSPORT);
    }
    check_end();
    check_begin("resets:callbacks-have-the-signal");
    struct probe probe = PROBE;
    CHECK(lime_agent_get_profile_start(agent, on_profile, &probe, drop, NULL, NULL) == LIME_OK);
    await(&probe, &probe.drops, 1);
    CHECK(probe.status == LIME_ERROR_TRANSPORT);
    CHECK(!blocked());
    check_end();
    lime_agent_options_free(options);
    lime_agent_free(agent);
    return check_failed ? 1 : 0;
}
