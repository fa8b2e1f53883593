/* A refund that a human approves before it runs. Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each
   step and its milliseconds. Arguments: the action (default payments.refund), and a URL that the broker
   reports the decision to. Ends with 0 when the refund ran and with 3 when it was denied. */
#include <lime.h>
#include <stdio.h>
#include <time.h>

static void done(const char *step) {
    static struct timespec last;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double elapsed = (double)(now.tv_sec - last.tv_sec) * 1e3 + (double)(now.tv_nsec - last.tv_nsec) / 1e6;
    if (step) printf("%s\t%.1f\n", step, elapsed), fflush(stdout);
    last = now;
}

/* Here the money moves. */
static void issue_refund(void) {
    done("operation run");
}

int main(int argc, char **argv) {
    lime_sesame *sesame = NULL;
    lime_approval_request *request = NULL;
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    done(NULL);
    int32_t status = lime_sesame_new(NULL, &sesame, &error);
    if (status == LIME_OK)
        status = lime_approval_request_new(argc > 1 ? argv[1] : "payments.refund", "Refund $42.00 to customer",
                                           &request, &error);
    if (status == LIME_OK) {
        lime_approval_request_set_reason(request, "The customer was charged twice");
        lime_approval_request_set_severity(request, "high");
        lime_approval_request_set_callback_url(request, argc > 2 ? argv[2] : NULL);
        status = lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error);
    }
    /* LIME_OK is the one status that means: a human has approved. */
    if (status == LIME_OK) {
        done("approval granted");
        issue_refund();
    } else if (status == LIME_ERROR_APPROVAL_DENIED) {
        done("approval denied");
    } else {
        fprintf(stderr, "%s: %s\n", lime_status_name(status), lime_error_message(error));
    }
    lime_error_free(error);
    lime_approval_free(approval);
    lime_approval_request_free(request);
    lime_sesame_free(sesame);
    return status == LIME_OK ? 0 : status == LIME_ERROR_APPROVAL_DENIED ? 3 : 1;
}
