// A site signs an agent in, from both sides; an argument says how often (default once).
// Reads LIME_API_BASE, LIME_SITE_TOKEN and LIME_AGENT_TOKEN; prints each step and its milliseconds.
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

int main(int argc, char **argv) try {
    const lime::Site site;
    const lime::Agent agent;
    site.start_events();
    done(nullptr);
    for (int rounds = argc > 1 ? std::stoi(argv[1]) : 1; rounds > 0; rounds--) {
        const std::string id = site.create_login_request().request_id();
        done("request created");

        // Both sides at once: the site waits for the event while the agent confirms.
        lime::Operation<lime::LoginEvent> signed_in = site.wait_for_login_start(id, std::chrono::minutes(1));
        agent.login(id);
        done("challenge solved and approved");

        const std::optional<std::string> jwt = signed_in.get().passport();
        if (!jwt) throw std::runtime_error("the login request expired");
        done("event received");

        const lime::Passport passport = site.verify_passport(*jwt, id);
        done("passport verified");

        const lime::AgentProfile profile = agent.get_profile();
        if (passport.agent_id() != profile.agent_id()) return 2;
        done("profile read");
    }
    return 0;
} catch (const lime::Error &error) {
    std::cerr << lime::status_name(error.status()) << ": " << error.what() << std::endl;
    return 1;
}
