// Where C++ and the C library meet: errors in all forms, arguments that cannot pass, futures and cancelling,
// exceptions of handlers, who lives how long, moves. Against a sandbox that run.py drives at `at`.
#include "check.hpp"

#include <map>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

const std::string nul("a\0b", 3);

lime::LoginRequest new_request(const lime::Site &site) { return site.create_login_request(); }

void until_open(const lime::Site &site) {
    until([&] { return site.state() == lime::StreamState::open; });
}

/// Nobody signs in any more: the event comes.
void expire(const std::string &id) { at("expire " + id); }

// ---- names and errors

void versions() {
    CHECK_EQ(lime::version(), std::string(LIME_VERSION));
    CHECK_EQ(lime::abi_version(), static_cast<std::uint32_t>(LIME_ABI_VERSION));
    CHECK_EQ(lime::status_name(LIME_ERROR_CLOSED), std::string("closed"));
    CHECK_EQ(lime::status_description(4711), std::string("unknown"));
}

template <class Kind> bool raises(const lime::Error &error) {
    try {
        error.raise();
    } catch (const Kind &thrown) {
        return thrown.status() == error.status() && std::string(thrown.what()) == error.what();
    } catch (...) {
        return false;
    }
}

void every_status_has_its_class() {
    int known = 0;
    for (std::int32_t status = 1; status < 200; status++) {
        const lime::Error error(status, "why");
        const bool is_known = lime::status_name(status) != "unknown";
        known += is_known;
        CHECK_EQ(error.status(), status);
        CHECK_EQ(error.kind(), static_cast<lime::ErrorKind>(is_known ? status : LIME_ERROR_API));
        if (!is_known) CHECK(raises<lime::ApiError>(error));
        CHECK_EQ(lime::status_parent(lime::status_parent(status)), lime::status_parent(status));
    }
    CHECK_EQ(known, 28);
    CHECK_EQ(lime::status_parent(LIME_OK), LIME_OK);
    CHECK_EQ(lime::status_parent(LIME_ERROR_AGENT_INACTIVE), LIME_ERROR_AUTHENTICATION);
    CHECK_EQ(lime::status_parent(4711), LIME_ERROR_API);
    CHECK(raises<lime::InvalidArgumentError>({LIME_ERROR_INVALID_ARGUMENT, "why"}));
    CHECK(raises<lime::ClosedError>({LIME_ERROR_CLOSED, "why"}));
    CHECK(raises<lime::CancelledError>({LIME_ERROR_CANCELLED, "why"}));
    CHECK(raises<lime::TimeoutError>({LIME_ERROR_TIMEOUT, "why"}));
    CHECK(raises<lime::WouldDeadlockError>({LIME_ERROR_WOULD_DEADLOCK, "why"}));
    CHECK(raises<lime::InternalError>({LIME_ERROR_INTERNAL, "why"}));
    CHECK(raises<lime::TransportError>({LIME_ERROR_TRANSPORT, "why"}));
    CHECK(raises<lime::TransportTimeoutError>({LIME_ERROR_TRANSPORT_TIMEOUT, "why"}));
    CHECK(raises<lime::TransportError>({LIME_ERROR_TRANSPORT_TIMEOUT, "why"}));
    CHECK(raises<lime::BadResponseError>({LIME_ERROR_BAD_RESPONSE, "why"}));
    CHECK(raises<lime::OutcomeUnknownError>({LIME_ERROR_OUTCOME_UNKNOWN, "why"}));
    CHECK(raises<lime::RateLimitError>({LIME_ERROR_RATE_LIMIT, "why"}));
    CHECK(raises<lime::AuthenticationError>({LIME_ERROR_AUTHENTICATION, "why"}));
    CHECK(raises<lime::ApiError>({LIME_ERROR_API, "why"}));
    CHECK(raises<lime::NotFoundError>({LIME_ERROR_NOT_FOUND, "why"}));
    CHECK(raises<lime::AgentInactiveError>({LIME_ERROR_AGENT_INACTIVE, "why"}));
    CHECK(raises<lime::AuthenticationError>({LIME_ERROR_AGENT_INACTIVE, "why"}));
    CHECK(raises<lime::AgentUserSuspendedError>({LIME_ERROR_AGENT_USER_SUSPENDED, "why"}));
    CHECK(raises<lime::AuthenticationError>({LIME_ERROR_AGENT_USER_SUSPENDED, "why"}));
    CHECK(raises<lime::AuthUnavailableError>({LIME_ERROR_AUTH_UNAVAILABLE, "why"}));
    CHECK(raises<lime::ApiError>({LIME_ERROR_AUTH_UNAVAILABLE, "why"}));
    CHECK(raises<lime::SiteAuthUnavailableError>({LIME_ERROR_SITE_AUTH_UNAVAILABLE, "why"}));
    CHECK(raises<lime::ApiError>({LIME_ERROR_SITE_AUTH_UNAVAILABLE, "why"}));
    CHECK(raises<lime::InvalidPassportError>({LIME_ERROR_INVALID_PASSPORT, "why"}));
    CHECK(raises<lime::PassportExpiredError>({LIME_ERROR_PASSPORT_EXPIRED, "why"}));
    CHECK(raises<lime::InvalidPassportError>({LIME_ERROR_PASSPORT_EXPIRED, "why"}));
    CHECK(raises<lime::InvalidTokenError>({LIME_ERROR_INVALID_TOKEN, "why"}));
    CHECK(raises<lime::PowTimeoutError>({LIME_ERROR_POW_TIMEOUT, "why"}));
    CHECK(raises<lime::PowDifficultyError>({LIME_ERROR_POW_DIFFICULTY, "why"}));
    CHECK(raises<lime::PowTimeoutError>({LIME_ERROR_POW_DIFFICULTY, "why"}));
    CHECK(raises<lime::ApprovalDeniedError>({LIME_ERROR_APPROVAL_DENIED, "why"}));
    CHECK(raises<lime::WebhookError>({LIME_ERROR_WEBHOOK, "why"}));
    CHECK(raises<lime::OAuthCapabilityError>({LIME_ERROR_OAUTH_CAPABILITY, "why"}));
    CHECK(raises<lime::ApiError>({LIME_ERROR_OAUTH_CAPABILITY, "why"}));
    CHECK(raises<lime::McpAuthenticationError>({LIME_ERROR_MCP_AUTHENTICATION, "why"}));
    CHECK(raises<lime::McpError>({LIME_ERROR_MCP, "why"}));
}

lime::Site without_retries() {
    lime::SiteOptions options;
    options.max_retries = 0;
    return lime::Site(options);
}

void what_the_platform_says_arrives() {
    const lime::Site site;
    const lime::Error missing =
        CHECK_THROWS(lime::ApiError, site.read_login_request("00000000-0000-4000-8000-000000000000"));
    CHECK_EQ(missing.status(), LIME_ERROR_API);
    CHECK_EQ(missing.kind(), lime::ErrorKind::api);
    CHECK_EQ(missing.http_status().value_or(0), 404);
    CHECK(missing.code().has_value() && std::string(missing.what()).size() > 3);
    CHECK_EQ(missing.request_id(), std::string("00000000-0000-4000-8000-000000000000"));
    CHECK(!missing.approval_id() && !missing.retry_after());
    at("rate-limit");
    const auto limited = without_retries().try_create_login_request();
    CHECK(!limited && limited.status() == LIME_ERROR_RATE_LIMIT);
    CHECK_EQ(limited.error().http_status().value_or(0), 429);
    CHECK_EQ(limited.error().code(), std::string("RATE_LIMIT_EXCEEDED"));
    CHECK(limited.error().retry_after() == std::optional<std::chrono::milliseconds>(7s));
    CHECK(limited.error().detail_json().value_or("").find("\"limit\"") != std::string::npos);
    CHECK_THROWS(lime::RateLimitError, limited.value());
}

void a_result_is_a_value_or_an_error() {
    lime::Result<std::string> good(std::string("value"));
    CHECK(good && good.has_value() && good.status() == LIME_OK);
    CHECK_EQ(*good, std::string("value"));
    CHECK_EQ(good->size(), std::size_t{5});
    CHECK_EQ(std::move(good).value(), std::string("value"));
    bool threw = false;
    try {
        static_cast<void>(lime::Result<std::string>(std::string("value")).error());
    } catch (const std::bad_variant_access &) {
        threw = true;
    }
    CHECK(threw);
    const lime::Result<std::string> bad(lime::Error(LIME_ERROR_CLOSED, "why"));
    CHECK(!bad && bad.status() == LIME_ERROR_CLOSED && bad.error().kind() == lime::ErrorKind::closed);
    CHECK_THROWS(lime::ClosedError, *bad);
    CHECK_THROWS(lime::ClosedError, bad->size());
    const lime::Result<void> nothing, not_even(lime::Error(LIME_ERROR_TIMEOUT, "why"));
    CHECK(nothing && !not_even);
    nothing.value();
    CHECK_THROWS(lime::TimeoutError, not_even.value());
}

// ---- arguments

void a_nul_is_refused_and_not_cut() {
    const lime::Site site;
    const lime::Agent agent;
    const lime::Sesame sesame;
    lime::ApprovalRequest request("a.b", "c");
    const int before = std::stoi(at("received"));
    const lime::Error error = CHECK_THROWS(lime::InvalidArgumentError, site.read_login_request(nul));
    CHECK_EQ(std::string(error.what()), std::string("request_id contains a NUL"));
    CHECK_THROWS(lime::InvalidArgumentError, site.read_login_request_start(nul).get());
    CHECK_THROWS(lime::InvalidArgumentError, site.read_login_request_start(nul, [](auto) {}));
    CHECK_THROWS(lime::InvalidArgumentError, site.wait_for_login(nul, 1ms));
    CHECK_THROWS(lime::InvalidArgumentError, site.wait_for_login_start(nul, 1ms).get());
    CHECK_THROWS(lime::InvalidArgumentError, site.wait_for_login_start(nul, 1ms, [](auto) {}));
    CHECK_THROWS(lime::InvalidArgumentError, site.verify_passport(nul, std::nullopt));
    CHECK_THROWS(lime::InvalidArgumentError, site.verify_passport("a.b.c", nul));
    CHECK_THROWS(lime::InvalidArgumentError, site.verify_passport_start("a.b.c", nul).get());
    CHECK_THROWS(lime::InvalidArgumentError, agent.login(nul));
    CHECK_THROWS(lime::InvalidArgumentError, agent.login_start(nul).get());
    CHECK_THROWS(lime::InvalidArgumentError, sesame.get(nul));
    CHECK_THROWS(lime::InvalidArgumentError, sesame.wait(nul));
    CHECK_THROWS(lime::InvalidArgumentError, sesame.wait_start(nul, {}, [](auto) {}));
    CHECK_THROWS(lime::InvalidArgumentError, lime::ApprovalRequest(nul, "b"));
    CHECK_THROWS(lime::InvalidArgumentError, lime::ApprovalRequest("a", nul));
    CHECK_THROWS(lime::InvalidArgumentError, request.set_reason(nul));
    CHECK_THROWS(lime::InvalidArgumentError, request.set_severity(nul));
    CHECK_THROWS(lime::InvalidArgumentError, request.set_dedup_key(nul));
    CHECK_THROWS(lime::InvalidArgumentError, request.set_callback_url(nul));
    CHECK_THROWS(lime::InvalidArgumentError, request.set_context_json("{\"a\": \"" + nul + "\"}"));
    CHECK_THROWS(lime::InvalidArgumentError, lime::parse_timestamp(nul));
    CHECK_THROWS(lime::InvalidArgumentError, lime::verify_passport(nul, "{}", "https://a.b/api/v1", std::nullopt));
    CHECK_THROWS(lime::InvalidArgumentError, lime::verify_passport("a.b.c", "{}", nul, std::nullopt));
    CHECK_THROWS(lime::InvalidArgumentError, lime::verify_passport("a.b.c", "{}", "https://a.b/api/v1", nul));
    CHECK_EQ(std::stoi(at("received")), before);
}

void other_arguments_that_cannot_pass() {
    const lime::Site site;
    const lime::Sesame sesame;
    const lime::ApprovalRequest request("a.b", "c");
    lime::ApprovalRequest changing("a.b", "c");
    CHECK_THROWS(lime::InvalidArgumentError, site.read_login_request("\xff"));
    CHECK_THROWS(lime::InvalidArgumentError, site.wait_for_login("x", -1ms));
    CHECK_THROWS(lime::InvalidArgumentError, sesame.wait("x", {-1ms, 1ms}));
    CHECK_THROWS(lime::InvalidArgumentError, sesame.require_approval(request, {1ms, -1ms}));
    CHECK_THROWS(lime::InvalidArgumentError, sesame.require_approval_start(request, {1ms, -1ms}).get());
    CHECK_THROWS(lime::InvalidArgumentError, site.create_login_request_start({}));
    CHECK_THROWS(lime::InvalidArgumentError, site.on_login({}));
    CHECK_THROWS(lime::InvalidArgumentError, site.on_state({}));
    CHECK_THROWS(lime::InvalidArgumentError, site.on_gap({}));
    CHECK_THROWS(lime::InvalidArgumentError, changing.set_context_json("[]"));
    CHECK_THROWS(lime::InvalidArgumentError, changing.set_context_json(""));
    changing.set_context_json(std::nullopt).set_reason(std::nullopt);
    CHECK_THROWS(lime::InvalidArgumentError, lime::WebhookVerifier("x").set_tolerance(-1ms));
    CHECK_THROWS(lime::InvalidArgumentError, lime::WebhookVerifier("x").set_now(lime::UnixTime(-1s)));
    CHECK_THROWS(lime::InvalidArgumentError, lime::solve_pow("a", 1, lime::PowDigest::automatic, 1s));
    CHECK_THROWS(lime::InvalidArgumentError, lime::solve_pow("a", 1, lime::PowDigest::seed, -1s));
    CHECK_THROWS(lime::PowTimeoutError, lime::solve_pow("a", 200, lime::PowDigest::seed, 0s));
    CHECK_THROWS(lime::PowDifficultyError, lime::solve_pow("a", 300, lime::PowDigest::seed, lime::forever));
    CHECK_THROWS(lime::TimeoutError, site.wait_for_login(new_request(site).request_id(), 0ms));
}

template <class Client, class Options> void refuses(Options options, const std::string &name) {
    const auto client = Client::try_new(options);
    CHECK(!client && client.status() == LIME_ERROR_INVALID_ARGUMENT);
    if (!client) CHECK_EQ(std::string(client.error().what()).substr(0, name.size()), name);
}

template <class Options, class Change> Options changed(const Change &change) {
    Options options;
    change(options);
    return options;
}

void options_are_checked() {
    using lime::Agent, lime::AgentOptions, lime::Sesame, lime::SesameOptions, lime::Site, lime::SiteOptions;
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.site_token = nul; }), "site_token contains");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.base_url = nul; }), "base_url contains");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.timeout = 0ms; }), "timeout");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.timeout = -1ms; }), "timeout is negative");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.sse_backoff_base = -1ms; }), "sse_backoff_base");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.post_retry = static_cast<lime::PostRetry>(7); }), "post_retry");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.platform = static_cast<lime::Platform>(7); }), "platform");
    refuses<Site>(changed<SiteOptions>([](auto &o) { o.jwks_form = static_cast<lime::JwksForm>(7); }), "jwks_form");
    refuses<Site>(changed<SiteOptions>([](auto &o) {
                      o.log = [](lime::LogLevel, std::string_view) {};
                      o.log_level = static_cast<lime::LogLevel>(7);
                  }),
                  "log_level");
    refuses<Agent>(changed<AgentOptions>([](auto &o) { o.agent_token = nul; }), "agent_token contains");
    refuses<Agent>(changed<AgentOptions>([](auto &o) { o.pow_timeout = -1ms; }), "pow_timeout is negative");
    refuses<Agent>(changed<AgentOptions>([](auto &o) { o.pow_digest = static_cast<lime::PowDigest>(7); }), "pow_digest");
    refuses<Sesame>(changed<SesameOptions>([](auto &o) { o.api_key = nul; }), "api_key contains");
    refuses<Sesame>(changed<SesameOptions>([](auto &o) { o.poll_timeout = 0ms; }), "poll_timeout");
    const auto no_token = Site::try_new(changed<SiteOptions>([](auto &o) { o.site_token = "  "; }));
    CHECK_EQ(no_token.status(), LIME_ERROR_AUTHENTICATION);
    CHECK_THROWS(lime::InvalidArgumentError, Site(changed<SiteOptions>([](auto &o) { o.base_url = "ftp://x"; })));
}

void options_reach_the_client() {
    static std::atomic<int> records{0}; // a record may come when the client is gone
    lime::SiteOptions site_options;
    site_options.site_token = "st_nobody";
    site_options.base_url = std::getenv("LIME_API_BASE");
    site_options.timeout = 20s;
    site_options.max_retries = 0;
    site_options.sse_backoff_base = 10ms;
    site_options.event_queue_limit = 3;
    site_options.jwks_cache_ttl = 1min;
    site_options.require_issuer = true;
    site_options.post_retry = lime::PostRetry::today;
    site_options.log = [](lime::LogLevel, std::string_view message) {
        records++;
        if (message.find("st_nobody") != std::string_view::npos) std::abort();
    };
    site_options.log_level = lime::LogLevel::debug;
    const lime::Error refused = CHECK_THROWS(lime::AuthenticationError, lime::Site(site_options).create_login_request());
    CHECK_EQ(refused.http_status().value_or(0), 401);
    CHECK(records > 0);
    lime::AgentOptions agent_options;
    agent_options.agent_token = "at_nobody";
    agent_options.base_url = std::getenv("LIME_API_BASE");
    agent_options.timeout = 20s;
    agent_options.max_retries = 0;
    agent_options.pow_timeout = 20s;
    agent_options.pow_digest = lime::PowDigest::today;
    agent_options.pow_threads = 2;
    agent_options.post_retry = lime::PostRetry::seed;
    CHECK_THROWS(lime::AuthenticationError, lime::Agent(agent_options).get_profile());
    lime::SesameOptions sesame_options;
    sesame_options.api_key = "sk_nobody";
    sesame_options.base_url = std::getenv("SESAME_BROKER_URL");
    sesame_options.timeout = 20s;
    sesame_options.max_retries = 0;
    sesame_options.poll_timeout = 20s;
    CHECK_THROWS(lime::AuthenticationError, lime::Sesame(sesame_options).get("ap_1"));
}

// ---- ownership

void moves() {
    lime::Site first;
    std::atomic<int> living{0};
    Mailbox<lime::StreamState> states;
    first.on_state([&, token = Token(living)](lime::StreamState state, const std::optional<lime::Error> &) {
        states.put(state);
    });
    lime::Site second = std::move(first);
    second.start_events();
    while (states.take() != lime::StreamState::open) {} // handlers stay with what was moved
    CHECK_EQ(second.state(), lime::StreamState::open);
    CHECK_EQ(first.state(), static_cast<lime::StreamState>(-1));
    CHECK(first.handler_exceptions() == 0 && !first.last_error());
    first.close();
    CHECK_THROWS(lime::InvalidArgumentError, first.create_login_request());
    CHECK_THROWS(lime::InvalidArgumentError, first.create_login_request_start().get());
    CHECK_THROWS(lime::InvalidArgumentError, first.create_login_request_start([t = Token(living)](auto) {}));
    CHECK_THROWS(lime::InvalidArgumentError, first.on_login([t = Token(living)](auto &, auto &) {}));
    CHECK_EQ(living.load(), 1);
    first = std::move(second);
    lime::LoginRequest request = new_request(first), other = std::move(request);
    CHECK(!other.request_id().empty() && request.request_id().empty());
    CHECK(request.expires_at().offset == std::nullopt);
    first = lime::Site(); // closes and frees the old one
    until([&] { return living == 0; });
    lime::Agent agent, moved_agent = std::move(agent);
    lime::Sesame sesame, moved_sesame = std::move(sesame);
    lime::ApprovalRequest asking("a.b", "c"), moved_asking = std::move(asking);
    CHECK_THROWS(lime::InvalidArgumentError, agent.get_profile());
    CHECK_THROWS(lime::InvalidArgumentError, sesame.trigger(moved_asking));
    CHECK_THROWS(lime::InvalidArgumentError, moved_sesame.trigger(asking));
    CHECK_THROWS(lime::InvalidArgumentError, asking.set_reason("why"));
    CHECK_EQ(moved_sesame.trigger(moved_asking).status(), std::string("pending"));
    CHECK(!moved_agent.get_profile().agent_id().empty());
    lime::WebhookVerifier verifier("secret"), moved_verifier = std::move(verifier);
    CHECK_THROWS(lime::InvalidArgumentError, verifier.verify("a", "b", "c"));
    CHECK_THROWS(lime::WebhookError, moved_verifier.verify("a", "b", "c"));
    lime::SseParser parser, moved_parser = std::move(parser);
    CHECK_THROWS(lime::InvalidArgumentError, parser.feed("data: 1\n\n"));
    CHECK_EQ(moved_parser.feed("data: 1\n\n").size(), std::size_t{1});
    CHECK(parser.last_event_id().empty() && !parser.retry());
    lime::Result<lime::Site> made = lime::Site::try_new();
    const lime::Site from_result = std::move(made).value();
    CHECK_EQ(from_result.state(), lime::StreamState::idle);
}

void handlers_live_as_long_as_the_client() {
    std::atomic<int> living{0};
    {
        lime::SiteOptions options;
        options.log = [token = Token(living)](lime::LogLevel, std::string_view) {};
        options.on_error = [token = Token(living)](std::exception_ptr) {};
        const lime::Site site(options);
        options = lime::SiteOptions();
        CHECK_EQ(living.load(), 2);
        site.on_login([token = Token(living)](auto &, auto &) {});
        site.on_login([token = Token(living)](auto &, auto &) {});
        site.on_state([token = Token(living)](auto, auto &) {});
        site.on_gap([token = Token(living)](auto &) {});
        CHECK_EQ(living.load(), 6);
        site.close();
        CHECK_THROWS(lime::ClosedError, site.on_login([token = Token(living)](auto &, auto &) {}));
        CHECK_THROWS(lime::ClosedError, site.on_gap([token = Token(living)](auto &) {}));
        CHECK_EQ(living.load(), 6);
    }
    until([&] { return living == 0; });
}

// ---- started calls

void a_future_brings_the_result() {
    const lime::Site site;
    lime::Operation<lime::LoginRequest> creating = site.create_login_request_start();
    CHECK(creating.valid() && creating.operation() != 0);
    const lime::LoginRequest request = creating.get();
    CHECK_EQ(request.status(), std::string("PENDING"));
    CHECK(!creating.valid() && !creating.cancel());
    std::future<lime::LoginRequestStatus> reading = site.read_login_request_start(request.request_id()).take_future();
    CHECK_EQ(reading.get().request_id(), request.request_id());
    auto failing = site.read_login_request_start("00000000-0000-4000-8000-000000000000");
    failing.wait();
    CHECK(failing.wait_for(0s));
    CHECK_THROWS(lime::ApiError, failing.get());
}

void cancelling_before_during_and_after() {
    const lime::Site site;
    const lime::Agent agent;
    const std::string id = new_request(site).request_id();
    auto before = site.wait_for_login_start(id, lime::forever);
    CHECK(before.cancel()); // whether it has begun or not
    CHECK(!before.cancel());
    CHECK_THROWS(lime::CancelledError, before.get());
    auto during = site.wait_for_login_start(id, lime::forever);
    until_open(site);
    CHECK(!during.wait_for(0s) && during.cancel());
    CHECK_THROWS(lime::CancelledError, during.get());
    const auto after = site.create_login_request_start();
    after.wait();
    CHECK(!after.cancel());
    at("hard");
    auto hashing = agent.login_start(new_request(site).request_id());
    at("challenged");
    CHECK(hashing.cancel());
    CHECK_THROWS(lime::CancelledError, hashing.get());
    at("easy");
    CHECK(!lime::Started().cancel() && !lime::Started(UINT64_MAX).cancel());
}

void a_future_is_never_broken() {
    lime::Site site;
    site.close();
    CHECK_THROWS(lime::ClosedError, site.create_login_request_start().get());
    CHECK_THROWS(lime::ClosedError, site.wait_for_login_start("x", 1s).get());
    std::vector<lime::Operation<lime::LoginRequest>> creating;
    std::vector<lime::Operation<lime::Approval>> waiting;
    const std::string id = lime::Sesame().trigger(lime::ApprovalRequest("a.b", "c")).approval_id();
    {
        const lime::Site freed;
        const lime::Sesame freed_sesame;
        for (int each = 0; each < 20; each++) creating.push_back(freed.create_login_request_start());
        for (int each = 0; each < 20; each++) waiting.push_back(freed_sesame.wait_start(id));
    }
    for (auto &each : creating) CHECK(!each.get().request_id().empty());
    for (auto &each : waiting) CHECK(each.cancel());
    for (auto &each : waiting) CHECK_THROWS(lime::CancelledError, each.get());
}

void an_operation_may_be_dropped() {
    const lime::Site site;
    const std::string id = new_request(site).request_id();
    std::optional<lime::Started> started;
    {
        auto waiting = site.wait_for_login_start(id, lime::forever);
        started = waiting; // by its number alone
    }
    CHECK(started->cancel());
    CHECK_EQ(site.read_login_request(id).status(), std::string("PENDING"));
}

void then_is_called_once_and_dropped_once() {
    std::atomic<int> living{0};
    Mailbox<std::string> results;
    const lime::Site site;
    const std::thread::id here = std::this_thread::get_id();
    const lime::Started started = site.create_login_request_start(
        [&, token = Token(living)](lime::Result<lime::LoginRequest> request) {
            results.put(std::this_thread::get_id() == here ? "on this thread" : request->request_id());
        });
    CHECK(started.operation() != 0);
    CHECK_EQ(site.read_login_request(results.take()).status(), std::string("PENDING"));
    const lime::Started cancelled = site.wait_for_login_start(
        new_request(site).request_id(), lime::forever, [&, token = Token(living)](lime::Result<lime::LoginEvent> event) {
            results.put(lime::status_name(event.status()));
        });
    CHECK(cancelled.cancel());
    CHECK_EQ(results.take(), std::string("cancelled"));
    until([&] { return living == 0; });
    CHECK_EQ(results.size(), std::size_t{0});
    site.close();
    CHECK_THROWS(lime::ClosedError, site.create_login_request_start([&, token = Token(living)](auto) { results.put("x"); }));
    CHECK_EQ(living.load(), 0);
    CHECK_EQ(results.size(), std::size_t{0});
}

void a_handler_cannot_wait_for_itself() {
    const lime::Site site;
    const lime::Sesame sesame;
    Mailbox<int> blocking, got, waited, ready;
    const auto status_of = [](const auto &body) {
        try {
            body();
        } catch (const lime::Error &error) {
            return error.status();
        }
        return LIME_OK;
    };
    auto finished = site.create_login_request_start();
    finished.wait();
    site.create_login_request_start([&](lime::Result<lime::LoginRequest> request) {
        blocking.put(site.try_create_login_request().status());
        auto reading = site.read_login_request_start(request->request_id());
        got.put(status_of([&] { reading.get(); }));
        waited.put(status_of([&] { reading.wait(); }));
        ready.put(status_of([&] { finished.get(); }));
        CHECK(reading.valid());
    });
    CHECK_EQ(blocking.take(), LIME_ERROR_WOULD_DEADLOCK);
    CHECK_EQ(got.take(), LIME_ERROR_WOULD_DEADLOCK);
    CHECK_EQ(waited.take(), LIME_ERROR_WOULD_DEADLOCK);
    CHECK_EQ(ready.take(), LIME_OK);
    CHECK(!new_request(site).request_id().empty()); // not this thread's flag
    CHECK(!site.create_login_request_start().get().request_id().empty());
}

// ---- exceptions of handlers

std::string thrown(std::exception_ptr exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception &error) {
        return error.what();
    } catch (int number) {
        return std::to_string(number);
    }
}

void an_exception_goes_to_on_error() {
    Mailbox<std::string> errors, seen;
    std::atomic<int> calls{0};
    lime::SiteOptions options;
    options.on_error = [&](std::exception_ptr exception) { errors.put(thrown(exception)); };
    options.log = [](lime::LogLevel level, std::string_view) {
        if (level == lime::LogLevel::error) std::abort();
    };
    const lime::Site site(options);
    site.on_login([&](const std::string &, const std::optional<std::string> &) {
        if (calls++ == 0) throw std::runtime_error("first");
        throw 42;
    });
    site.on_login([&](const std::string &id, const std::optional<std::string> &) { seen.put(id); });
    until_open(site);
    for (const char *expected : {"first", "42"}) {
        const std::string id = new_request(site).request_id();
        expire(id);
        CHECK_EQ(errors.take(), std::string(expected));
        CHECK_EQ(seen.take(), id); // the next handler, and the next event
    }
    site.create_login_request_start([](auto) { throw std::logic_error("then"); });
    CHECK_EQ(errors.take(), std::string("then"));
    site.on_state([](auto, auto &) { throw std::logic_error("state"); });
    CHECK_EQ(errors.take(), std::string("state"));
    CHECK_EQ(site.handler_exceptions(), std::uint64_t{4});
}

void an_exception_goes_to_the_log_else() {
    Mailbox<std::string> errors;
    lime::AgentOptions options;
    options.log = [&](lime::LogLevel level, std::string_view message) {
        if (level == lime::LogLevel::error) errors.put(std::string(message));
    };
    const lime::Agent agent(options);
    agent.get_profile_start([](auto) { throw std::logic_error("why"); });
    CHECK_EQ(errors.take(), std::string("a handler threw an exception: why"));
    agent.get_profile_start([](auto) { throw 42; });
    CHECK_EQ(errors.take(), std::string("a handler threw something that is no std::exception"));
    CHECK_EQ(agent.handler_exceptions(), std::uint64_t{2});
}

void an_exception_is_counted_in_any_case() {
    const lime::Agent silent;
    silent.get_profile_start([](auto) { throw 42; });
    until([&] { return silent.handler_exceptions() == 1; });
    lime::AgentOptions options;
    options.on_error = [](std::exception_ptr) { throw std::runtime_error("on_error"); };
    const lime::Agent worse(options);
    worse.get_profile_start([](auto) { throw 42; });
    until([&] { return worse.handler_exceptions() == 2; });
    options.on_error = {};
    options.log = [](lime::LogLevel, std::string_view) { throw std::runtime_error("log"); };
    options.log_level = lime::LogLevel::debug;
    const lime::Agent worst(options);
    CHECK(!worst.get_profile().agent_id().empty());
    CHECK(worst.handler_exceptions() > 0);
}

// ---- closing

/// The event goes to another stream of the same site, before there is one that misses it.
void a_login_that_was_lost_is_reported() {
    const lime::Clock clock(std::chrono::system_clock::now(), true);
    Mailbox<std::vector<std::string>> gaps;
    Mailbox<std::string> errors;
    lime::SiteOptions options;
    options.clock = &clock;
    options.on_error = [&](std::exception_ptr exception) { errors.put(thrown(exception)); };
    const lime::Site site(options);
    site.on_gap([](auto &) { throw std::runtime_error("gap"); });
    site.on_gap([&](const std::vector<std::string> &request_ids) { gaps.put(request_ids); });
    const std::string id = new_request(site).request_id();
    {
        const lime::Site other;
        other.start_events();
        until_open(other);
        lime::Agent().login(id);
    }
    site.start_events();
    auto waiting = site.wait_for_login_start(id, 100s);
    std::atomic<bool> done{false};
    std::thread hurry([&] {
        until([&] {
            clock.advance(1s);
            return done.load();
        });
    });
    CHECK_EQ(gaps.take(), std::vector<std::string>{id});
    CHECK_EQ(errors.take(), std::string("gap"));
    CHECK_THROWS(lime::OutcomeUnknownError, waiting.get());
    done = true;
    hurry.join();
}

void closing_in_a_handler() {
    Mailbox<std::string> seen;
    lime::Site site;
    std::atomic<int> living{0};
    const std::string id = new_request(site).request_id(), later = new_request(site).request_id();
    site.on_login([&, token = Token(living)](const std::string &request_id, auto &) {
        site.close();
        seen.put(request_id);
    });
    until_open(site);
    expire(id);
    CHECK_EQ(seen.take(), id);
    expire(later);
    CHECK_EQ(site.state(), lime::StreamState::closed);
    site = lime::Site();
    until([&] { return living == 0; });
    CHECK(!site.wait_for_login(later, 1min).passport()); // it was kept for whoever comes
    CHECK_EQ(seen.size(), std::size_t{0});
}

void destroying_the_client_in_its_own_handler() {
    Mailbox<std::string> seen;
    Mailbox<int> started;
    std::atomic<int> living{0};
    auto site = std::make_unique<lime::Site>();
    const std::string id = new_request(*site).request_id();
    site->on_login([&, token = Token(living)](const std::string &request_id, auto &) {
        site.reset();
        seen.put(request_id);
    });
    until_open(*site);
    expire(id);
    CHECK_EQ(seen.take(), id);
    until([&] { return living == 0; });
    CHECK(!site);
    auto agent = std::make_unique<lime::Agent>();
    agent->get_profile_start([&, token = Token(living)](lime::Result<lime::AgentProfile> profile) {
        started.take(); // nobody may use the client any more
        agent.reset();
        throw std::runtime_error(profile->agent_id()); // where its exceptions go is still there
    });
    started.put(1);
    until([&] { return living == 0; });
    CHECK(!agent);
}

void destroying_a_client_waits_for_its_handler() {
    Mailbox<int> entered, go_on;
    std::atomic<bool> left{false};
    auto site = std::make_unique<lime::Site>();
    site->on_state([&](lime::StreamState state, auto &) {
        if (state != lime::StreamState::open) return;
        entered.put(1);
        go_on.take();
        left = true;
    });
    site->start_events();
    entered.take();
    std::thread freeing([&] {
        site.reset();
        CHECK(left);
    });
    go_on.put(1);
    freeing.join();
}

// ---- the rest

void eight_threads_use_one_client() {
    const lime::Site site;
    const lime::Sesame sesame;
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int each = 0; each < 8; each++)
        threads.emplace_back([&] {
            for (int round = 0; round < 10; round++) {
                const auto request = site.try_create_login_request();
                const lime::ApprovalRequest asking("a.b", "c");
                auto approval = sesame.trigger_start(asking);
                good += request && site.read_login_request_start(request->request_id()).get().status() == "PENDING" &&
                        !approval.get().is_terminal();
            }
        });
    for (auto &thread : threads) thread.join();
    CHECK_EQ(good.load(), 80);
}

void a_parser_hands_its_handlers_exception_on() {
    lime::SseParser parser;
    std::vector<std::string> seen;
    const auto handler = [&](const lime::SseEvent &event) {
        seen.push_back(event.data);
        if (event.data == "2") throw std::runtime_error("two");
    };
    bool threw = false;
    try {
        parser.feed("data: 1\n\ndata: 2\n\ndata: 3\n\nda", handler);
    } catch (const std::runtime_error &error) {
        threw = std::string(error.what()) == "two";
    }
    CHECK(threw && seen == (std::vector<std::string>{"1", "2"}));
    parser.feed("ta: 4\nid: 9\nretry: 70\n\n", handler);
    CHECK_EQ(seen.back(), std::string("4"));
    CHECK_EQ(parser.last_event_id(), std::string("9"));
    CHECK(parser.retry() == std::optional<std::chrono::milliseconds>(70ms));
    CHECK_THROWS(lime::InvalidArgumentError, parser.feed("x", lime::SseParser::Handler()));
    const std::string large(3 << 20, 'x');
    CHECK_THROWS(lime::BadResponseError, parser.feed("data: " + large));
}

void webhooks_from_any_container() {
    const std::string body = R"({"approval_id":"ap_1","status":"approved","decided_at":"2026-11-24T10:00:00Z"})";
    const auto now = std::chrono::system_clock::now();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    const auto headers = lime::sign_webhook(body, "secret", static_cast<std::uint64_t>(seconds));
    lime::WebhookVerifier verifier;
    verifier.add_secret("old").add_secret("secret").set_tolerance(1h).set_now(now);
    CHECK_EQ(verifier.verify(headers, body).approval_id(), std::string("ap_1"));
    const std::map<std::string, std::string> map(headers.begin(), headers.end());
    CHECK_EQ(verifier.verify(map, body).status(), std::string("approved"));
    const std::multimap<std::string_view, std::string_view> views(map.begin(), map.end());
    const lime::Webhook webhook = verifier.verify(views, body);
    CHECK_EQ(webhook.text("decided_at"), std::string("2026-11-24T10:00:00Z"));
    CHECK_EQ(webhook.text(nul), std::nullopt);
    CHECK_EQ(webhook.action(), std::nullopt);
    CHECK_EQ(webhook.timestamp(), static_cast<std::uint64_t>(seconds));
    const std::string signature = headers[0].second, timestamp = headers[1].second;
    CHECK_EQ(verifier.verify(signature, timestamp, body).payload_json(), body);
    CHECK_EQ(verifier.try_verify(std::nullopt, timestamp, body).error().code(), std::string(LIME_REFUSAL_MISSING_HEADER));
    CHECK_EQ(verifier.try_verify(signature, timestamp, body + " ").error().code(), std::string(LIME_REFUSAL_MISMATCH));
    // What would be right if it were cut at the NUL.
    const auto cut = verifier.try_verify(signature + nul, timestamp, body);
    CHECK_EQ(cut.error().code(), std::string(LIME_REFUSAL_MALFORMED_HEADER));
    const std::vector<std::pair<std::string, std::string>> cut_name = {
        {std::string(LIME_WEBHOOK_SIGNATURE_HEADER) + nul, signature}, {LIME_WEBHOOK_TIMESTAMP_HEADER, timestamp}};
    CHECK_EQ(verifier.try_verify(cut_name, body).error().code(), std::string(LIME_REFUSAL_MISSING_HEADER));
    CHECK_EQ(verifier.try_verify(signature, timestamp, body.substr(0, 5) + nul).error().code(),
             std::string(LIME_REFUSAL_MISMATCH));
    verifier.set_replay_guard(24h * 365 * 100, 10);
    CHECK(!verifier.forget(body) && verifier.try_verify(headers, body));
    CHECK_EQ(verifier.try_verify(headers, body).error().code(), std::string(LIME_REFUSAL_REPLAYED));
    CHECK(verifier.forget(body) && verifier.try_verify(headers, body));
    CHECK_THROWS(lime::WebhookError, lime::sign_webhook(body, " ", 0));
    CHECK_THROWS(lime::WebhookError, lime::WebhookVerifier("").verify(headers, body));
    // A secret may have a NUL: it is bytes.
    CHECK(lime::WebhookVerifier(nul).try_verify(lime::sign_webhook(body, nul, static_cast<std::uint64_t>(seconds)), body));
    CHECK(!lime::WebhookVerifier("a").try_verify(lime::sign_webhook(body, nul, static_cast<std::uint64_t>(seconds)), body));
}

} // namespace

#define TEST(test) RUN_TEST("boundary", test)

int main() {
    alarm(100);
    TEST(versions);
    TEST(every_status_has_its_class);
    TEST(what_the_platform_says_arrives);
    TEST(a_result_is_a_value_or_an_error);
    TEST(a_nul_is_refused_and_not_cut);
    TEST(other_arguments_that_cannot_pass);
    TEST(options_are_checked);
    TEST(options_reach_the_client);
    TEST(moves);
    TEST(handlers_live_as_long_as_the_client);
    TEST(a_future_brings_the_result);
    TEST(cancelling_before_during_and_after);
    TEST(a_future_is_never_broken);
    TEST(an_operation_may_be_dropped);
    TEST(then_is_called_once_and_dropped_once);
    TEST(a_handler_cannot_wait_for_itself);
    TEST(an_exception_goes_to_on_error);
    TEST(an_exception_goes_to_the_log_else);
    TEST(an_exception_is_counted_in_any_case);
    TEST(a_login_that_was_lost_is_reported);
    TEST(closing_in_a_handler);
    TEST(destroying_the_client_in_its_own_handler);
    TEST(destroying_a_client_waits_for_its_handler);
    TEST(eight_threads_use_one_client);
    TEST(a_parser_hands_its_handlers_exception_on);
    TEST(webhooks_from_any_container);
    return check_failed ? 1 : 0;
}
