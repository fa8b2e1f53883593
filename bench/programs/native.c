/* Measurements in C: `native passport JWT`, `native requests TASKS`, `native events SERVER`.
   Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `ready`, then does as much as each line of standard input says and
   answers with a line of JSON, as turns.py does. */
#include <arpa/inet.h>
#include <lime.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static lime_site *site;
static const char *argument;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void need(int32_t status, lime_error *error) {
    if (status == LIME_OK) return;
    fprintf(stderr, "%s: %s\n", lime_status_name(status), error ? lime_error_message(error) : "");
    exit(1);
}

static void passports(long count) {
    while (count--) {
        lime_passport *passport = NULL;
        lime_error *error = NULL;
        need(lime_site_verify_passport(site, argument, NULL, 0, &passport, &error), error);
        if (!lime_passport_text_claim(passport, "agent_id")) abort();
        lime_passport_free(passport);
    }
}

static void requests_one_by_one(long count) {
    while (count--) {
        lime_login_request *request = NULL;
        lime_error *error = NULL;
        need(lime_site_create_login_request(site, &request, &error), error);
        lime_login_request_free(request);
    }
}

static atomic_long left;      /* requests still to be started */
static atomic_long in_flight; /* that have not been answered */
static sem_t done;

static void start_one(void);

/* On the dispatcher thread: each answer starts the next request. */
static void created(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    (void)user_data;
    need(status, error);
    lime_login_request_free(request);
    if (atomic_fetch_sub(&left, 1) > 0) start_one();
    if (atomic_fetch_sub(&in_flight, 1) == 1) sem_post(&done);
}

static void start_one(void) {
    lime_error *error = NULL;
    atomic_fetch_add(&in_flight, 1);
    need(lime_site_create_login_request_start(site, created, NULL, NULL, NULL, &error), error);
}

static void requests_at_once(long count) {
    long tasks = atol(argument);
    atomic_store(&left, count - tasks);
    atomic_store(&in_flight, 1); /* held until all are started */
    for (long task = 0; task < tasks; task++) start_one();
    if (atomic_fetch_sub(&in_flight, 1) == 1) sem_post(&done);
    sem_wait(&done);
}

static atomic_long expected;

/* On the dispatcher thread. */
static void on_login(void *user_data, const char *request_id, const char *passport) {
    (void)user_data;
    if (!request_id || !passport) abort();
    if (atomic_fetch_sub(&expected, 1) == 1) sem_post(&done);
}

/* Has the server write that many events; 0 while it has no stream to write them to. */
static int burst(long count) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strrchr(argument, ':') + 1))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    char bytes[512];
    int length = snprintf(bytes, sizeof bytes, "POST /bench/burst?n=%ld HTTP/1.1\r\nhost: bench\r\nx-site-token: %s\r\n\r\n",
                          count, getenv("LIME_SITE_TOKEN"));
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) ||
        write(connection, bytes, (size_t)length) != length || read(connection, bytes, sizeof bytes) < 12) {
        perror("bench server");
        exit(1);
    }
    close(connection);
    return !strncmp(bytes + 9, "200", 3);
}

static void events(long count) {
    atomic_store(&expected, count);
    if (!burst(count)) exit(1);
    sem_wait(&done);
}

int main(int argc, char **argv) {
    lime_error *error = NULL;
    char line[64];
    if (argc != 3 || sem_init(&done, 0, 0)) return 2;
    argument = argv[2];
    need(lime_site_new(NULL, &site, &error), error);
    void (*work)(long) = passports;
    if (!strcmp(argv[1], "requests")) work = atol(argument) > 1 ? requests_at_once : requests_one_by_one;
    if (!strcmp(argv[1], "events")) {
        work = events;
        need(lime_site_on_login(site, on_login, NULL, NULL, &error), error);
        while (!burst(0)) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    puts("ready"), fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        long count = atol(line);
        double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
        if (work == requests_at_once && count < atol(argument)) count = atol(argument);
        work(count);
        printf("{\"count\": %ld, \"wall\": %.9f, \"cpu\": %.9f}\n", count, seconds(CLOCK_MONOTONIC) - wall,
               seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        fflush(stdout);
    }
    lime_site_free(site);
    return 0;
}
