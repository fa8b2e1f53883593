/* Every call that calls back, in every turn that it can take: closed or freed during or inside its callback,
   cancelled before, during and after it, with a callback that blocks, from eight threads, across fork(). In
   all of them it calls back exactly once, and its user data is dropped exactly once, afterwards.
   Runs against the platform that the environment names. Nothing sleeps and nothing is timed; a watchdog ends
   a program that hangs. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

struct scene;

/* A function that calls back. */
struct kind {
    const char *name;
    void *(*make)(void);
    int32_t (*start)(void *client, struct scene *scene);
    /* The same so that it does not end by itself; or NULL. */
    int32_t (*start_pending)(void *client, struct scene *scene);
    void (*close)(void *client);
    void (*free)(void *client);
    /* A call that takes time. */
    int32_t (*block)(const void *client);
    /* HANDLER: called more than once, registered at the client, and dropped with it. ALONE: of no client. */
    enum { CALL, HANDLER, ALONE } nature;
};

/* One call, and what its callback is to do. */
struct scene {
    struct probe probe;
    const struct kind *kind;
    void *client;
    void (*inside)(struct scene *scene);
};

#define SCENE(kind_, inside_) {.probe = PROBE, .kind = (kind_), .client = (kind_)->make(), .inside = (inside_)}

static void drop_scene(void *user_data) { drop(&((struct scene *)user_data)->probe); }

static void ended(void *user_data, int32_t status, lime_error *error) {
    struct scene *scene = user_data;
    CHECK(lime_error_status(error) == status);
    add(&scene->probe, &scene->probe.entered);
    if (scene->inside) scene->inside(scene);
    finish(&scene->probe, status, error);
}

/* A callback of a started call: result or error, and both are ours. */
#define COMPLETION(name, type)                                                                \
    static void name(void *user_data, int32_t status, type *result, lime_error *error) {      \
        CHECK((status == LIME_OK) == (result != NULL) && (status == LIME_OK) == (error == NULL)); \
        type##_free(result);                                                                  \
        ended(user_data, status, error);                                                      \
    }

COMPLETION(on_request, lime_login_request)
COMPLETION(on_found, lime_login_request_status)
COMPLETION(on_event, lime_login_event)
COMPLETION(on_passport, lime_passport)
COMPLETION(on_binding, lime_binding_request)
COMPLETION(on_exchange, lime_binding_exchange)
COMPLETION(on_result, lime_approval_result)
COMPLETION(on_profile, lime_agent_profile)
COMPLETION(on_approval, lime_approval)
COMPLETION(on_nonce, lime_pow_nonce)
COMPLETION(on_mcp_access_token, lime_mcp_access_token)
COMPLETION(on_mcp_result, lime_mcp_result)
COMPLETION(on_token, lime_verified_token)

/* Handlers act in their first call. */
static void handled(struct scene *scene) {
    if (scene->probe.calls == 0) ended(scene, LIME_OK, NULL);
}

static void on_login(void *user_data, const char *request_id, const char *passport) {
    struct scene *scene = user_data;
    (void)passport;
    pthread_mutex_lock(&scene->probe.lock);
    int mine = strcmp(scene->probe.request_id, request_id) == 0;
    pthread_mutex_unlock(&scene->probe.lock);
    if (mine) handled(scene);
}

static void on_login_event(void *user_data, lime_login_event *event) {
    on_login(user_data, lime_login_event_request_id(event), lime_login_event_passport(event));
    lime_login_event_free(event);
}

static void on_state(void *user_data, int32_t state, const lime_error *last_error) {
    (void)state, (void)last_error;
    handled(user_data);
}

static void on_gap(void *user_data, const char *const *request_ids, size_t count) {
    struct scene *scene = user_data;
    int mine = 0;
    pthread_mutex_lock(&scene->probe.lock);
    for (size_t at = 0; at < count; at++) mine |= strcmp(scene->probe.request_id, request_ids[at]) == 0;
    pthread_mutex_unlock(&scene->probe.lock);
    if (mine) handled(scene);
}

/* Clients. */

static void *make_site(void) {
    lime_site *site = NULL;
    CHECK(lime_site_new(NULL, &site, NULL) == LIME_OK);
    return site;
}

static void close_site(void *site) { lime_site_close(site); }
static void free_site(void *site) { lime_site_free(site); }

static int32_t block_on_site(const void *site) {
    lime_login_request_status *found = NULL;
    int32_t status = lime_site_read_login_request(site, "lr_nobody", &found, NULL);
    CHECK(!found);
    return status;
}

static void *make_agent(void) {
    lime_agent *agent = NULL;
    CHECK(lime_agent_new(NULL, &agent, NULL) == LIME_OK);
    return agent;
}

static void close_agent(void *agent) { lime_agent_close(agent); }
static void free_agent(void *agent) { lime_agent_free(agent); }

static int32_t block_on_agent(const void *agent) {
    lime_approval_result *result = NULL;
    int32_t status = lime_agent_login(agent, "lr_nobody", &result, NULL);
    CHECK(!result);
    return status;
}

static void *make_sesame(void) {
    lime_sesame *sesame = NULL;
    CHECK(lime_sesame_new(NULL, &sesame, NULL) == LIME_OK);
    return sesame;
}

static void close_sesame(void *sesame) { lime_sesame_close(sesame); }
static void free_sesame(void *sesame) { lime_sesame_free(sesame); }

static int32_t block_on_sesame(const void *sesame) {
    lime_approval *approval = NULL;
    int32_t status = lime_sesame_get(sesame, "ap_nobody", 0, &approval, NULL);
    CHECK(!approval);
    return status == LIME_ERROR_NOT_FOUND ? LIME_ERROR_API : status;
}

static void *make_verifier(void) {
    lime_token_verifier *verifier = NULL;
    CHECK(lime_token_verifier_new(NULL, &verifier, NULL) == LIME_OK);
    return verifier;
}

static void close_verifier(void *verifier) { lime_token_verifier_close(verifier); }
static void free_verifier(void *verifier) { lime_token_verifier_free(verifier); }

/* A JWT that only a key can tell to be wrong. */
#define UNKNOWN_KEY "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"

static int32_t block_on_verifier(const void *verifier) {
    lime_verified_token *token = NULL;
    int32_t status = lime_token_verifier_verify(verifier, UNKNOWN_KEY, &token, NULL);
    CHECK(!token);
    return status == LIME_ERROR_INVALID_TOKEN ? LIME_ERROR_API : status;
}

/* Calls. */

#define OPERATION(scene) (scene), drop_scene, &(scene)->probe.operation, NULL

static int32_t start_create(void *site, struct scene *scene) {
    return lime_site_create_login_request_start(site, on_request, OPERATION(scene));
}

static int32_t start_read(void *site, struct scene *scene) {
    return lime_site_read_login_request_start(site, "lr_nobody", on_found, OPERATION(scene));
}

static int32_t start_wait(void *site, struct scene *scene) {
    return lime_site_wait_for_login_start(site, "lr_nobody", 1, on_event, OPERATION(scene));
}

static int32_t start_long_wait(void *site, struct scene *scene) {
    return lime_site_wait_for_login_start(site, "lr_nobody", LIME_WAIT_FOREVER, on_event, OPERATION(scene));
}

static int32_t start_verify(void *site, struct scene *scene) {
    return lime_site_verify_passport_start(site, UNKNOWN_KEY, NULL, 0, on_passport, OPERATION(scene));
}

static int32_t start_verify_token(void *verifier, struct scene *scene) {
    return lime_token_verifier_verify_start(verifier, UNKNOWN_KEY, on_token, OPERATION(scene));
}

static int32_t start_warm_up(void *verifier, struct scene *scene) {
    return lime_token_verifier_warm_up_start(verifier, ended, OPERATION(scene));
}

static int32_t start_binding(void *site, struct scene *scene) {
    return lime_site_create_binding_request_start(site, "https://shop.example/", on_binding, OPERATION(scene));
}

static int32_t start_exchange(void *site, struct scene *scene) {
    return lime_site_exchange_binding_code_start(site, "bc_nobody", on_exchange, OPERATION(scene));
}

static int32_t start_verify_binding(void *site, struct scene *scene) {
    return lime_site_verify_binding_passport_start(site, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA", NULL, 0, on_passport,
                                                   OPERATION(scene));
}

static int32_t start_login(void *agent, struct scene *scene) {
    return lime_agent_login_start(agent, "lr_nobody", on_result, OPERATION(scene));
}

static int32_t start_login_with_progress(void *agent, struct scene *scene) {
    lime_login_progress *progress = NULL;
    int32_t status = lime_agent_progress(agent, &progress, NULL);
    CHECK(status == LIME_OK);
    status = lime_agent_login_with_progress_start(agent, "lr_nobody", progress, on_result, OPERATION(scene));
    lime_login_progress_free(progress);
    return status;
}

static int32_t solve(struct scene *scene, int64_t difficulty) {
    return lime_pow_solve_start("lr_1", 4, difficulty, LIME_POW_DIGEST_SEED, LIME_WAIT_FOREVER, 1, on_nonce, OPERATION(scene));
}

static int32_t start_solving(void *agent, struct scene *scene) { return (void)agent, solve(scene, 8); }
static int32_t start_solving_long(void *agent, struct scene *scene) { return (void)agent, solve(scene, 250); }

static int32_t start_profile(void *agent, struct scene *scene) {
    return lime_agent_get_profile_start(agent, on_profile, OPERATION(scene));
}

static int32_t start_token(void *agent, struct scene *scene) {
    return lime_agent_get_mcp_access_token_start(agent, "tools.example.com", 0, on_mcp_access_token, OPERATION(scene));
}

/* LIME_MCP_ADDRESSES says where it is, and nobody listens there. */
#define MCP_SERVER "http://tools.example.com:1/mcp"

static int32_t start_mcp(void *agent, struct scene *scene) {
    return lime_agent_mcp_start(agent, MCP_SERVER, "ping", NULL, on_mcp_result, OPERATION(scene));
}

static int32_t start_tool(void *agent, struct scene *scene) {
    return lime_agent_call_tool_start(agent, MCP_SERVER, "echo", "{}", on_mcp_result, OPERATION(scene));
}

static lime_approval_request *question(void) {
    lime_approval_request *request = NULL;
    CHECK(lime_approval_request_new("life.cycle", "A question", &request, NULL) == LIME_OK);
    return request;
}

static int32_t start_trigger(void *sesame, struct scene *scene) {
    lime_approval_request *request = question();
    int32_t status = lime_sesame_trigger_start(sesame, request, on_approval, OPERATION(scene));
    lime_approval_request_free(request);
    return status;
}

static int32_t start_get(void *sesame, struct scene *scene) {
    return lime_sesame_get_start(sesame, "ap_nobody", 0, on_approval, OPERATION(scene));
}

static int32_t start_decision(void *sesame, struct scene *scene) {
    return lime_sesame_wait_start(sesame, "ap_nobody", 1, 1, on_approval, OPERATION(scene));
}

static char undecided[64]; /* an approval's id */

static int32_t start_long_decision(void *sesame, struct scene *scene) {
    return lime_sesame_wait_start(sesame, undecided, LIME_WAIT_FOREVER, 1, on_approval, OPERATION(scene));
}

static int32_t gate(void *sesame, struct scene *scene, uint64_t timeout_ms) {
    lime_approval_request *request = question();
    int32_t status = lime_sesame_require_approval_start(sesame, request, timeout_ms, 1, on_approval, OPERATION(scene));
    lime_approval_request_free(request);
    return status;
}

static int32_t start_gate(void *sesame, struct scene *scene) { return gate(sesame, scene, 1); }
static int32_t start_long_gate(void *sesame, struct scene *scene) { return gate(sesame, scene, LIME_WAIT_FOREVER); }

/* Handlers: registered, and given something to handle. */

static void sign_in(lime_site *site, struct scene *scene) {
    lime_login_request *request = NULL;
    lime_approval_result *result = NULL;
    lime_agent *agent = make_agent();
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    pthread_mutex_lock(&scene->probe.lock);
    snprintf(scene->probe.request_id, sizeof scene->probe.request_id, "%s", id ? id : "");
    pthread_mutex_unlock(&scene->probe.lock);
    CHECK(lime_agent_login(agent, id, &result, NULL) == LIME_OK);
    lime_approval_result_free(result);
    lime_login_request_free(request);
    lime_agent_free(agent);
}

static int32_t start_handling_logins(void *site, struct scene *scene) {
    int32_t status = lime_site_on_login(site, on_login, scene, drop_scene, NULL);
    if (status == LIME_OK) sign_in(site, scene);
    return status;
}

static int32_t start_handling_events(void *site, struct scene *scene) {
    int32_t status = lime_site_on_login_event(site, on_login_event, scene, drop_scene, NULL);
    if (status == LIME_OK) sign_in(site, scene);
    return status;
}

static int32_t start_handling_states(void *site, struct scene *scene) {
    return lime_site_on_state(site, on_state, scene, drop_scene, NULL);
}

/* The clock of sites that miss an event: it runs fast, so that they soon give it up. */
static lime_clock *hurry;
static pthread_t hurrying;
static struct probe hurried = PROBE;

static void *run_fast(void *nothing) {
    struct timespec moment = {0, 1000000};
    int released = 0;
    while (!released) {
        lime_clock_advance_ms(hurry, 1000);
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&hurried.lock);
        released = hurried.released;
        pthread_mutex_unlock(&hurried.lock);
    }
    return nothing;
}

static void start_to_hurry(void) {
    hurry = lime_clock_new(0, 1);
    CHECK(pthread_create(&hurrying, NULL, run_fast, NULL) == 0);
}

static void stop_to_hurry(void) {
    add(&hurried, &hurried.released);
    pthread_join(hurrying, NULL);
    lime_clock_free(hurry);
}

static void *make_hurried_site(void) {
    lime_site_options *options = lime_site_options_new();
    lime_site *site = NULL;
    CHECK(lime_site_options_set_clock(options, hurry) == LIME_OK);
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK);
    lime_site_options_free(options);
    return site;
}

/* Another stream of the same site takes the event, before there is one that would miss it. */
static int32_t start_handling_gaps(void *site, struct scene *scene) {
    int32_t status = lime_site_on_gap(site, on_gap, scene, drop_scene, NULL);
    if (status != LIME_OK) return status;
    lime_site *other = make_site();
    CHECK(lime_site_start_events(other, NULL) == LIME_OK);
    while (lime_site_state(other) != LIME_STREAM_OPEN) sched_yield();
    sign_in(site, scene);
    lime_site_free(other);
    return lime_site_start_events(site, NULL);
}

#define OF_SITE close_site, free_site, block_on_site
#define OF_AGENT close_agent, free_agent, block_on_agent
#define OF_SESAME close_sesame, free_sesame, block_on_sesame
#define OF_VERIFIER close_verifier, free_verifier, block_on_verifier

static const struct kind kinds[] = {
    {"lime_site_create_login_request_start", make_site, start_create, NULL, OF_SITE, CALL},
    {"lime_site_read_login_request_start", make_site, start_read, NULL, OF_SITE, CALL},
    {"lime_site_wait_for_login_start", make_site, start_wait, start_long_wait, OF_SITE, CALL},
    {"lime_site_verify_passport_start", make_site, start_verify, NULL, OF_SITE, CALL},
    {"lime_site_create_binding_request_start", make_site, start_binding, NULL, OF_SITE, CALL},
    {"lime_site_exchange_binding_code_start", make_site, start_exchange, NULL, OF_SITE, CALL},
    {"lime_site_verify_binding_passport_start", make_site, start_verify_binding, NULL, OF_SITE, CALL},
    {"lime_site_on_login", make_site, start_handling_logins, NULL, OF_SITE, HANDLER},
    {"lime_site_on_login_event", make_site, start_handling_events, NULL, OF_SITE, HANDLER},
    {"lime_site_on_state", make_site, start_handling_states, NULL, OF_SITE, HANDLER},
    {"lime_site_on_gap", make_hurried_site, start_handling_gaps, NULL, OF_SITE, HANDLER},
    {"lime_agent_login_start", make_agent, start_login, NULL, OF_AGENT, CALL},
    {"lime_agent_login_with_progress_start", make_agent, start_login_with_progress, NULL, OF_AGENT, CALL},
    {"lime_agent_get_profile_start", make_agent, start_profile, NULL, OF_AGENT, CALL},
    {"lime_agent_get_mcp_access_token_start", make_agent, start_token, NULL, OF_AGENT, CALL},
    {"lime_agent_mcp_start", make_agent, start_mcp, NULL, OF_AGENT, CALL},
    {"lime_agent_call_tool_start", make_agent, start_tool, NULL, OF_AGENT, CALL},
    {"lime_pow_solve_start", make_agent, start_solving, start_solving_long, OF_AGENT, ALONE},
    {"lime_sesame_trigger_start", make_sesame, start_trigger, NULL, OF_SESAME, CALL},
    {"lime_sesame_get_start", make_sesame, start_get, NULL, OF_SESAME, CALL},
    {"lime_sesame_wait_start", make_sesame, start_decision, start_long_decision, OF_SESAME, CALL},
    {"lime_token_verifier_verify_start", make_verifier, start_verify_token, NULL, OF_VERIFIER, CALL},
    {"lime_token_verifier_warm_up_start", make_verifier, start_warm_up, NULL, OF_VERIFIER, CALL},
    {"lime_sesame_require_approval_start", make_sesame, start_gate, start_long_gate, OF_SESAME, CALL},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void start(struct scene *scene) { CHECK(scene->kind->start(scene->client, scene) == LIME_OK); }

/* The end of a call whose client is freed: exactly one callback, exactly one drop after it. */
static void once(struct scene *scene) {
    await(&scene->probe, &scene->probe.drops, 1);
    CHECK(scene->probe.calls == 1 && scene->probe.drops == 1 && scene->probe.calls_after_drop == 0);
    if (scene->kind->nature != HANDLER) CHECK(lime_operation_cancel(scene->probe.operation) == 0);
    CHECK(scene->probe.calls == 1 && scene->probe.drops == 1);
}

static void free_client(struct scene *scene) {
    scene->kind->free(scene->client);
    scene->client = NULL;
}

/* ---- */

static void completes(const struct kind *kind) {
    struct scene scene = SCENE(kind, NULL);
    start(&scene);
    await(&scene.probe, &scene.probe.calls, 1);
    free_client(&scene);
    once(&scene);
    CHECK(scene.probe.operation == scene.probe.operation_in_callback && (scene.probe.operation == 0) == (kind->nature == HANDLER));
}

static void may_block_no_call(struct scene *scene) {
    CHECK(scene->kind->block(scene->client) == LIME_ERROR_WOULD_DEADLOCK);
}

static void blocking_inside(const struct kind *kind) {
    struct scene scene = SCENE(kind, may_block_no_call);
    start(&scene);
    await(&scene.probe, &scene.probe.calls, 1);
    free_client(&scene);
    once(&scene);
}

static void close_it(struct scene *scene) {
    scene->kind->close(scene->client);
    CHECK(scene->probe.drops == 0);
}

static void closing_inside(const struct kind *kind) {
    struct scene scene = SCENE(kind, close_it), late = {.probe = PROBE, .kind = kind};
    start(&scene);
    await(&scene.probe, &scene.probe.calls, 1);
    CHECK(kind->block(scene.client) == LIME_ERROR_CLOSED);
    if (kind->nature != ALONE) {
        CHECK(kind->start(scene.client, &late) == LIME_ERROR_CLOSED);
        CHECK(late.probe.calls == 0 && late.probe.drops == 1);
    }
    free_client(&scene);
    once(&scene);
}

static void free_it(struct scene *scene) {
    await(&scene->probe, &scene->probe.released, 1); /* nobody else uses the client any more */
    free_client(scene);
    CHECK(scene->probe.drops == 0);
}

static void freeing_inside(const struct kind *kind) {
    struct scene scene = SCENE(kind, free_it);
    start(&scene);
    add(&scene.probe, &scene.probe.released);
    once(&scene);
    CHECK(!scene.client);
}

static void hold(struct scene *scene) {
    await(&scene->probe, &scene->probe.released, 1);
    add(&scene->probe, &scene->probe.left);
}

static void closing_meanwhile(const struct kind *kind) {
    struct scene scene = SCENE(kind, hold);
    start(&scene);
    await(&scene.probe, &scene.probe.entered, 1);
    kind->close(scene.client); /* does not wait: the callback is being held */
    CHECK(scene.probe.left == 0 && scene.probe.drops == 0);
    CHECK(kind->block(scene.client) == LIME_ERROR_CLOSED);
    add(&scene.probe, &scene.probe.released);
    free_client(&scene);
    once(&scene);
}

static void *release(void *scene) {
    struct probe *probe = &((struct scene *)scene)->probe;
    add(probe, &probe->released);
    return NULL;
}

static void freeing_meanwhile(const struct kind *kind) {
    struct scene scene = SCENE(kind, hold);
    pthread_t helper;
    start(&scene);
    await(&scene.probe, &scene.probe.entered, 1);
    CHECK(pthread_create(&helper, NULL, release, &scene) == 0);
    free_client(&scene);
    if (kind->nature == HANDLER) CHECK(scene.probe.left == 1); /* it has waited */
    pthread_join(helper, NULL);
    once(&scene);
}

static void cancel_it(struct scene *scene) { CHECK(lime_operation_cancel(scene->probe.operation) == 0); }

static void cancelling_inside(const struct kind *kind) {
    struct scene scene = SCENE(kind, cancel_it);
    start(&scene);
    await(&scene.probe, &scene.probe.calls, 1);
    CHECK(scene.probe.status != LIME_ERROR_CANCELLED);
    free_client(&scene);
    once(&scene);
}

static void cancelling_meanwhile(const struct kind *kind) {
    struct scene scene = SCENE(kind, hold);
    start(&scene);
    await(&scene.probe, &scene.probe.entered, 1);
    CHECK(lime_operation_cancel(scene.probe.operation) == 0);
    add(&scene.probe, &scene.probe.released);
    free_client(&scene);
    once(&scene);
    CHECK(scene.probe.status != LIME_ERROR_CANCELLED);
}

static void cancelling_at_once(const struct kind *kind) {
    for (int round = 0; round < 20; round++) {
        struct scene scene = SCENE(kind, NULL);
        start(&scene);
        int was_under_way = lime_operation_cancel(scene.probe.operation);
        free_client(&scene);
        once(&scene);
        if (!was_under_way) CHECK(scene.probe.status != LIME_ERROR_CANCELLED);
    }
}

static void cancelling_before(const struct kind *kind) {
    struct scene scene = SCENE(kind, NULL);
    CHECK(kind->start_pending(scene.client, &scene) == LIME_OK);
    CHECK(lime_operation_cancel(scene.probe.operation) == 1);
    CHECK(lime_operation_cancel(scene.probe.operation) == 0);
    once(&scene);
    CHECK(scene.probe.status == LIME_ERROR_CANCELLED);
    free_client(&scene);
    once(&scene);
}

/* While one callback blocks, calls go on and the others wait; nothing gets lost. */
static void a_callback_that_blocks(const struct kind *kind) {
    struct scene blocker = SCENE(kind, hold), others[KINDS];
    start(&blocker);
    await(&blocker.probe, &blocker.probe.entered, 1);
    for (int at = 0; at < KINDS; at++) {
        others[at] = (struct scene)SCENE(&kinds[at], NULL);
        start(&others[at]);
    }
    for (int at = 0; at < KINDS; at++) {
        CHECK(kinds[at].block(others[at].client) == LIME_ERROR_API); /* the platform has answered */
        CHECK(others[at].probe.entered == 0 && others[at].probe.drops == 0);
    }
    add(&blocker.probe, &blocker.probe.released);
    for (int at = 0; at < KINDS; at++) {
        await(&others[at].probe, &others[at].probe.calls, 1);
        CHECK(blocker.probe.left == 1);
        free_client(&others[at]);
        once(&others[at]);
    }
    free_client(&blocker);
    once(&blocker);
}

/* Started calls stay with the parent: a child can neither cancel nor see them, and uses the client. */
static void forking_meanwhile(const struct kind *kind) {
    struct scene scene = SCENE(kind, NULL);
    CHECK(kind->start_pending(scene.client, &scene) == LIME_OK);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        CHECK(lime_operation_cancel(scene.probe.operation) == 0);
        CHECK(kind->block(scene.client) == LIME_ERROR_API);
        free_client(&scene);
        CHECK(scene.probe.calls == 0 && scene.probe.drops == 0);
        _exit(check_failures ? 1 : 0);
    }
    CHECK(ended_well(child));
    CHECK(scene.probe.calls == 0 && scene.probe.drops == 0);
    CHECK(lime_operation_cancel(scene.probe.operation) == 1);
    once(&scene);
    CHECK(scene.probe.status == LIME_ERROR_CANCELLED);
    free_client(&scene);
}

/* Exactly one wins: each call ends once, as cancelled only if a cancel said so. */
enum { THREADS = 8, ROUNDS = 10 };

struct worker {
    void *clients[KINDS];
    int good;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct scene scenes[KINDS];
        int under_way[KINDS] = {0}, started = 0, good = 0;
        for (int at = 0; at < KINDS; at++) {
            if (kinds[at].nature == HANDLER) continue;
            scenes[at] = (struct scene){.probe = PROBE, .kind = &kinds[at]};
            CHECK(kinds[at].start(worker->clients[at], &scenes[at]) == LIME_OK);
            if ((at + round) % 3 == 0) under_way[at] = lime_operation_cancel(scenes[at].probe.operation);
            started++;
        }
        for (int at = 0; at < KINDS; at++) {
            if (kinds[at].nature == HANDLER) continue;
            once(&scenes[at]);
            good += scenes[at].probe.status != LIME_ERROR_CANCELLED || under_way[at];
        }
        worker->good += started == good;
    }
    return NULL;
}

static void eight_threads(void) {
    struct worker workers[THREADS];
    pthread_t ids[THREADS];
    void *clients[KINDS];
    for (int at = 0; at < KINDS; at++) clients[at] = kinds[at].make();
    for (int thread = 0; thread < THREADS; thread++) {
        memcpy(workers[thread].clients, clients, sizeof clients);
        workers[thread].good = 0;
        CHECK(pthread_create(&ids[thread], NULL, work, &workers[thread]) == 0);
    }
    for (int thread = 0; thread < THREADS; thread++) {
        pthread_join(ids[thread], NULL);
        CHECK(workers[thread].good == ROUNDS);
    }
    for (int at = 0; at < KINDS; at++) kinds[at].free(clients[at]);
}

/* A queue with room for one event, and a handler that holds it: the others come when it lets go. */
enum { LOGINS = 6 };
static struct probe queue = PROBE;

static void hold_the_first(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    (void)request_id;
    if (!passport) return;
    add(probe, &probe->entered);
    await(probe, &probe->released, 1);
    add(probe, &probe->calls);
}

static void nothing_is_lost_behind_a_handler_that_blocks(void) {
    lime_site_options *options = lime_site_options_new();
    lime_site *site = NULL;
    CHECK(lime_site_options_set_event_queue_limit(options, 1) == LIME_OK);
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK);
    lime_site_options_free(options);
    CHECK(lime_site_on_login(site, hold_the_first, &queue, drop, NULL) == LIME_OK);
    struct scene scene = {.probe = PROBE};
    for (int login = 0; login < LOGINS; login++) {
        sign_in(site, &scene);
        if (login == 0) await(&queue, &queue.entered, 1);
    }
    CHECK(queue.entered == 1 && queue.calls == 0);
    add(&queue, &queue.released);
    await(&queue, &queue.calls, LOGINS);
    lime_site_free(site);
    await(&queue, &queue.drops, 1);
    CHECK(queue.calls == LOGINS && queue.drops == 1 && queue.calls_after_drop == 0);
}

static void no_threads_are_left(void) {
    /* The last client has ended both threads; look-ups of names and proofs of work end by themselves, soon. */
    while (threads() > 1) sched_yield();
}

enum { ANY = 1, CALLS = 2, PENDING = 4 };

static void each(const char *what, void (*test)(const struct kind *), int which) {
    char id[128];
    for (int at = 0; at < KINDS; at++) {
        if (which == CALLS && kinds[at].nature == HANDLER) continue;
        if (which == PENDING && !kinds[at].start_pending) continue;
        snprintf(id, sizeof id, "lifecycle:%s:%s", what, kinds[at].name);
        check_begin(id);
        test(&kinds[at]);
        check_end();
    }
}

#define EACH(test, which) each(#test, test, which)
#define ONCE(test) (check_begin("lifecycle:" #test), test(), check_end())

int main(void) {
    alarm(240);
    lime_sesame *sesame = make_sesame();
    lime_approval_request *request = question();
    lime_approval *approval = NULL;
    CHECK(lime_sesame_trigger(sesame, request, &approval, NULL) == LIME_OK);
    const char *id = lime_approval_approval_id(approval);
    snprintf(undecided, sizeof undecided, "%s", id ? id : "");
    lime_approval_free(approval);
    lime_approval_request_free(request);
    lime_sesame_free(sesame);
    start_to_hurry();
    EACH(completes, ANY);
    EACH(blocking_inside, ANY);
    EACH(closing_inside, ANY);
    EACH(freeing_inside, ANY);
    EACH(closing_meanwhile, ANY);
    EACH(freeing_meanwhile, ANY);
    EACH(cancelling_inside, CALLS);
    EACH(cancelling_meanwhile, CALLS);
    EACH(cancelling_at_once, CALLS);
    EACH(cancelling_before, PENDING);
    EACH(a_callback_that_blocks, ANY);
    EACH(forking_meanwhile, PENDING);
    ONCE(eight_threads);
    ONCE(nothing_is_lost_behind_a_handler_that_blocks);
    stop_to_hurry();
    ONCE(no_threads_are_left);
    return check_failed ? 1 : 0;
}
