// Runs the shared vectors through lime.hpp. The tables are those of the C tests; where the outcome is a JSON object, it
// is printed as `json <id><TAB><text>` and compared by run.py.
#include "check.hpp"
#include "vectors_table.h"

namespace {

void check_error(const lime::Error &error, std::int32_t expected, const char *contains) {
    CHECK_EQ(error.status(), expected);
    if (contains) CHECK(std::string(error.what()).find(contains) != std::string::npos);
}

std::optional<std::string_view> maybe(const char *text) {
    return text ? std::optional<std::string_view>(text) : std::nullopt;
}

std::optional<std::string> wanted(const char *text) {
    return text ? std::optional<std::string>(text) : std::nullopt;
}

lime::UnixTime at_seconds(double seconds) { return lime::UnixTime(std::chrono::duration<double>(seconds)); }

void json(const char *id, const std::string &text) {
    if (check_failures) check_failed++;
    else std::cout << "json " << id << "\t" << text << std::endl;
}

void pow_vectors() {
    for (const pow_case &test : pow_cases) {
        check_begin(test.id);
        const auto nonce = lime::try_solve_pow({test.challenge, test.length}, test.difficulty,
                                               static_cast<lime::PowDigest>(test.digest),
                                               std::chrono::milliseconds(test.timeout_ms));
        if (test.nonce) CHECK_EQ(nonce.value(), std::string(test.nonce));
        else check_error(nonce.error(), test.error, nullptr);
        check_end();
    }
}

void passport_vectors() {
    for (const passport_case &test : passport_cases) {
        check_begin(test.id);
        lime::PassportCheck check;
        check.require_issuer = test.require_issuer == 1;
        const auto passport =
            lime::try_verify_passport(test.jwt, {test.jwks, test.jwks_length}, test.api_root,
                                      maybe(test.expected_request_id), check, at_seconds(test.now));
        CHECK_EQ(passport.status(), test.error);
        if (passport) {
            json(test.id, passport->claims_json());
        } else {
            check_error(passport.error(), test.error, test.contains);
            check_end();
        }
    }
}

void binding_vectors() {
    for (const binding_case &test : binding_cases) {
        check_begin(test.id);
        lime::PassportCheck check;
        check.require_issuer = test.require_issuer == 1;
        const auto passport =
            lime::try_verify_binding_passport(test.jwt, {test.jwks, test.jwks_length}, test.api_root,
                                      maybe(test.expected_binding_id), check, at_seconds(test.now));
        CHECK_EQ(passport.status(), test.error);
        if (passport) {
            json(test.id, passport->claims_json());
        } else {
            check_error(passport.error(), test.error, test.contains);
            check_end();
        }
    }
}

void access_token_vectors() {
    for (const access_token_case &test : access_token_cases) {
        check_begin(test.id);
        const lime::TokenCheck check{test.issuer, test.expected_domain,
                                     test.audience ? std::optional<std::string>(test.audience) : std::nullopt,
                                     std::chrono::milliseconds(test.leeway_ms)};
        const auto token =
            lime::try_verify_access_token(test.jwt, {test.jwks, test.jwks_length}, check, at_seconds(test.now));
        CHECK_EQ(token.status(), test.error);
        if (token) {
            CHECK_EQ(token->domain(), std::string(test.expected_domain));
            CHECK_EQ(token->agent_id(), token->text_claim("sub").value_or(""));
            json(test.id, token->claims_json());
        } else {
            check_error(token.error(), test.error, nullptr);
            CHECK_EQ(token.error().code(), wanted(test.code));
            check_end();
        }
    }
}

void mcp_domain_vectors() {
    for (const mcp_domain_case &test : mcp_domain_cases) {
        check_begin(test.id);
        const auto canonical = lime::try_normalize_mcp_domain(test.domain);
        if (test.canonical) CHECK_EQ(canonical.value(), std::string(test.canonical));
        else check_error(canonical.error(), LIME_ERROR_INVALID_ARGUMENT, test.contains);
        check_end();
    }
}

void check_frame(const sse_frame &expected, const std::string &data) {
    const lime::LoginFrame frame = lime::parse_login_frame(data);
    CHECK_EQ(frame.kind(), static_cast<lime::FrameKind>(expected.kind));
    CHECK_EQ(frame.request_id(), wanted(expected.request_id));
    CHECK_EQ(frame.passport(), wanted(expected.passport));
    CHECK_EQ(frame.code(), wanted(expected.code));
    if (expected.kind == LIME_FRAME_MALFORMED) CHECK(frame.message().has_value());
    else CHECK_EQ(frame.message(), wanted(expected.message));
}

void sse_vectors() {
    for (const sse_case &test : sse_cases) {
        check_begin(test.id);
        const std::string_view input(test.input, test.length);
        for (const std::size_t size : {input.size() + 1, std::size_t{1}, std::size_t{2}}) {
            lime::SseParser parser;
            std::vector<lime::SseEvent> events;
            for (std::size_t from = 0; from < input.size(); from += size)
                for (auto &event : parser.feed(input.substr(from, size))) events.push_back(std::move(event));
            CHECK_EQ(events.size(), test.event_count);
            for (std::size_t each = 0; each < events.size() && each < test.event_count; each++) {
                CHECK_EQ(events[each].event, std::string(test.events[each].event));
                CHECK_EQ(events[each].data, std::string(test.events[each].data));
                CHECK_EQ(events[each].id, std::string(test.events[each].id));
                if (test.frames) check_frame(test.frames[each], events[each].data);
            }
            const auto retry = parser.retry();
            CHECK_EQ(retry ? retry->count() : -1, test.retry_ms);
            CHECK_EQ(parser.last_event_id(), std::string(test.last_event_id));
        }
        check_end();
    }
}

void envelope_vectors() {
    for (const envelope_case &test : envelope_cases) {
        check_begin(test.id);
        const auto data = lime::try_parse_envelope(test.http_status, {test.body, test.length});
        CHECK_EQ(data.status(), test.error);
        if (data) {
            json(test.id, *data);
        } else {
            CHECK_EQ(std::string(data.error().what()), std::string(test.message));
            CHECK_EQ(data.error().code(), wanted(test.code));
            CHECK_EQ(data.error().http_status().value_or(0), test.error_http_status);
            json(test.id, data.error().detail_json().value_or("null"));
        }
    }
}

void timestamp_vectors() {
    for (const timestamp_case &test : timestamp_cases) {
        check_begin(test.id);
        const auto timestamp = lime::try_parse_timestamp(test.text);
        CHECK_EQ(timestamp.status(), test.error);
        if (timestamp) {
            CHECK_EQ(timestamp->time.time_since_epoch().count(), test.unix_micros);
            CHECK_EQ(timestamp->offset.has_value(), test.offset_seconds != LIME_NO_OFFSET);
            if (timestamp->offset) CHECK_EQ(timestamp->offset->count(), test.offset_seconds);
        }
        check_end();
    }
}

void mcp_target_vectors() {
    for (const mcp_target_case &test : mcp_target_cases) {
        check_begin(test.id);
        const auto domain = lime::try_extract_and_normalize_domain(test.target);
        const auto url = lime::try_resolve_mcp_http_url(test.target);
        CHECK_EQ(domain.status(), test.error);
        CHECK_EQ(url.status(), test.error);
        if (domain) CHECK_EQ(*domain, std::string(test.domain));
        else check_error(domain.error(), test.error, test.contains);
        if (url) CHECK_EQ(*url, std::string(test.url));
        check_end();
    }
}

void webhook_vectors() {
    for (const webhook_case &test : webhook_cases) {
        check_begin(test.id);
        lime::WebhookVerifier verifier;
        for (std::size_t each = 0; each < test.secret_count; each++)
            verifier.add_secret({test.secrets[each].bytes, test.secrets[each].length});
        if (test.tolerance_ms >= 0) verifier.set_tolerance(std::chrono::milliseconds(test.tolerance_ms));
        if (test.guarded) verifier.set_replay_guard(std::chrono::milliseconds(test.horizon_ms), test.capacity);
        std::string payloads;
        for (std::size_t each = 0; each < test.delivery_count; each++) {
            const webhook_delivery &delivery = test.deliveries[each];
            std::vector<std::pair<std::string, std::string>> headers;
            for (std::size_t header = 0; header < delivery.header_count; header++)
                headers.emplace_back(delivery.names[header], delivery.values[header]);
            const std::string_view body(delivery.body, delivery.length);
            verifier.set_now(at_seconds(delivery.now));
            const auto webhook = verifier.try_verify(headers, body);
            CHECK_EQ(webhook.has_value(), delivery.code == nullptr);
            if (webhook) {
                CHECK_EQ(webhook->timestamp(), delivery.timestamp);
                payloads += (payloads.empty() ? "" : ",") + webhook->payload_json();
            } else {
                check_error(webhook.error(), LIME_ERROR_WEBHOOK, delivery.contains);
                CHECK_EQ(webhook.error().code(), wanted(delivery.code));
            }
            if (delivery.forget >= 0) CHECK_EQ(verifier.forget(body), delivery.forget == 1);
        }
        json(test.id, "[" + payloads + "]");
    }
}

void webhook_sign_vectors() {
    for (const webhook_sign_case &test : webhook_sign_cases) {
        check_begin(test.id);
        const auto headers =
            lime::try_sign_webhook({test.body, test.length}, {test.secret, test.secret_length}, test.timestamp);
        if (test.code) {
            check_error(headers.error(), LIME_ERROR_WEBHOOK, nullptr);
            CHECK_EQ(headers.error().code(), wanted(test.code));
        } else {
            CHECK_EQ((*headers)[0].first, std::string(LIME_WEBHOOK_SIGNATURE_HEADER));
            CHECK_EQ((*headers)[0].second, std::string(test.signature));
            CHECK_EQ((*headers)[1].first, std::string(LIME_WEBHOOK_TIMESTAMP_HEADER));
            CHECK_EQ((*headers)[1].second, std::string(test.timestamp_text));
        }
        check_end();
    }
}

} // namespace

int main() {
    pow_vectors();
    passport_vectors();
    binding_vectors();
    access_token_vectors();
    mcp_domain_vectors();
    sse_vectors();
    envelope_vectors();
    timestamp_vectors();
    mcp_target_vectors();
    webhook_vectors();
    webhook_sign_vectors();
    return check_failed ? 1 : 0;
}
