/* A site that follows its event stream and verifies who signed in.
   Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, creates as many login requests as
   the argument says (default 3), prints each (`request<TAB>ID`) and how each ends (`event<TAB>ID<TAB>signed in|expired|lost`),
   and the stream's states on stderr (`state<TAB>NAME`). Ends with 0 when all its requests have ended. */
#include <lime.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lime_error *error;
static sem_t opened;
static int ends[2]; /* a pipe, from the dispatcher thread to main */

/* How a login request has ended: by an event, or by one that is lost. */
struct end {
    lime_login_event *event;
    char *lost;
};

/* On the dispatcher thread, which must not block: the end becomes main's. */
static void hand_on(struct end end) {
    if (write(ends[1], &end, sizeof end) != sizeof end) abort();
}

static void on_event(void *user_data, lime_login_event *event) {
    (void)user_data;
    hand_on((struct end){event, NULL});
}

static void on_gap(void *user_data, const char *const *request_ids, size_t count) {
    (void)user_data;
    for (size_t each = 0; each < count; each++) hand_on((struct end){NULL, strdup(request_ids[each])});
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
    if (!requests || pipe(ends) || sem_init(&opened, 0, 0)) return 1;
    need(lime_site_new(NULL, &site, &error));
    need(lime_site_on_state(site, on_state, NULL, NULL, &error));
    need(lime_site_on_login_event(site, on_event, NULL, NULL, &error));
    need(lime_site_on_gap(site, on_gap, NULL, NULL, &error));
    sem_wait(&opened);
    puts("listening"), fflush(stdout);
    for (int each = 0; each < count; each++) {
        need(lime_site_create_login_request(site, &requests[each], &error));
        printf("request\t%s\n", lime_login_request_request_id(requests[each])), fflush(stdout);
    }
    while (left > 0) {
        struct end end;
        if (read(ends[0], &end, sizeof end) != sizeof end) return 1;
        const char *id = end.event ? lime_login_event_request_id(end.event) : end.lost;
        printf("event\t%s\t%s\n", id, end.event ? verified(site, end.event) : "lost"), fflush(stdout);
        for (int each = 0; each < count; each++) left -= !strcmp(lime_login_request_request_id(requests[each]), id);
        lime_login_event_free(end.event);
        free(end.lost);
    }
    for (int each = 0; each < count; each++) lime_login_request_free(requests[each]);
    free(requests);
    lime_site_free(site);
    return 0;
}
