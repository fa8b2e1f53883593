// A refund that a human approves before it runs.
// Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each step and its milliseconds. Arguments: the action (default
// payments.refund), and a URL that the broker reports the decision to. Ends with 0 when the refund ran and with 3 when
// it was denied.
#include <cstdio>
#include <iostream>
#include <lime.hpp>

void done(const char *step) {
    static auto last = std::chrono::steady_clock::now();
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> elapsed = now - last;
    if (step) std::printf("%s\t%.1f\n", step, elapsed.count()), std::fflush(stdout);
    last = now;
}

void issue_refund(int, const std::string &) {
    done("operation run"); // Here the money moves.
}

int main(int argc, char **argv) try {
    done(nullptr);
    const lime::Sesame sesame;
    lime::ApprovalRequest request(argc > 1 ? argv[1] : "payments.refund", "Refund $42.00 to customer");
    request.set_reason("The customer was charged twice").set_severity("high");
    if (argc > 2) request.set_callback_url(argv[2]);

    sesame.require_approval(request, {std::chrono::minutes(1)}); // whatever it throws, the money stays
    done("approval granted");
    issue_refund(4200, "cus_123");
    return 0;
} catch (const lime::ApprovalDeniedError &) {
    done("approval denied");
    return 3;
} catch (const lime::Error &error) {
    std::cerr << lime::status_name(error.status()) << ": " << error.what() << std::endl;
    return 1;
}
