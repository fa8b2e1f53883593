/* A site that follows its event stream and verifies who signed in.
   Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, creates as many login requests as
   the argument says (default 3), prints each (`request<TAB>ID`) and how each ends (`event<TAB>ID<TAB>signed in|expired`),
   and the stream's states on stderr (`state<TAB>NAME`). Ends with 0 when all its requests have ended. */
#include <lime.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lime_error *error;
static sem_t opened;
static int events[2]; /* a pipe, from the dispatcher thread to main */

/* On the dispatcher thread, which must not block: the event becomes main's. */
static void on_event(void *user_data, lime_login_event *event) {
    (void)user_data;
    if (write(events[1], &event, sizeof event) != sizeof event) abort();
}

static void on_state(void *user_data, int32_t state, const lime_error *last_error) {
    static const char *const names[] = {"idle", "connecting", "open", "backing_off", "refused", "closed"};
    (void)user_data, (void)last_error;
    if (state >= 0 && state < 6) fprintf(stderr, "state\t%s\n", names[state]);
    if (state == LIME_STREAM_OPEN) sem_post(&opened);
}

static void need(int32_t status) {
    if (status == LIME_OK) return;
    fprintf(stderr, "%s: %s\n", lime_status_name(status), lime_error_message(error));
    exit(1);
}

static const char *verified(const lime_site *site, const lime_login_event *event) {
    lime_passport *passport = NULL;
    const char *jwt = lime_login_event_passport(event);
    if (!jwt) return "expired";
    need(lime_site_verify_passport(site, jwt, lime_login_event_request_id(event), 0, &passport, &error));
    lime_passport_free(passport);
    return "signed in";
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 3, left = count;
    lime_login_request **requests = calloc((size_t)count + 1, sizeof *requests);
    lime_site *site;
    if (!requests || pipe(events) || sem_init(&opened, 0, 0)) return 1;
    need(lime_site_new(NULL, &site, &error));
    need(lime_site_on_state(site, on_state, NULL, NULL, &error));
    need(lime_site_on_login_event(site, on_event, NULL, NULL, &error));
    sem_wait(&opened);
    puts("listening"), fflush(stdout);
    for (int each = 0; each < count; each++) {
        need(lime_site_create_login_request(site, &requests[each], &error));
        printf("request\t%s\n", lime_login_request_request_id(requests[each])), fflush(stdout);
    }
    while (left > 0) {
        lime_login_event *event;
        if (read(events[0], &event, sizeof event) != sizeof event) return 1;
        const char *id = lime_login_event_request_id(event);
        printf("event\t%s\t%s\n", id, verified(site, event)), fflush(stdout);
        for (int each = 0; each < count; each++) left -= !strcmp(lime_login_request_request_id(requests[each]), id);
        lime_login_event_free(event);
    }
    for (int each = 0; each < count; each++) lime_login_request_free(requests[each]);
    free(requests);
    lime_site_free(site);
    return 0;
}
