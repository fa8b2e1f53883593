// The server's key has to be one of the pins, through every client. Runs against the server that the environment names.
#include "check.hpp"
#include <cstdlib>

namespace {

// Well-formed, signed by nobody: its key is asked for.
constexpr const char *unknown_key = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA";

template <class Options> Options pinned(std::vector<std::string> pins) {
    Options options;
    options.tls_pins = std::move(pins);
    return options;
}

void all(const std::vector<std::string> &pins, bool refused) {
    const auto came_out = [refused](const std::optional<lime::Error> &error) {
        CHECK(error.has_value() == refused);
        if (error) CHECK(std::string(error->what()).find("is none of tls_pins") != std::string::npos);
    };
    auto site_options = pinned<lime::SiteOptions>(pins);
    site_options.max_retries = 0;
    const lime::Site site(site_options);
    const auto created = site.try_create_login_request();
    came_out(created ? std::optional<lime::Error>() : created.error());
    auto agent_options = pinned<lime::AgentOptions>(pins);
    agent_options.max_retries = 0;
    const lime::Agent agent(agent_options);
    const auto profile = agent.try_get_profile();
    came_out(profile ? std::optional<lime::Error>() : profile.error());
    auto sesame_options = pinned<lime::SesameOptions>(pins);
    sesame_options.max_retries = 0;
    const lime::Sesame sesame(sesame_options);
    const auto approval = sesame.try_get("apr_1");
    came_out(approval ? std::optional<lime::Error>() : approval.error());
    const lime::TokenVerifier verifier(pinned<lime::TokenVerifierOptions>(pins));
    const auto verified = verifier.try_verify(unknown_key);
    CHECK(!verified);
    // Which keys there are is known: not that one.
    const bool known = verified.error().status() == LIME_ERROR_INVALID_TOKEN;
    came_out(known ? std::optional<lime::Error>() : verified.error());
}

void the_right_key() { all({std::getenv("TLS_OTHER_PIN"), std::getenv("TLS_GOOD_PIN")}, false); }

void another_key() { all({std::getenv("TLS_OTHER_PIN")}, true); }

void no_pins() {
    CHECK_THROWS(lime::InvalidArgumentError, lime::Site{pinned<lime::SiteOptions>({"sha256/"})});
    CHECK_THROWS(lime::InvalidArgumentError, lime::Agent{pinned<lime::AgentOptions>({std::string("a\0b", 3)})});
    CHECK_THROWS(lime::InvalidArgumentError, lime::Sesame{pinned<lime::SesameOptions>({""})});
}

} // namespace

int main() {
    RUN_TEST("tls", the_right_key);
    RUN_TEST("tls", another_key);
    RUN_TEST("tls", no_pins);
    return check_failed ? 1 : 0;
}
