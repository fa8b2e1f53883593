/* The whole test framework: `ok <id>` or `FAIL <id>: why` for each test, exit status 1 if any failed. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *check_id = "";
static int check_failures; /* of the test that is running */
static int check_failed;   /* tests */

#define CHECK(condition)                                                                             \
    do {                                                                                             \
        if (!(condition) && check_failures++ == 0)                                                   \
            printf("FAIL %s: %s:%d: %s\n", check_id, __FILE__, __LINE__, #condition), fflush(stdout); \
    } while (0)

#define CHECK_TEXT(got, expected) check_text(__FILE__, __LINE__, #got, got, expected)

static inline void check_text(const char *file, int line, const char *what, const char *got, const char *expected) {
    int same = got && expected ? strcmp(got, expected) == 0 : got == expected;
    if (!same && check_failures++ == 0) {
        printf("FAIL %s: %s:%d: %s is \"%s\" instead of \"%s\"\n", check_id, file, line, what, got ? got : "(NULL)",
               expected ? expected : "(NULL)");
        fflush(stdout);
    }
}

static inline void check_begin(const char *id) {
    check_id = id;
    check_failures = 0;
}

static inline void check_end(void) {
    if (check_failures == 0) printf("ok %s\n", check_id);
    else check_failed++;
    fflush(stdout);
}

#define RUN(test) (check_begin("boundary:" #test), test(), check_end())

#endif
