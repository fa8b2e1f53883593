/* A refund that a human approves before it runs.
   Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each step and its milliseconds. Arguments: the action
   (default payments.refund), and a URL that the broker reports the decision to. Ends with 0 when the refund
   ran and with 3 when it was denied. */
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

static int issue_refund(int amount, const char *customer_id) {
    (void)amount, (void)customer_id; /* Here the money moves. */
    done("operation run");
    return 0;
}

int main(int argc, char **argv) {
    lime_sesame *sesame = NULL;
    lime_approval_request *request = NULL;
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    const char *action = argc > 1 ? argv[1] : "payments.refund";
    int result = 1;
    done(NULL);
    int32_t status = lime_sesame_new(NULL, &sesame, &error);
    if (!status) status = lime_approval_request_new(action, "Refund $42.00 to customer", &request, &error);
    if (!status) status = lime_approval_request_set_reason(request, "The customer was charged twice");
    if (!status) status = lime_approval_request_set_severity(request, "high");
    if (!status && argc > 2) status = lime_approval_request_set_callback_url(request, argv[2]);
    if (!status) status = lime_sesame_require_approval(sesame, request, 60000, 2000, &approval, &error);

    if (status == LIME_OK) {
        done("approval granted");
        result = issue_refund(4200, "cus_123");
    } else if (status == LIME_ERROR_APPROVAL_DENIED) {
        done("approval denied");
        result = 3;
    } else {
        fprintf(stderr, "%s: %s\n", lime_status_name(status), error ? lime_error_message(error) : "");
    }
    lime_error_free(error);
    lime_approval_free(approval);
    lime_approval_request_free(request);
    lime_sesame_free(sesame);
    return result;
}
