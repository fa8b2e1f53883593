/* What the tests of the C ABI share: a place where callbacks note what they saw, and where to wait for it. */
#ifndef PROBE_H
#define PROBE_H

#include "check.h"
#include <dirent.h>
#include <lime.h>
#include <pthread.h>
#include <sys/wait.h>

/* What a callback saw, and a place to wait for it. */
struct probe {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls, drops, calls_after_drop, entered, released, left;
    int32_t status, status_of_error;
    uint64_t operation, operation_in_callback;
    char request_id[128]; /* the one that counts; empty: any */
    lime_site *site;
    lime_sesame *sesame;
    int32_t blocking[4];
};

#define PROBE {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .status = -1}

static inline void add(struct probe *probe, int *field) {
    pthread_mutex_lock(&probe->lock);
    if (field == &probe->calls && probe->drops) probe->calls_after_drop++;
    ++*field;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static inline void await(struct probe *probe, const int *field, int least) {
    pthread_mutex_lock(&probe->lock);
    while (*field < least) pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

/* What a field is while callbacks may still come. */
static inline int seen(struct probe *probe, const int *field) {
    pthread_mutex_lock(&probe->lock);
    int value = *field;
    pthread_mutex_unlock(&probe->lock);
    return value;
}

static inline void drop(void *user_data) {
    struct probe *probe = user_data;
    add(probe, &probe->drops);
}

static inline void finish(struct probe *probe, int32_t status, lime_error *error) {
    probe->status = status;
    probe->status_of_error = lime_error_status(error);
    probe->operation_in_callback = probe->operation;
    lime_error_free(error);
    add(probe, &probe->calls);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* The threads of this process; not the one that ThreadSanitizer adds beside the second. */
static inline int threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) count += entry->d_name[0] != '.';
    if (tasks) closedir(tasks);
#ifdef __SANITIZE_THREAD__
    if (count > 1) count--;
#endif
    return count;
}

/* Set in a process that ends with work pending: LeakSanitizer, which asks when it watches, does not count then
   what is left. */
static int leaks_are_meant;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return leaks_are_meant; }

static inline int ended_well(pid_t child) {
    int status = -1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
