// The two main stories in C++, with what may go wrong: an agent signs in through faults and rotated keys; a gate, with
// a human, rules, lost answers and webhooks. Where somebody else comes in, the program says `at <what>`.
#include "check.hpp"

#include <unistd.h>

namespace {

using namespace std::chrono_literals;

const lime::TimePoint autumn_2023 = lime::TimePoint(std::chrono::seconds(1'700'000'000));

struct Login {
    std::string request_id;
    std::optional<std::string> passport;
};

std::optional<lime::Site> site;
std::optional<lime::Agent> agent;
std::optional<lime::Sesame> sesame;
Mailbox<Login> logins;
std::atomic<int> opened{0}, handlers{0};

void clients() {
    site.emplace();
    agent.emplace();
    site->on_state([token = Token(handlers)](lime::StreamState state, const std::optional<lime::Error> &last_error) {
        if (state == lime::StreamState::open) opened++;
        if (state == lime::StreamState::backing_off && last_error->kind() != lime::ErrorKind::transport) opened = -1000;
    });
    site->on_login([token = Token(handlers)](const std::string &id, const std::optional<std::string> &passport) {
        logins.put({id, passport});
    });
    until([] { return opened == 1; });
}

/// A whole login; the passport is verified with whatever keys the platform has then.
void log_in(const std::string &place, bool with_futures) {
    const lime::LoginRequest request =
        with_futures ? site->create_login_request_start().get() : site->create_login_request();
    const std::string id = request.request_id();
    CHECK_EQ(request.status(), std::string("PENDING"));
    CHECK(request.expires_at().time > autumn_2023);
    CHECK(request.expires_at().offset == std::optional(0s));
    at(place);
    const lime::ApprovalResult result = with_futures ? agent->login_start(id).get() : agent->login(id);
    CHECK_EQ(result.request_id(), id);
    CHECK(!result.site_id().empty() && (result.status() == "APPROVED" || result.status() == "DELIVERED"));
    CHECK(result.expires_at().time == request.expires_at().time);
    const Login login = logins.take();
    CHECK_EQ(login.request_id, id);
    const lime::LoginEvent event =
        with_futures ? site->wait_for_login_start(id, 1min).get() : site->wait_for_login(id, 1min);
    CHECK_EQ(event.request_id(), id);
    CHECK_EQ(event.passport(), login.passport);
    const std::string jwt = event.passport().value_or("");
    const lime::Passport passport =
        with_futures ? site->verify_passport_start(jwt, id).get() : site->verify_passport(jwt, id);
    CHECK_EQ(passport.request_id(), id);
    CHECK_EQ(passport.agent_id(), result.approved_agent_id());
    CHECK(passport.owner_id() && passport.claims_json().find("\"exp\"") != std::string::npos);
    CHECK(!passport.text_claim("exp") && !passport.text_claim("nothing"));
    CHECK(!passport.text_claim(std::string("agent_id\0x", 10)));
    CHECK_THROWS(lime::InvalidPassportError, site->verify_passport(jwt, "another"));
    CHECK_THROWS(lime::InvalidPassportError, site->verify_passport_start(jwt, "another").get());
    CHECK_EQ(site->verify_passport_cached(jwt, id)->agent_id(), passport.agent_id());
    CHECK(site->try_verify_passport_cached(jwt, "another").status() == LIME_ERROR_INVALID_PASSPORT);
    CHECK(site->verify_passport(jwt, std::nullopt).request_id() == id);
    CHECK_EQ(site->read_login_request(id).status(), std::string("DELIVERED"));
    const lime::Site other;
    CHECK(!other.verify_passport_cached(jwt, id)); // it has no keys yet
    Mailbox<std::string> owners;
    other.verify_passport_start(jwt, id, lime::PassportCheck{}, [&](lime::Result<lime::Passport> verified) {
        owners.put(verified->owner_id().value_or("?"));
    });
    CHECK_EQ(owners.take(), passport.owner_id().value_or(""));
}

void through_a_503_and_a_cut() {
    log_in("first-login", false);
    until([] { return opened == 2; });
    CHECK(site->connections() >= 2 && site->events() == 1 && site->malformed_frames() == 0);
    CHECK_EQ(site->last_error().value().kind(), lime::ErrorKind::transport);
}

/// Whether a login's passport is refused for want of an issuer.
bool refuses(const lime::Site &by, const Login &login, bool require_issuer = false) {
    lime::PassportCheck check;
    check.require_issuer = require_issuer;
    const auto passport = by.try_verify_passport(login.passport.value_or(""), login.request_id, check);
    const auto started = by.verify_passport_start(login.passport.value_or(""), login.request_id, check).take_future();
    started.wait();
    return !passport && passport.error().kind() == lime::ErrorKind::invalid_passport;
}

void a_passport_without_issuer() {
    at("no-issuer");
    agent->login(site->create_login_request().request_id());
    const Login login = logins.take();
    lime::SiteOptions options;
    options.require_issuer = true;
    CHECK(!refuses(*site, login) && refuses(*site, login, true) && refuses(lime::Site(options), login));
    lime::PassportCheck strict;
    strict.require_issuer = true;
    CHECK_THROWS(lime::InvalidPassportError, site->verify_passport_cached(*login.passport, login.request_id, strict));
    options = {};
    options.jwks_cache_ttl = 0ms;
    const lime::Site forgetful(options);
    at("clear");
    CHECK(!refuses(forgetful, login) && !refuses(forgetful, login));
    CHECK(std::stoi(at("key-fetches")) >= 2);
    at("issuer");
}

void through_rotated_keys() { log_in("before-second-login", true); }

void a_request_expires() {
    const std::string id = site->create_login_request().request_id();
    at("before-expiry");
    CHECK(!site->wait_for_login(id, 1min).passport());
    const Login login = logins.take();
    CHECK(login.request_id == id && !login.passport);
    CHECK_THROWS(lime::ApiError, agent->login(id));
}

void the_profile() {
    const lime::AgentProfile profile = agent->get_profile();
    CHECK(!profile.agent_id().empty() && !profile.owner_id().empty());
    lime::AgentOptions options;
    options.agent_token = at("another-agent");
    const lime::AgentProfile ada = lime::Agent(options).get_profile();
    CHECK_EQ(ada.display_name(), std::string("Ada"));
    CHECK_EQ(ada.avatar_url(), std::string("https://a.b/ada.png"));
    CHECK_EQ(ada.description(), std::string("Counts"));
    CHECK(ada.owner_kyc_level() == std::optional<std::int64_t>(2) && ada.agent_reputation() == std::optional<std::int64_t>(-7));
}

void everything_is_dropped() {
    CHECK_EQ(handlers.load(), 2);
    agent.reset();
    site.reset();
    until([] { return handlers == 0; });
    CHECK_EQ(logins.size(), std::size_t{0});
}

// ---- a gate

lime::ApprovalRequest ask_for(const std::string &action, std::optional<std::string_view> dedup_key = std::nullopt) {
    lime::ApprovalRequest request(action, "Something to decide");
    request.set_dedup_key(dedup_key);
    return request;
}

void everything_is_asked_for() {
    lime::ApprovalRequest request("first.refund", "Refund \xe2\x82\xac"
                                                  "42");
    request.set_reason("charged twice").set_severity("high").set_dedup_key("refund-1");
    request.set_context_json(R"({"another": 1})");
    request.set_context_json("{\"amount\": 4200, \"exact\": 123456789012345678901234567890, \"who\": \"Zo\xc3\xab\"}");
    const lime::Approval approval = sesame->trigger(request);
    CHECK_EQ(approval.status(), std::string("pending"));
    CHECK(!approval.is_approved() && !approval.is_terminal());
    CHECK(approval.expires_at()->time > autumn_2023 && approval.expires_at()->offset == std::optional(0s));
    CHECK(!approval.decided_at() && !approval.note());
    at("asked " + approval.approval_id());
}

void a_decision_is_waited_for() {
    const std::string id = sesame->trigger(ask_for("a.b")).approval_id();
    auto waiting = sesame->wait_start(id, {lime::forever, 1ms});
    at("polls 1");
    CHECK(!sesame->get(id).is_terminal() && !waiting.wait_for(0s));
    at("decide " + id + " approved");
    const lime::Approval approval = waiting.get();
    CHECK(approval.is_approved() && approval.is_terminal());
    CHECK_EQ(approval.note(), std::string("Decided by a test"));
    CHECK(approval.decided_at()->time > autumn_2023);
    CHECK_EQ(sesame->wait(" " + id + "\n").approval_id(), id);
    CHECK_EQ(sesame->get_start(id, true).get().status(), std::string("approved"));
    CHECK(sesame->get(id).requester_label() == approval.requester_label());
}

void the_same_key_is_the_same_approval() {
    const lime::ApprovalRequest request = ask_for("a.b", "once");
    const std::string id = sesame->trigger(request).approval_id();
    CHECK_EQ(sesame->trigger_start(request).get().approval_id(), id);
    at("decide " + id + " denied");
    CHECK_EQ(sesame->trigger(request).status(), std::string("denied"));
}

void a_gate_opens() {
    at("rule payments.* approved");
    CHECK(sesame->require_approval(ask_for("payments.refund")).is_approved());
    at("rule payments.* approved");
    Mailbox<bool> opens;
    const lime::Started started =
        sesame->require_approval_start(ask_for("payments.refund"), {}, [&](lime::Result<lime::Approval> approval) {
            opens.put(approval && approval->is_approved());
        });
    CHECK(started.operation() != 0 && opens.take());
}

void a_gate_stays_shut() {
    at("rule db.* denied");
    const lime::Error error = CHECK_THROWS(lime::ApprovalDeniedError, sesame->require_approval(ask_for("db.delete")));
    CHECK_EQ(error.code(), std::string("denied"));
    CHECK(error.approval_id() && !error.request_id());
    CHECK(std::string(error.what()).find("Decided by a test") != std::string::npos);
    at("rule db.* denied");
    const auto result = sesame->try_require_approval(ask_for("db.delete"));
    CHECK(!result && result.error().kind() == lime::ErrorKind::approval_denied);
    at("rule db.* denied");
    CHECK_THROWS(lime::ApprovalDeniedError, sesame->require_approval_start(ask_for("db.delete")).get());
}

void a_gate_lets_one_call_through() {
    at("rule payments.* approved");
    const lime::ApprovalRequest once = ask_for("payments.once", "once-only");
    CHECK(sesame->require_approval(once).is_approved());
    CHECK_EQ(CHECK_THROWS(lime::ApprovalDeniedError, sesame->require_approval(once)).code(), std::string("already_used"));
}

void an_approval_expires() {
    auto gate = sesame->require_approval_start(ask_for("slow.one"), {lime::forever, 2s});
    const std::string id = at("expire slow.one");
    const lime::Error error = CHECK_THROWS(lime::ApprovalDeniedError, gate.get());
    CHECK_EQ(error.code(), std::string("expired"));
    CHECK_EQ(error.approval_id(), id);
    CHECK_EQ(sesame->wait(id).status(), std::string("expired")); // a wait that only waits tells how it ended
}

void nobody_decides_in_time() {
    const lime::Error error =
        CHECK_THROWS(lime::TimeoutError, sesame->require_approval(ask_for("slow.two"), {1500ms, 2s}));
    const std::string id = error.approval_id().value_or("");
    CHECK_THROWS(lime::TimeoutError, sesame->wait(id, {0ms, 2s}));
    auto waiting = sesame->wait_start(id, {lime::forever, 1ms});
    at("decide " + id + " approved");
    CHECK(waiting.get().is_approved());
}

void cancelling_a_wait_and_a_gate() {
    const std::string id = sesame->trigger(ask_for("a.b")).approval_id();
    auto waiting = sesame->wait_start(id, {lime::forever, 2s});
    auto gate = sesame->require_approval_start(ask_for("a.gate"), {lime::forever, 2s});
    at("polls 2");
    CHECK(waiting.cancel() && gate.cancel());
    CHECK_THROWS(lime::CancelledError, waiting.get());
    CHECK_THROWS(lime::CancelledError, gate.get());
    at("polls 0");
    CHECK_EQ(sesame->get(id).status(), std::string("pending"));
}

void unknown_ids_and_lost_answers() {
    for (const char *id : {"ap_nobody", "", "..", "a/b", "\xc3\xa9"}) {
        CHECK_THROWS(lime::NotFoundError, sesame->get(id));
        CHECK_THROWS(lime::NotFoundError, sesame->wait(id));
        CHECK_THROWS(lime::NotFoundError, sesame->get_start(id).get());
    }
    at("lose");
    CHECK_THROWS(lime::OutcomeUnknownError, sesame->trigger(ask_for("lost.one")));
    at("count lost.one 1");
    at("lose");
    CHECK_EQ(sesame->trigger(ask_for("lost.two", "lost")).status(), std::string("pending"));
    at("count lost.two 1");
    const lime::Error refused = CHECK_THROWS(lime::ApiError, sesame->require_approval(ask_for("")));
    CHECK_EQ(refused.http_status().value_or(0), 422);
}

void a_wait_rides_out_faults() {
    const std::string id = sesame->trigger(ask_for("a.b")).approval_id();
    at("faults");
    auto waiting = sesame->wait_start(id, {lime::forever, 1ms});
    at("polls 1");
    at("decide " + id + " approved");
    CHECK(waiting.get().is_approved());
}

struct Delivery {
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};

/// What run.py's receiver got: a number of headers, then their names and values, then the body.
Delivery delivery() {
    Delivery delivery;
    const int count = std::stoi(at("webhook"));
    const auto line = [] {
        std::string text;
        if (!std::getline(std::cin, text)) std::exit(2);
        return text;
    };
    for (int each = 0; each < count; each++) {
        std::string name = line();
        delivery.headers.emplace_back(std::move(name), line());
    }
    delivery.body = line();
    return delivery;
}

void a_webhook_arrives() {
    const std::string secret = std::getenv("SESAME_WEBHOOK_SECRET");
    lime::WebhookVerifier verifier;
    verifier.add_secret("whsec_old").add_secret(secret).set_replay_guard();
    lime::ApprovalRequest request = ask_for("web.hook", "hooked");
    request.set_callback_url(std::getenv("CALLBACK_URL"));
    const std::string id = sesame->trigger(request).approval_id();
    at("decide " + id + " denied");
    const Delivery first = delivery();
    const lime::Webhook webhook = verifier.verify(first.headers, first.body);
    CHECK_EQ(webhook.approval_id(), id);
    CHECK_EQ(webhook.action(), std::string("web.hook"));
    CHECK_EQ(webhook.status(), std::string("denied"));
    CHECK_EQ(webhook.text("dedup_key"), std::string("hooked"));
    CHECK_EQ(webhook.payload_json(), first.body);
    at("resend " + id);
    const Delivery again = delivery();
    CHECK_EQ(CHECK_THROWS(lime::WebhookError, verifier.verify(again.headers, again.body)).code(),
             std::string(LIME_REFUSAL_REPLAYED));
    CHECK(verifier.forget(again.body));
    CHECK_EQ(verifier.verify(again.headers, again.body).approval_id(), id);
    CHECK_EQ(lime::WebhookVerifier("whsec_old").try_verify(again.headers, again.body).error().code(),
             std::string(LIME_REFUSAL_MISMATCH));
}

void an_mcp_server_verifies_tokens() {
    lime::TokenVerifierOptions options;
    options.expected_domain = "localhost";
    CHECK_THROWS(lime::InvalidArgumentError, lime::TokenVerifier(options));
    options.expected_domain = "https://Tools.Example.com/mcp";
    options.leeway = std::chrono::minutes(2);
    const lime::TokenVerifier verifier(options);
    CHECK_EQ(verifier.expected_domain(), std::string("tools.example.com"));
    const std::string good = at("token tools.example.com"), other = at("token other.example.com");
    CHECK(!verifier.try_verify_cached(good).value());
    const lime::VerifiedToken token = verifier.verify(good);
    CHECK_EQ(token.domain(), std::string("tools.example.com"));
    CHECK_EQ(token.agent_id(), token.text_claim("sub").value());
    CHECK(token.claims_json().find("\"mcp\"") != std::string::npos);
    CHECK(verifier.try_verify_cached(good).value()->agent_id() == token.agent_id());
    CHECK_EQ(verifier.verify_start(good).get().agent_id(), token.agent_id());
    const lime::Error wrong = CHECK_THROWS(lime::InvalidTokenError, verifier.verify(other));
    CHECK_EQ(wrong.code(), std::string(LIME_TOKEN_WRONG_DOMAIN));
    const lime::TokenRefusal refusal(wrong, "https://tools.example.com/m");
    CHECK_EQ(refusal.http_status(), 401);
    CHECK(refusal.www_authenticate()->find("resource_metadata=") != std::string::npos && !refusal.retry_after());
    CHECK(refusal.body_json().find("Domain mismatch") != std::string::npos);
    CHECK_EQ(lime::bearer_token({"bearer a.b.c"}), std::string("a.b.c"));
    CHECK_EQ(CHECK_THROWS(lime::InvalidTokenError, lime::bearer_token({})).code(), std::string(LIME_TOKEN_MISSING_TOKEN));
    CHECK_EQ(lime::try_bearer_token({"Bearer a", "Bearer b"}).error().code(), std::string(LIME_TOKEN_AMBIGUOUS_TOKEN));
    CHECK_EQ(lime::normalize_mcp_domain("HTTPS://A.example/x"), std::string("a.example"));
    CHECK_EQ(verifier.fetches(), std::uint64_t{1});
    verifier.warm_up();
    verifier.forget_keys();
    CHECK_EQ(verifier.verify(good).agent_id(), token.agent_id());
    CHECK_EQ(verifier.fetches(), std::uint64_t{3});
    verifier.close();
    CHECK_THROWS(lime::ClosedError, verifier.verify(good));
}

} // namespace

#define LOGIN(test) RUN_TEST("login", test)
#define SESAME(test) RUN_TEST("sesame", test)

int main() {
    alarm(200);
    LOGIN(clients);
    LOGIN(through_a_503_and_a_cut);
    LOGIN(through_rotated_keys);
    LOGIN(a_passport_without_issuer);
    LOGIN(a_request_expires);
    LOGIN(the_profile);
    LOGIN(everything_is_dropped);
    RUN_TEST("token_verifier", an_mcp_server_verifies_tokens);
    sesame.emplace();
    SESAME(everything_is_asked_for);
    SESAME(a_decision_is_waited_for);
    SESAME(the_same_key_is_the_same_approval);
    SESAME(a_gate_opens);
    SESAME(a_gate_stays_shut);
    SESAME(a_gate_lets_one_call_through);
    SESAME(an_approval_expires);
    SESAME(nobody_decides_in_time);
    SESAME(cancelling_a_wait_and_a_gate);
    SESAME(unknown_ids_and_lost_answers);
    SESAME(a_wait_rides_out_faults);
    SESAME(a_webhook_arrives);
    sesame.reset();
    return check_failed ? 1 : 0;
}
