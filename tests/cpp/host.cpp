// The host's own HTTP client in C++, the clock for tests, events that the handler owns, how far a login is.
#include "check.hpp"

#include <memory>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

using Headers = std::vector<std::pair<std::string, std::string>>;

const std::string login_request =
    R"({"ok":true,"data":{"login_request_id":"lr_1","status":"PENDING","expires_at":"2026-01-01T00:00:00Z"}})";
const Headers json = {{"content-type", "application/json"}};

/// Where a transport leaves what it is asked for. It outlives the functions, which are dropped on another thread.
struct Host {
    ~Host() {
        until([this] { return living == 0; });
    }
    Mailbox<lime::HttpRequest> requests;
    Mailbox<std::uint64_t> aborted, resumed;
    Mailbox<std::string> errors;
    std::atomic<int> living{0};
};

lime::TransportFunctions functions(Host &host) {
    lime::TransportFunctions functions;
    functions.send = [&host, token = Token(host.living)](lime::HttpRequest request) {
        host.requests.put(std::move(request));
    };
    functions.abort = [&host](std::uint64_t id) { host.aborted.put(id); };
    functions.resume = [&host](std::uint64_t id) { host.resumed.put(id); };
    functions.on_error = [&host](std::exception_ptr exception) {
        try {
            std::rethrow_exception(exception);
        } catch (const std::exception &error) {
            host.errors.put(error.what());
        }
    };
    return functions;
}

lime::SiteOptions through(const lime::Transport &transport) {
    lime::SiteOptions options;
    options.site_token = "st_x";
    options.base_url = "https://a.b/api/v1";
    options.max_retries = 0;
    options.transport = &transport;
    return options;
}

std::optional<std::string> header(const lime::HttpRequest &request, const std::string &wanted) {
    for (const auto &[name, value] : request.headers())
        if (name == wanted) return value;
    return std::nullopt;
}

void the_host_carries_a_request() {
    Host host;
    {
        const lime::Site site(through(lime::Transport(functions(host)))); // the client keeps it
        auto creating = site.create_login_request_start();
        lime::HttpRequest request = host.requests.take();
        CHECK_EQ(request.method(), std::string("POST"));
        CHECK_EQ(request.url(), std::string("https://a.b/api/v1/modules/agent-login/requests"));
        CHECK_EQ(header(request, "x-site-token"), std::string("st_x"));
        CHECK(request.id() != 0 && !request.is_stream() && !request.time_limit());
        CHECK_EQ(request.operation().operation(), creating.operation());
        CHECK(request.is_wanted() && request.wants_more() && request.wait());
        CHECK_THROWS(lime::InvalidArgumentError, request.write("too early"));
        CHECK_THROWS(lime::InvalidArgumentError, request.end());
        CHECK_THROWS(lime::InvalidArgumentError, request.respond(7, json));
        CHECK(request.respond(201, json));
        CHECK_THROWS(lime::InvalidArgumentError, request.respond(201, json));
        for (const char byte : login_request) CHECK(request.write({&byte, 1}));
        request.end();
        CHECK(!request.is_wanted());
        CHECK_THROWS(lime::InvalidArgumentError, request.fail(lime::Reach::maybe_sent, "too late"));
        CHECK_EQ(creating.get().request_id(), std::string("lr_1"));
        lime::HttpRequest moved = std::move(request);
        CHECK(moved.id() != 0 && request.id() == 0 && request.body().empty() && request.headers().empty());
        CHECK_THROWS(lime::InvalidArgumentError, request.end());
        CHECK_EQ(host.living.load(), 1);
    }
    until([&] { return host.living == 0; });
    CHECK(host.aborted.size() == 0 && host.resumed.size() == 0 && host.errors.size() == 0);
}

void every_client_takes_a_transport() {
    Host host;
    const lime::Transport transport(functions(host));
    lime::AgentOptions agent_options;
    agent_options.agent_token = "at_x";
    agent_options.transport = &transport;
    const lime::Agent agent(agent_options);
    lime::SesameOptions sesame_options;
    sesame_options.api_key = "sk_x";
    sesame_options.transport = &transport;
    const lime::Sesame sesame(sesame_options);
    auto profile = agent.get_profile_start();
    host.requests.take().fail(lime::Reach::host_fault, "gone");
    CHECK_THROWS(lime::TransportError, profile.get());
    lime::ApprovalRequest asking("a.b", "c");
    asking.set_context_json(R"({"amount":4200})");
    auto triggering = sesame.trigger_start(asking);
    lime::HttpRequest request = host.requests.take();
    CHECK(request.body().find(R"("context":{"amount":4200})") != std::string_view::npos);
    CHECK_EQ(header(request, "authorization"), std::string("Bearer sk_x"));
    request.fail(lime::Reach::maybe_sent, "broke off");
    CHECK_THROWS(lime::OutcomeUnknownError, triggering.get());
    auto waiting = sesame.wait_start("ap_1");
    request = host.requests.take();
    CHECK(request.time_limit().has_value());
    CHECK(waiting.cancel());
    CHECK_EQ(host.aborted.take(), request.id());
}

void failures() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Site site(through(transport));
    const auto fails = [&](auto &&with) {
        auto creating = site.create_login_request_start();
        with(host.requests.take());
        try {
            creating.get();
        } catch (const lime::Error &error) {
            return lime::status_name(error.status()) + ": " + error.what();
        }
        return std::string("succeeded");
    };
    const auto failing = [&](lime::Reach reach) {
        return fails([&](lime::HttpRequest request) { request.fail(reach, "a reason"); });
    };
    CHECK(failing(lime::Reach::not_sent).find("a reason") != std::string::npos);
    CHECK_EQ(failing(lime::Reach::not_sent).substr(0, 11), std::string("transport: "));
    CHECK_EQ(failing(lime::Reach::timed_out).substr(0, 19), std::string("transport_timeout: "));
    CHECK_EQ(failing(lime::Reach::host_fault).substr(0, 11), std::string("transport: "));
    CHECK_EQ(fails([](lime::HttpRequest) {}).substr(0, 11), std::string("transport: ")); // freed unanswered
    CHECK_EQ(fails([](lime::HttpRequest request) {
                 request.respond(200, json);
                 request.write("half of a b");
             }).substr(0, 11),
             std::string("transport: "));
    auto creating = site.create_login_request_start();
    lime::HttpRequest request = host.requests.take();
    CHECK_THROWS(lime::InvalidArgumentError, request.fail(lime::Reach::maybe_sent, std::string("a\0b", 3)));
    CHECK_THROWS(lime::InvalidArgumentError, request.fail(static_cast<lime::Reach>(9), "x"));
    CHECK(creating.cancel());
    CHECK_EQ(host.aborted.take(), request.id());
    CHECK(!request.is_wanted() && !request.wants_more() && !request.wait());
    CHECK(!request.respond(200, json));
    CHECK_THROWS(lime::CancelledError, creating.get());
}

void an_exception_of_the_host_fails_the_request() {
    Host host;
    lime::TransportFunctions throwing = functions(host);
    throwing.send = [](lime::HttpRequest) { throw std::runtime_error("send"); };
    const lime::Transport transport(std::move(throwing));
    const lime::Site site(through(transport));
    CHECK_THROWS(lime::TransportError, site.create_login_request());
    CHECK_EQ(host.errors.take(), std::string("send"));
    CHECK_EQ(transport.handler_exceptions(), std::uint64_t{1});
    throwing = functions(host);
    throwing.abort = [](std::uint64_t) { throw std::runtime_error("abort"); };
    const lime::Site other(through(lime::Transport(std::move(throwing))));
    auto creating = other.create_login_request_start();
    const lime::HttpRequest request = host.requests.take();
    CHECK(creating.cancel());
    CHECK_EQ(host.errors.take(), std::string("abort"));
}

/// Hands over a whole answer.
void answer(lime::HttpRequest request, std::int32_t http_status, const std::string &body, const Headers &headers = json) {
    CHECK(request.respond(http_status, headers));
    CHECK(request.write(body));
    request.end();
}

void a_header_with_a_nul_is_not_cut() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Site site(through(transport));
    const std::string limited = R"({"ok":false,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Slow down"}})";
    for (const auto &[header, wanted] : {
             std::pair(std::pair<std::string, std::string>("retry-after", "7"), 7s),
             std::pair(std::pair<std::string, std::string>(std::string("retry-after\0x", 13), "7"), 0s),
             std::pair(std::pair<std::string, std::string>("retry-after", std::string("7\0x", 3)), 0s),
         }) {
        auto creating = site.create_login_request_start();
        answer(host.requests.take(), 429, limited, {{"content-type", "application/json"}, header});
        CHECK(CHECK_THROWS(lime::RateLimitError, creating.get()).retry_after().value_or(0s) == wanted);
    }
}

/// Whether it was this limit that passed, and not the usual one.
bool within_a_millisecond(const lime::Error &error) {
    return std::string(error.what()).find("within 0.001 s") != std::string::npos;
}

void time_limits_are_whose_the_transport_says() {
    Host ours, theirs;
    lime::TransportFunctions keeping = functions(theirs);
    keeping.keeps_time = true;
    const lime::Transport limited(functions(ours)), unlimited(std::move(keeping));
    lime::SiteOptions options = through(unlimited);
    options.timeout = 1ms;
    const lime::Site kept(options);
    options.transport = &limited;
    const lime::Site bounded(options);
    auto first = kept.create_login_request_start();
    lime::HttpRequest waiting = theirs.requests.take();
    auto second = bounded.create_login_request_start();
    const lime::HttpRequest late = ours.requests.take();
    CHECK_EQ(ours.aborted.take(), late.id());
    CHECK(within_a_millisecond(CHECK_THROWS(lime::TransportTimeoutError, second.get())));
    CHECK(waiting.is_wanted());
    answer(std::move(waiting), 200, login_request);
    CHECK_EQ(first.get().request_id(), std::string("lr_1"));
}

/// Has a call answered by 500, and gives whether it was sent again.
template <class Start> bool sent_again(Host &host, const Start &start) {
    auto call = start();
    answer(host.requests.take(), 500, "{}");
    bool again = false;
    while (!call.wait_for(0s)) {
        if (host.requests.size() == 0) continue;
        again = true;
        answer(host.requests.take(), 500, "{}");
    }
    return again;
}

void options_reach_the_sites() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Clock clock(std::chrono::system_clock::now(), true);
    lime::SiteOptions options = through(transport);
    options.max_retries = 1;
    options.clock = &clock;
    const auto creates = [&] { return lime::Site(options).create_login_request_start(); };
    options.post_retry = lime::PostRetry::seed;
    CHECK(sent_again(host, creates));
    options.post_retry = lime::PostRetry::today;
    CHECK(!sent_again(host, creates));
    const lime::Clock still(std::chrono::system_clock::now());
    options.clock = &still;
    options.sse_backoff_base = 40ms;
    const lime::Site streaming(options);
    streaming.start_events();
    host.requests.take().fail(lime::Reach::not_sent, "no route");
    still.wait_for_sleeps(1, 30s);
    CHECK(*still.slept(0) <= 40ms);
}

void options_reach_the_agents() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Clock clock(std::chrono::system_clock::now(), true);
    lime::AgentOptions options;
    options.agent_token = "at_x";
    options.base_url = "https://a.b/api/v1";
    options.timeout = 1ms;
    options.max_retries = 0;
    options.transport = &transport;
    CHECK(within_a_millisecond(CHECK_THROWS(lime::TransportTimeoutError, lime::Agent(options).get_profile())));
    CHECK(!host.requests.take().is_wanted());
    options.timeout = 1min;
    options.clock = &clock;
    const auto profile = [&] { return lime::Agent(options).get_profile_start(); };
    CHECK(!sent_again(host, profile));
    options.max_retries = 1;
    CHECK(sent_again(host, profile) && clock.sleeps() == 1);
    options.pow_timeout = 77s;
    CHECK(lime::Agent(options).progress().left() == 77s);
    for (const auto digest : {lime::PowDigest::seed, lime::PowDigest::today})
        for (const auto post_retry : {lime::PostRetry::seed, lime::PostRetry::today}) {
            options.pow_digest = digest;
            options.post_retry = post_retry;
            auto login = lime::Agent(options).login_start("lr_1");
            answer(host.requests.take(), 200, R"({"ok":true,"data":{"pow_challenge":"challenge","pow_difficulty":8}})");
            lime::HttpRequest approve = host.requests.take();
            const std::string nonce = lime::solve_pow("challenge", 8, digest, 60s);
            CHECK(approve.body().find("\"" + nonce + "\"") != std::string_view::npos);
            answer(std::move(approve), 500, "{}");
            if (post_retry == lime::PostRetry::seed) answer(host.requests.take(), 500, "{}");
            CHECK_THROWS(lime::Error, login.get());
        }
    CHECK_EQ(host.requests.size(), std::size_t{0});
}

void options_reach_the_broker_s_clients() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Clock clock(std::chrono::system_clock::now(), true);
    lime::SesameOptions options;
    options.api_key = "sk_x";
    options.base_url = "https://a.b";
    options.timeout = 1ms;
    options.max_retries = 0;
    options.transport = &transport;
    CHECK(within_a_millisecond(CHECK_THROWS(lime::TransportTimeoutError, lime::Sesame(options).get("ap_1"))));
    const std::uint64_t late = host.requests.take().id();
    CHECK_EQ(host.aborted.take(), late);
    options.timeout = 1min;
    options.clock = &clock;
    const auto get = [&] { return lime::Sesame(options).get_start("ap_1"); };
    CHECK(!sent_again(host, get));
    options.max_retries = 1;
    CHECK(sent_again(host, get) && clock.sleeps() == 1);
    options.clock = nullptr;
    options.poll_timeout = 1ms;
    auto waiting = lime::Sesame(options).wait_start("ap_1", {lime::forever, 1ms});
    const lime::HttpRequest hung = host.requests.take();
    CHECK(hung.time_limit() == std::optional(1ms));
    CHECK_EQ(host.aborted.take(), hung.id()); // and asked again, until
    CHECK(waiting.cancel());
    CHECK_THROWS(lime::CancelledError, waiting.get());
}

void a_transport_that_cannot_be() {
    Host host;
    CHECK_THROWS(lime::InvalidArgumentError, lime::Transport({}));
    lime::Transport transport(functions(host));
    const lime::Transport moved = std::move(transport);
    CHECK_THROWS(lime::InvalidArgumentError, lime::Site(through(transport)));
    const lime::Site site(through(moved));
    CHECK_THROWS(lime::InvalidArgumentError, lime::Clock(lime::UnixTime(-1s)));
    CHECK_THROWS(lime::InvalidArgumentError, lime::Clock(lime::UnixTime(std::chrono::duration<double>(1e300))));
}

/// A frame of an event stream, with so much beside it.
std::string frame(const std::string &id, std::size_t padding = 0) {
    return "data: {\"type\":\"expired\",\"login_request_id\":\"" + id + "\",\"pad\":\"" + std::string(padding, 'x') + "\"}\n\n";
}

void a_stream_is_held_back_by_events_that_live() {
    Host host;
    const lime::Transport transport(functions(host));
    Mailbox<lime::LoginEvent> events;
    lime::SiteOptions options = through(transport);
    options.event_queue_limit = 2;
    lime::Site site(options);
    site.on_login_event([&](lime::LoginEvent event) { events.put(std::move(event)); });
    lime::HttpRequest request = host.requests.take();
    CHECK(request.is_stream() && !request.operation().operation());
    CHECK(request.respond(200, Headers{{"content-type", "text/event-stream"}}));
    std::size_t written = 0;
    while (request.wants_more()) CHECK(request.write(frame("lr_" + std::to_string(written++), 2000)));
    for (std::size_t each = 0; each < written; each++) {
        const lime::LoginEvent event = events.take();
        CHECK_EQ(event.request_id(), "lr_" + std::to_string(each));
        CHECK(!event.passport() && events.size() <= 1); // two have a place, this one and the next
    }
    CHECK_EQ(host.resumed.take(), request.id());
    CHECK(request.wait());
    site.close();
    CHECK_EQ(host.aborted.take(), request.id());
    CHECK(!request.write("x") && !request.wait());
}

lime::UnixTime at_seconds(int seconds) { return lime::UnixTime(std::chrono::seconds(seconds)); }

void a_clock_moves_back_offs() {
    Host host;
    const lime::Transport transport(functions(host));
    const lime::Clock clock(at_seconds(1'800'000'000));
    clock.set_jitter(0.5);
    lime::SiteOptions options = through(transport);
    options.max_retries = 1;
    options.clock = &clock;
    const lime::Site site(options);
    CHECK_THROWS(lime::TimeoutError, clock.wait_for_sleeps(1, 1ms));
    auto creating = site.create_login_request_start();
    host.requests.take().fail(lime::Reach::not_sent, "no route");
    clock.wait_for_sleeps(1, 30s);
    CHECK_EQ(clock.sleeps(), std::size_t{1});
    CHECK(clock.slept(0) && *clock.slept(0) > 0ms && !clock.slept(1));
    CHECK(host.requests.size() == 0 && !creating.wait_for(0s));
    clock.advance(*clock.slept(0));
    lime::HttpRequest again = host.requests.take();
    again.respond(200, json);
    again.write(login_request);
    again.end();
    CHECK_EQ(creating.get().request_id(), std::string("lr_1"));
    CHECK_THROWS(lime::InvalidArgumentError, clock.set_jitter(1));
    CHECK_THROWS(lime::InvalidArgumentError, clock.advance(-1ms));
    const lime::Clock skipping(std::chrono::system_clock::now(), true);
    options.clock = &skipping;
    options.max_retries = 3;
    const lime::Site other(options);
    auto failing = other.create_login_request_start();
    for (int each = 0; each < 4; each++) host.requests.take().fail(lime::Reach::not_sent, "no route");
    CHECK_THROWS(lime::TransportError, failing.get());
    CHECK_EQ(skipping.sleeps(), std::size_t{3});
}

void how_far_a_login_is() {
    const lime::Site site;
    const lime::Agent agent;
    const lime::LoginProgress easy = agent.progress();
    CHECK_EQ(easy.stage(), lime::LoginStage::challenge);
    CHECK(!easy.difficulty() && easy.hashes() == 0 && easy.left() == 10s);
    agent.login_with_progress(site.create_login_request().request_id(), easy);
    CHECK_EQ(easy.stage(), lime::LoginStage::approve);
    CHECK_EQ(easy.difficulty().value_or(0), std::int64_t{8});
    CHECK(easy.hashes() > 0 && easy.elapsed() >= 0ms);
    at("hard");
    auto hard = std::make_unique<lime::LoginProgress>(agent.progress());
    auto login = agent.login_with_progress_start(site.create_login_request().request_id(), *hard);
    until([&] { return hard->stage() == lime::LoginStage::pow && hard->hashes() > 1000; });
    CHECK_EQ(hard->difficulty().value_or(0), std::int64_t{60});
    hard.reset();
    CHECK(login.cancel());
    CHECK_THROWS(lime::CancelledError, login.get());
    at("easy");
    Mailbox<std::int32_t> statuses;
    agent.login_with_progress_start("x", agent.progress(), [&](lime::Result<lime::ApprovalResult> result) {
        statuses.put(result.status());
    });
    CHECK_EQ(statuses.take(), LIME_ERROR_API);
    CHECK_THROWS(lime::InvalidArgumentError, agent.login_with_progress(std::string("a\0b", 3), easy));
}

void a_proof_of_work_started() {
    CHECK_EQ(lime::solve_pow_start("challenge", 8, lime::PowDigest::seed, 60s).get().text(),
             lime::solve_pow("challenge", 8, lime::PowDigest::seed, 60s, 2));
    auto endless = lime::solve_pow_start("challenge", 200, lime::PowDigest::today, lime::forever);
    CHECK(endless.cancel());
    CHECK_THROWS(lime::CancelledError, endless.get());
    CHECK_THROWS(lime::PowDifficultyError, lime::solve_pow_start("challenge", 300, lime::PowDigest::seed, 60s).get());
    CHECK_THROWS(lime::InvalidArgumentError, lime::solve_pow_start("challenge", 8, lime::PowDigest::seed, -1s).get());
    Mailbox<std::string> nonces, errors;
    std::atomic<int> living{0};
    lime::solve_pow_start(
        "challenge", 8, lime::PowDigest::seed, 60s, 1,
        [&, token = Token(living)](lime::Result<lime::PowNonce> nonce) {
            nonces.put(nonce->text());
            throw std::runtime_error("then");
        },
        [&, token = Token(living)](std::exception_ptr) { errors.put("thrown"); });
    CHECK_EQ(nonces.take(), lime::solve_pow("challenge", 8, lime::PowDigest::seed, 60s));
    CHECK_EQ(errors.take(), std::string("thrown"));
    until([&] { return living == 0; });
}

} // namespace

#define TEST(test) RUN_TEST("host", test)

int main() {
    alarm(100);
    TEST(the_host_carries_a_request);
    TEST(every_client_takes_a_transport);
    TEST(failures);
    TEST(an_exception_of_the_host_fails_the_request);
    TEST(a_header_with_a_nul_is_not_cut);
    TEST(time_limits_are_whose_the_transport_says);
    TEST(options_reach_the_sites);
    TEST(options_reach_the_agents);
    TEST(options_reach_the_broker_s_clients);
    TEST(a_transport_that_cannot_be);
    TEST(a_stream_is_held_back_by_events_that_live);
    TEST(a_clock_moves_back_offs);
    TEST(how_far_a_login_is);
    TEST(a_proof_of_work_started);
    return check_failed ? 1 : 0;
}
