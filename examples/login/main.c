/* A site signs an agent in, from both sides; an argument says how often (default once).
   Reads LIME_API_BASE, LIME_SITE_TOKEN and LIME_AGENT_TOKEN; prints each step and its milliseconds. */
#include <lime.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static lime_error *error;
static sem_t signed_in;
static char jwt[8193]; /* a passport is never longer */

/* On the dispatcher thread: hands the passport to main. */
static void on_login(void *user_data, const char *request_id, const char *passport) {
    (void)user_data, (void)request_id;
    snprintf(jwt, sizeof jwt, "%s", passport ? passport : "");
    sem_post(&signed_in);
}

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

int main(int argc, char **argv) {
    lime_site *site;
    lime_agent *agent;
    sem_init(&signed_in, 0, 0);
    if (lime_agent_new(NULL, &agent, &error) || lime_site_new(NULL, &site, &error))
        return fprintf(stderr, "%s\n", lime_error_message(error)), 1;
    done("clients made", lime_site_on_login(site, on_login, NULL, NULL, &error));
    for (int rounds = argc > 1 ? atoi(argv[1]) : 1; rounds > 0; rounds--) {
        lime_login_request *request;
        lime_approval_result *approval;
        lime_passport *passport;
        lime_agent_profile *profile;
        done("request created", lime_site_create_login_request(site, &request, &error));
        const char *id = lime_login_request_request_id(request);
        done("challenge solved and approved", lime_agent_login(agent, id, &approval, &error));
        done("event received", sem_wait(&signed_in));
        done("passport verified", lime_site_verify_passport(site, jwt, id, 0, &passport, &error));
        done("profile read", lime_agent_get_profile(agent, &profile, &error));
        if (strcmp(lime_agent_profile_agent_id(profile), lime_passport_text_claim(passport, "agent_id"))) return 2;
        lime_agent_profile_free(profile), lime_passport_free(passport);
        lime_approval_result_free(approval), lime_login_request_free(request);
    }
    lime_agent_free(agent);
    lime_site_free(site);
}
