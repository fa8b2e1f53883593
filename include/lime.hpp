/*
 * lime.hpp - lime.h for C++17 and later: the client side of LIME, where a site lets AI agents sign in without a
 * browser, and of Sesame, where a human approves a sensitive operation before it runs. SPDX-License-Identifier: MIT
 *
 * Header-only, over the C library and the standard library:
 *
 *   c++ -std=c++17 main.cpp $(pkg-config --cflags --libs lime) -pthread
 *
 * or, with CMake, find_package(lime) and target_link_libraries(main PRIVATE lime::lime).
 *
 * A COMPLETE PROGRAM
 *
 *   #include <iostream>
 *   #include <lime.hpp>
 *
 *   // A site's backend: LIME_SITE_TOKEN is read from the environment.
 *   int main() {
 *       try {
 *           const lime::Site site;
 *           const lime::LoginRequest request = site.create_login_request();
 *           std::cout << "the agent is to confirm " << request.request_id() << std::endl;
 *           const lime::LoginEvent event = site.wait_for_login(request.request_id(), std::chrono::minutes(2));
 *           if (!event.passport()) return 1; // nobody signed in in time
 *           const lime::Passport passport = site.verify_passport(*event.passport(), request.request_id());
 *           std::cout << "signed in: " << passport.agent_id().value_or("?") << std::endl;
 *       } catch (const lime::Error &error) {
 *           std::cerr << lime::status_name(error.status()) << ": " << error.what() << std::endl;
 *           return 1;
 *       }
 *   }
 *
 * A GATE BEFORE AN OPERATION
 *
 *   #include <iostream>
 *   #include <lime.hpp>
 *
 *   // A refund that a human has to approve: SESAME_API_KEY is read from the environment.
 *   int main() {
 *       try {
 *           const lime::Sesame sesame;
 *           lime::ApprovalRequest request("payments.refund", "Refund $42.00 to customer");
 *           request.set_dedup_key("refund-882");
 *           sesame.require_approval(request);
 *           std::cout << "approved: the money moves here, and nowhere else" << std::endl;
 *       } catch (const lime::ApprovalDeniedError &error) {
 *           std::cout << "not approved: " << error.code().value_or("") << std::endl;
 *           return 3;
 *       }
 *   }
 *
 * NAMES
 *
 * lime_site_wait_for_login() is lime::Site::wait_for_login(), and so everywhere. What a function does, and with
 * what it fails, is written there, in lime.h; this header says what is different in C++.
 *
 * THREE FORMS OF A CALL
 *
 *   site.create_login_request()              gives the result or throws
 *   site.try_create_login_request()          gives a Result: the value or the Error, and throws neither
 *   site.create_login_request_start()        gives an Operation at once: a future, and cancel()
 *   site.create_login_request_start(then)    calls then(Result) on the dispatcher thread
 *
 * An Operation holds whatever goes wrong, also what is refused at once; its future is never broken. The form with
 * `then` throws what is refused at once, and `then` is not called.
 *
 * ERRORS
 *
 * Every exception of this library is an Error or a class derived from it, one for each LIME_ERROR_ constant. A number
 * that this header does not know is an ApiError. A text with a NUL in it where C would see the end is an
 * InvalidArgumentError and never cut. Only memory that runs out is something else, std::bad_alloc.
 *
 * OWNERSHIP
 *
 * Every class owns one object of the C library and frees it; it can be moved and not copied. An object that was moved
 * from may be assigned to and destroyed; its calls fail with InvalidArgumentError and its texts are empty. What goes out
 * is a copy: std::string, std::optional, std::chrono. Options are copied when the client is made.
 *
 * THREADS
 *
 * Site, Agent, Sesame and Clock may be used by any number of threads at once, but not while they are moved or destroyed.
 * A WebhookVerifier may as soon as it is set up, and results may be read by several. Everything else is one thread's
 * at a time.
 *
 * HANDLERS
 *
 * Handlers and `then` run on the one dispatcher thread, one at a time, and should be short. A blocking call there throws
 * WouldDeadlockError, and so do Operation::get() and Operation::wait() for what is not there yet; a std::future
 * that was taken out of an Operation cannot know, and would wait for ever. The functions of a Transport run on another
 * thread of the library, for which the same goes. Each function object is destroyed
 * exactly once, after its last call, on any thread; its destructor must not wait for the client. A handler that owns
 * its own client (by a std::shared_ptr) keeps it alive for ever.
 *
 * An exception that leaves a handler, `then` or a log function stops there: it is counted (handler_exceptions()), and
 * given to the client's `on_error`, or, where there is none, written to its log with LogLevel::error. The library goes
 * on with the next event. What leaves a handler of SseParser::feed(), which is called by the caller itself, arrives
 * at the caller.
 *
 * A client's destructor closes it; Site's waits until none of its handlers is running, unless it is called in one.
 */

#ifndef LIME_HPP
#define LIME_HPP

#include <lime.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <iomanip>
#include <locale>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if __cplusplus < 201703L
#error "lime.hpp needs C++17 or later"
#endif
#if LIME_ABI_VERSION < 5 || LIME_VERSION_MAJOR != 0 || LIME_VERSION_MINOR != 1
#error "lime.hpp and lime.h are of different versions"
#endif

/// A class whose exceptions are caught in another shared object than they are thrown in.
#if defined(__GNUC__)
#define LIME_HPP_VISIBLE __attribute__((visibility("default")))
#else
#define LIME_HPP_VISIBLE
#endif

/// The whole library.
namespace lime {
/// Programs of two versions of this header can be linked together.
inline namespace v0_1 {

/// The longest of all waits.
inline constexpr std::chrono::milliseconds forever = std::chrono::milliseconds::max();

/// A point in time as the platform writes it.
using TimePoint = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// A point in time with a fraction, in seconds since 1970. `std::chrono::system_clock::now()` becomes one by itself.
using UnixTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::duration<double>>;

/// A point in time, and the offset that it was written with.
struct Timestamp {
    /// The point in time.
    TimePoint time;
    /// East of UTC; nothing when it was written without an offset.
    std::optional<std::chrono::seconds> offset;
};

/// What went wrong: the LIME_ERROR_ constants.
enum class LIME_HPP_VISIBLE ErrorKind : std::int32_t {
    invalid_argument = LIME_ERROR_INVALID_ARGUMENT,
    closed = LIME_ERROR_CLOSED,
    cancelled = LIME_ERROR_CANCELLED,
    timeout = LIME_ERROR_TIMEOUT,
    would_deadlock = LIME_ERROR_WOULD_DEADLOCK,
    internal = LIME_ERROR_INTERNAL,
    transport = LIME_ERROR_TRANSPORT,
    transport_timeout = LIME_ERROR_TRANSPORT_TIMEOUT,
    bad_response = LIME_ERROR_BAD_RESPONSE,
    outcome_unknown = LIME_ERROR_OUTCOME_UNKNOWN,
    rate_limit = LIME_ERROR_RATE_LIMIT,
    authentication = LIME_ERROR_AUTHENTICATION,
    api = LIME_ERROR_API,
    not_found = LIME_ERROR_NOT_FOUND,
    agent_inactive = LIME_ERROR_AGENT_INACTIVE,
    agent_user_suspended = LIME_ERROR_AGENT_USER_SUSPENDED,
    auth_unavailable = LIME_ERROR_AUTH_UNAVAILABLE,
    site_auth_unavailable = LIME_ERROR_SITE_AUTH_UNAVAILABLE,
    invalid_passport = LIME_ERROR_INVALID_PASSPORT,
    passport_expired = LIME_ERROR_PASSPORT_EXPIRED,
    invalid_token = LIME_ERROR_INVALID_TOKEN,
    pow_timeout = LIME_ERROR_POW_TIMEOUT,
    pow_difficulty = LIME_ERROR_POW_DIFFICULTY,
    approval_denied = LIME_ERROR_APPROVAL_DENIED,
    webhook = LIME_ERROR_WEBHOOK,
    /// The platform gives this agent no tokens for MCP servers: it lacks the grant.
    oauth_capability = LIME_ERROR_OAUTH_CAPABILITY,
    /// An MCP server refuses the token, also the new one that was fetched when it refused the first.
    mcp_authentication = LIME_ERROR_MCP_AUTHENTICATION,
    /// An MCP server reports an error, as JSON-RPC or by its HTTP status; the code says which.
    mcp = LIME_ERROR_MCP,
};

/// Where an event stream stands: the LIME_STREAM_ constants. A later library may know more of them.
enum class StreamState : std::int32_t {
    idle = LIME_STREAM_IDLE,
    connecting = LIME_STREAM_CONNECTING,
    open = LIME_STREAM_OPEN,
    backing_off = LIME_STREAM_BACKING_OFF,
    refused = LIME_STREAM_REFUSED,
    closed = LIME_STREAM_CLOSED,
};

/// How much a log record matters: the LIME_LOG_ constants.
enum class LogLevel : std::int32_t {
    debug = LIME_LOG_DEBUG,
    info = LIME_LOG_INFO,
    warning = LIME_LOG_WARNING,
    error = LIME_LOG_ERROR,
};

/// Which failed POSTs are sent again: the LIME_POST_RETRY_ constants.
enum class PostRetry : std::int32_t {
    automatic = LIME_POST_RETRY_AUTO,
    seed = LIME_POST_RETRY_SEED,
    today = LIME_POST_RETRY_TODAY,
};

/// What differs between the platform's times, all at once: the LIME_PLATFORM_ constants.
enum class Platform : std::int32_t {
    automatic = LIME_PLATFORM_AUTO,
    seed = LIME_PLATFORM_SEED,
    today = LIME_PLATFORM_TODAY,
};

/// Which key documents are taken: the LIME_JWKS_FORM_ constants.
enum class JwksForm : std::int32_t {
    automatic = LIME_JWKS_FORM_AUTO,
    envelope = LIME_JWKS_FORM_ENVELOPE,
    bare = LIME_JWKS_FORM_BARE,
};

/// The digest of a proof of work: the LIME_POW_DIGEST_ constants. `automatic` is for an agent only.
enum class PowDigest : std::int32_t {
    automatic = LIME_POW_DIGEST_AUTO,
    seed = LIME_POW_DIGEST_SEED,
    today = LIME_POW_DIGEST_TODAY,
};

/// What an event of a site's stream says: the LIME_FRAME_ constants. A later library may know more of them.
enum class FrameKind : std::int32_t {
    keepalive = LIME_FRAME_KEEPALIVE,
    approved = LIME_FRAME_APPROVED,
    expired = LIME_FRAME_EXPIRED,
    error = LIME_FRAME_ERROR,
    ignored = LIME_FRAME_IGNORED,
    malformed = LIME_FRAME_MALFORMED,
};

/// How far a failed request of the host's own HTTP client got: the LIME_REACH_ constants.
enum class Reach : std::int32_t {
    not_sent = LIME_REACH_NOT_SENT,
    maybe_sent = LIME_REACH_MAYBE_SENT,
    timed_out = LIME_REACH_TIMED_OUT,
    host_fault = LIME_REACH_HOST_FAULT,
};

/// What a login is busy with: the LIME_LOGIN_STAGE_ constants. A later library may know more of them.
enum class LoginStage : std::int32_t {
    challenge = LIME_LOGIN_STAGE_CHALLENGE,
    pow = LIME_LOGIN_STAGE_POW,
    approve = LIME_LOGIN_STAGE_APPROVE,
};

/// @return The version of the library at run time, "MAJOR.MINOR.PATCH".
inline std::string version() { return lime_version(); }

/// @return The ABI version of the library at run time; LIME_ABI_VERSION is the one that this program was compiled with.
inline std::uint32_t abi_version() noexcept { return lime_abi_version(); }

/// @param status Any number.
/// @return The name of a status, such as "invalid_argument"; "unknown" for one that the library does not know.
inline std::string status_name(std::int32_t status) { return lime_status_name(status); }

/// @param status Any number.
/// @return What a status means, in a sentence.
inline std::string status_description(std::int32_t status) { return lime_status_description(status); }

/// @param status Any number.
/// @return The more general status that this one is a case of; the same where there is none.
inline std::int32_t status_parent(std::int32_t status) noexcept { return lime_status_parent(status); }

/// @cond INTERNAL
namespace detail {

template <class Native, void (*Free)(Native *)> struct Deleter {
    void operator()(Native *native) const noexcept { Free(native); }
};

template <class Native, void (*Free)(Native *)> using Handle = std::unique_ptr<Native, Deleter<Native, Free>>;

inline std::string text(const char *text) { return text ? std::string(text) : std::string(); }

inline std::optional<std::string> maybe_text(const char *text) {
    return text ? std::optional<std::string>(text) : std::nullopt;
}

inline const char *c_str(const std::optional<std::string> &text) noexcept { return text ? text->c_str() : nullptr; }

inline TimePoint time_point(std::int64_t unix_micros) { return TimePoint(std::chrono::microseconds(unix_micros)); }

inline std::optional<std::chrono::seconds> offset(std::int32_t seconds) {
    return seconds == LIME_NO_OFFSET ? std::nullopt : std::optional<std::chrono::seconds>(seconds);
}

inline std::optional<Timestamp> maybe_timestamp(std::int64_t unix_micros, std::int32_t offset_seconds) {
    if (unix_micros == LIME_NO_TIME) return std::nullopt;
    return Timestamp{time_point(unix_micros), offset(offset_seconds)};
}

} // namespace detail
/// @endcond

// ---- errors

/// Why a call failed. It never contains a token, a passport, a challenge or a nonce. Copying it does not throw.
class LIME_HPP_VISIBLE Error : public std::runtime_error {
  public:
    /// An error of this program's own making, as for its tests.
    /// @param status The status number, LIME_ERROR_...
    /// @param message What happened, for people.
    Error(std::int32_t status, const std::string &message) : std::runtime_error(message), fields_(make(status)) {}

    /// A copy of an error of the C library, which stays the caller's; without one, what the status says.
    /// @param status The status number, LIME_ERROR_...
    /// @param error Stays the caller's; null for what the status says.
    Error(std::int32_t status, const lime_error *error)
        : std::runtime_error(error ? lime_error_message(error) : lime_status_description(status)),
          fields_(error ? make(error) : make(status)) {}

    /// @return The status number, LIME_ERROR_...; a later library may know more of them.
    std::int32_t status() const noexcept { return fields_->status; }

    /// @return The status as an enumerator; one that this header does not know counts as ErrorKind::api.
    ErrorKind kind() const noexcept {
        switch (const auto kind = static_cast<ErrorKind>(status())) {
        case ErrorKind::invalid_argument:
        case ErrorKind::closed:
        case ErrorKind::cancelled:
        case ErrorKind::timeout:
        case ErrorKind::would_deadlock:
        case ErrorKind::internal:
        case ErrorKind::transport:
        case ErrorKind::transport_timeout:
        case ErrorKind::bad_response:
        case ErrorKind::outcome_unknown:
        case ErrorKind::rate_limit:
        case ErrorKind::authentication:
        case ErrorKind::api:
        case ErrorKind::not_found:
        case ErrorKind::agent_inactive:
        case ErrorKind::agent_user_suspended:
        case ErrorKind::auth_unavailable:
        case ErrorKind::site_auth_unavailable:
        case ErrorKind::invalid_passport:
        case ErrorKind::passport_expired:
        case ErrorKind::invalid_token:
        case ErrorKind::pow_timeout:
        case ErrorKind::pow_difficulty:
        case ErrorKind::approval_denied:
        case ErrorKind::webhook:
        case ErrorKind::oauth_capability:
        case ErrorKind::mcp_authentication:
        case ErrorKind::mcp: return kind;
        }
        return ErrorKind::api;
    }

    /// @return The platform's own code, such as "SITE_TOKEN_INVALID"; of an ApprovalDeniedError "denied", "expired",
    /// "already_used" or "args_changed"; of a WebhookError the reason, a LIME_REFUSAL_ constant;
    /// of an InvalidTokenError the reason, a LIME_TOKEN_ constant.
    std::optional<std::string> code() const { return fields_->code; }

    /// @return The HTTP status of the answer that the error was read from.
    std::optional<std::int32_t> http_status() const noexcept { return fields_->http_status; }

    /// @return The platform's `detail` object, as JSON text.
    std::optional<std::string> detail_json() const { return fields_->detail_json; }

    /// @return The login request that the failed call was about.
    std::optional<std::string> request_id() const { return fields_->request_id; }

    /// @return The approval that the failed call was about.
    std::optional<std::string> approval_id() const { return fields_->approval_id; }

    /// @return How long the platform asked to wait before the next try.
    std::optional<std::chrono::milliseconds> retry_after() const noexcept { return fields_->retry_after; }

    /// Throws this error as the class of its kind.
    [[noreturn]] void raise() const;

    /// @return The exception that raise() throws.
    std::exception_ptr to_exception() const {
        try {
            raise();
        } catch (...) {
            return std::current_exception();
        }
    }

  private:
    struct Fields {
        std::int32_t status = 0;
        std::optional<std::string> code;
        std::optional<std::int32_t> http_status;
        std::optional<std::string> detail_json, request_id, approval_id;
        std::optional<std::chrono::milliseconds> retry_after;
    };

    static std::shared_ptr<const Fields> make(std::int32_t status) {
        auto fields = std::make_shared<Fields>();
        fields->status = status;
        return fields;
    }

    static std::shared_ptr<const Fields> make(const lime_error *error) {
        auto fields = std::make_shared<Fields>();
        fields->status = lime_error_status(error);
        fields->code = detail::maybe_text(lime_error_code(error));
        if (const std::int32_t http_status = lime_error_http_status(error)) fields->http_status = http_status;
        fields->detail_json = detail::maybe_text(lime_error_detail_json(error));
        fields->request_id = detail::maybe_text(lime_error_request_id(error));
        fields->approval_id = detail::maybe_text(lime_error_approval_id(error));
        const std::int64_t retry_after = lime_error_retry_after_ms(error);
        if (retry_after >= 0) fields->retry_after = std::chrono::milliseconds(retry_after);
        return fields;
    }

    // Shared, because an exception is copied while another one may be under way.
    std::shared_ptr<const Fields> fields_;
};

/// The class of one kind of error. Another kind is derived from it where it is a special case.
template <ErrorKind Kind, class Base = Error> class LIME_HPP_VISIBLE ErrorOf : public Base {
  public:
    /// The same error, as this class.
    /// @param error The error.
    explicit ErrorOf(const Error &error) : Base(error) {}
};

/// An argument is missing, not UTF-8, out of range or malformed; nothing was sent.
using InvalidArgumentError = ErrorOf<ErrorKind::invalid_argument>;
/// The client was closed before or during the call.
using ClosedError = ErrorOf<ErrorKind::closed>;
/// The operation was cancelled; what it had already sent may still take effect.
using CancelledError = ErrorOf<ErrorKind::cancelled>;
/// The caller's own deadline passed while waiting for something to happen.
using TimeoutError = ErrorOf<ErrorKind::timeout>;
/// A blocking call was made on the thread that would have to complete it.
using WouldDeadlockError = ErrorOf<ErrorKind::would_deadlock>;
/// A fault of the library; the process and the client live on.
using InternalError = ErrorOf<ErrorKind::internal>;
/// No usable HTTP answer.
using TransportError = ErrorOf<ErrorKind::transport>;
/// No HTTP answer in time, in the last of all attempts.
using TransportTimeoutError = ErrorOf<ErrorKind::transport_timeout, TransportError>;
/// An HTTP answer that is not what the protocol says.
using BadResponseError = ErrorOf<ErrorKind::bad_response>;
/// A request that changes something was sent, and whether it took effect is not known; do not count it as failed.
using OutcomeUnknownError = ErrorOf<ErrorKind::outcome_unknown>;
/// Too many requests; retry_after() says how long to wait, if the platform does.
using RateLimitError = ErrorOf<ErrorKind::rate_limit>;
/// A missing or refused token.
using AuthenticationError = ErrorOf<ErrorKind::authentication>;
/// Any other error that the platform reports, and what a later library may report.
using ApiError = ErrorOf<ErrorKind::api>;
/// The broker does not know this approval.
using NotFoundError = ErrorOf<ErrorKind::not_found>;
/// The agent was switched off by its owner.
using AgentInactiveError = ErrorOf<ErrorKind::agent_inactive, AuthenticationError>;
/// The account of the agent's owner is suspended.
using AgentUserSuspendedError = ErrorOf<ErrorKind::agent_user_suspended, AuthenticationError>;
/// The platform cannot look at agents' tokens at the moment; nothing is wrong with this one.
using AuthUnavailableError = ErrorOf<ErrorKind::auth_unavailable, ApiError>;
/// The platform cannot look at sites' tokens at the moment; nothing is wrong with this one.
using SiteAuthUnavailableError = ErrorOf<ErrorKind::site_auth_unavailable, ApiError>;
/// A passport that must not be trusted.
using InvalidPassportError = ErrorOf<ErrorKind::invalid_passport>;
/// A passport that was good once and has expired.
using PassportExpiredError = ErrorOf<ErrorKind::passport_expired, InvalidPassportError>;
/// An access token that an MCP server must not trust; code() says why.
using InvalidTokenError = ErrorOf<ErrorKind::invalid_token>;
/// The proof of work was not solved within its budget.
using PowTimeoutError = ErrorOf<ErrorKind::pow_timeout>;
/// The platform asked for a proof of work that nobody can solve.
using PowDifficultyError = ErrorOf<ErrorKind::pow_difficulty, PowTimeoutError>;
/// A human denied the operation, or nobody decided before the approval expired; it must not run.
using ApprovalDeniedError = ErrorOf<ErrorKind::approval_denied>;
/// A webhook that must not be trusted; code() says why.
using WebhookError = ErrorOf<ErrorKind::webhook>;
/// The platform gives this agent no tokens for MCP servers: it lacks the grant.
using OAuthCapabilityError = ErrorOf<ErrorKind::oauth_capability, ApiError>;
/// An MCP server refuses the token, also the new one that was fetched when it refused the first.
using McpAuthenticationError = ErrorOf<ErrorKind::mcp_authentication>;
/// An MCP server reports an error; code() says which.
using McpError = ErrorOf<ErrorKind::mcp>;

inline void Error::raise() const {
    switch (kind()) {
    case ErrorKind::invalid_argument: throw InvalidArgumentError(*this);
    case ErrorKind::closed: throw ClosedError(*this);
    case ErrorKind::cancelled: throw CancelledError(*this);
    case ErrorKind::timeout: throw TimeoutError(*this);
    case ErrorKind::would_deadlock: throw WouldDeadlockError(*this);
    case ErrorKind::internal: throw InternalError(*this);
    case ErrorKind::transport: throw TransportError(*this);
    case ErrorKind::transport_timeout: throw TransportTimeoutError(*this);
    case ErrorKind::bad_response: throw BadResponseError(*this);
    case ErrorKind::outcome_unknown: throw OutcomeUnknownError(*this);
    case ErrorKind::rate_limit: throw RateLimitError(*this);
    case ErrorKind::authentication: throw AuthenticationError(*this);
    case ErrorKind::api: break;
    case ErrorKind::not_found: throw NotFoundError(*this);
    case ErrorKind::agent_inactive: throw AgentInactiveError(*this);
    case ErrorKind::agent_user_suspended: throw AgentUserSuspendedError(*this);
    case ErrorKind::auth_unavailable: throw AuthUnavailableError(*this);
    case ErrorKind::site_auth_unavailable: throw SiteAuthUnavailableError(*this);
    case ErrorKind::invalid_passport: throw InvalidPassportError(*this);
    case ErrorKind::passport_expired: throw PassportExpiredError(*this);
    case ErrorKind::invalid_token: throw InvalidTokenError(*this);
    case ErrorKind::pow_timeout: throw PowTimeoutError(*this);
    case ErrorKind::pow_difficulty: throw PowDifficultyError(*this);
    case ErrorKind::approval_denied: throw ApprovalDeniedError(*this);
    case ErrorKind::webhook: throw WebhookError(*this);
    case ErrorKind::oauth_capability: throw OAuthCapabilityError(*this);
    case ErrorKind::mcp_authentication: throw McpAuthenticationError(*this);
    case ErrorKind::mcp: throw McpError(*this);
    }
    throw ApiError(*this);
}

/// The value of a call, or why there is none. What std::expected is in C++23, but for reading the value, which throws
/// the error where there is none.
template <class T> class [[nodiscard]] Result {
  public:
    /// A call that succeeded.
    /// @param value The value.
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    /// A call that failed.
    /// @param error The error.
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    /// @return Whether there is a value.
    bool has_value() const noexcept { return state_.index() == 0; }
    /// @return Whether there is a value.
    explicit operator bool() const noexcept { return has_value(); }
    /// @return LIME_OK, or the error's status.
    std::int32_t status() const noexcept {
        const Error *error = std::get_if<1>(&state_);
        return error ? error->status() : LIME_OK;
    }

    /// @return The value; throws the error where there is none.
    const T &value() const & { return check(), *std::get_if<0>(&state_); }
    /// @return The value; throws the error where there is none.
    T &value() & { return check(), *std::get_if<0>(&state_); }
    /// @return The value, moved out; throws the error where there is none.
    T value() && { return check(), std::move(*std::get_if<0>(&state_)); }
    /// @return As value().
    const T &operator*() const & { return value(); }
    /// @return As value().
    T &operator*() & { return value(); }
    /// @return As value().
    T operator*() && { return std::move(*this).value(); }
    /// @return As value().
    const T *operator->() const { return &value(); }
    /// @return As value().
    T *operator->() { return &value(); }

    /// @return The error; throws std::bad_variant_access where there is none.
    const Error &error() const & { return std::get<1>(state_); }
    /// @return The error; throws std::bad_variant_access where there is none.
    Error error() && { return std::get<1>(std::move(state_)); }

  private:
    void check() const {
        if (const Error *error = std::get_if<1>(&state_)) error->raise();
    }

    std::variant<T, Error> state_;
};

/// A call without a value: that it succeeded, or why it failed.
template <> class [[nodiscard]] Result<void> {
  public:
    /// A call that succeeded.
    Result() = default;
    /// A call that failed.
    /// @param error The error.
    Result(Error error) : error_(std::move(error)) {}

    /// @return Whether the call succeeded.
    bool has_value() const noexcept { return !error_; }
    /// @return Whether the call succeeded.
    explicit operator bool() const noexcept { return has_value(); }
    /// @return LIME_OK, or the error's status.
    std::int32_t status() const noexcept { return error_ ? error_->status() : LIME_OK; }
    /// Throws the error if there is one.
    void value() const {
        if (error_) error_->raise();
    }
    /// @return The error; throws std::bad_optional_access where there is none.
    const Error &error() const { return error_.value(); }

  private:
    std::optional<Error> error_;
};

// ---- started calls

/// A call that was started, by its number. Freely copied; it may outlive the call and the client.
class Started {
  public:
    /// No call.
    Started() = default;
    /// The call with this number of the C library.
    /// @param operation The number.
    explicit Started(std::uint64_t operation) noexcept : operation_(operation) {}

    /// Cancels the call, which then ends with a CancelledError unless it ended before; what it has sent may still take
    /// effect. Never blocks; any thread, in handlers too.
    /// @return Whether the call was still under way.
    bool cancel() const noexcept { return lime_operation_cancel(operation_) == 1; }

    /// @return The number; 0 for no call.
    std::uint64_t operation() const noexcept { return operation_; }

  private:
    std::uint64_t operation_ = 0;
};

/// The result of a started call, once it is there, and the way to cancel it. Destroying it neither waits nor cancels.
template <class T> class [[nodiscard]] Operation : public Started {
  public:
    /// No call.
    Operation() = default;
    /// A call by its number, and where its result arrives.
    /// @param started The call.
    /// @param future Where its result arrives.
    Operation(Started started, std::future<T> future) noexcept : Started(started), future_(std::move(future)) {}

    /// @return Whether the result can still be taken.
    bool valid() const noexcept { return future_.valid(); }

    /// Waits, and gives the result or throws the error; once.
    /// @return The result.
    T get() {
        refuse_to_hang();
        return future_.get();
    }

    /// Waits until the result is there.
    void wait() const {
        refuse_to_hang();
        future_.wait();
    }

    /// Waits until the result is there, but no longer than this. In a handler, ask with 0 only.
    /// @param timeout How long.
    /// @return Whether it is there.
    template <class Rep, class Period> bool wait_for(const std::chrono::duration<Rep, Period> &timeout) const {
        return future_.wait_for(timeout) == std::future_status::ready;
    }

    /// @return The future itself; this object keeps cancel(). It must not be waited for in a handler.
    std::future<T> take_future() noexcept { return std::move(future_); }

  private:
    void refuse_to_hang() const {
        if (lime_is_library_thread() == 1 && future_.valid() && !wait_for(std::chrono::seconds(0)))
            Error(LIME_ERROR_WOULD_DEADLOCK, "a result was waited for on the thread that would have to bring it").raise();
    }

    std::future<T> future_;
};

/// Is given an exception that left a handler. It runs where the handler ran, so if it was a log function, also on several
/// threads at once. What it throws itself is counted and goes nowhere else.
using ErrorHandler = std::function<void(std::exception_ptr)>;

/// Is given log records. It runs on the library's threads, also on several at once, and on threads that use the
/// client; it must not block and must not call this library.
using LogFunction = std::function<void(LogLevel, std::string_view message)>;

/// @cond INTERNAL
namespace detail {

/// What came to a call as arguments: checks them, and keeps the first that cannot be passed on.
class Arguments {
  public:
    std::string text(const char *name, std::string_view value) {
        if (value.find('\0') != std::string_view::npos) refuse(std::string(name) + " contains a NUL");
        return std::string(value);
    }

    std::optional<std::string> maybe_text(const char *name, const std::optional<std::string_view> &value) {
        return value ? std::optional<std::string>(text(name, *value)) : std::nullopt;
    }

    std::uint64_t ms(const char *name, std::chrono::milliseconds value) {
        if (value == forever) return LIME_WAIT_FOREVER;
        if (value.count() < 0) refuse(std::string(name) + " is negative");
        return static_cast<std::uint64_t>(value.count());
    }

    void function(const char *name, bool is_there) {
        if (!is_there) refuse(std::string(name) + " is empty");
    }

    const std::optional<Error> &refused() const noexcept { return refused_; }

  private:
    void refuse(const std::string &why) {
        if (!refused_) refused_.emplace(LIME_ERROR_INVALID_ARGUMENT, why);
    }

    std::optional<Error> refused_;
};

inline Result<void> checked(std::int32_t status, const lime_error *error = nullptr) {
    if (status == LIME_OK) return Result<void>();
    return Error(status, error);
}

using ErrorHandle = Handle<lime_error, lime_error_free>;

inline std::optional<Error> maybe_error(const lime_error *error) {
    return error ? std::optional<Error>(std::in_place, lime_error_status(error), error) : std::nullopt;
}

/// A call of C without a result.
template <class Call> Result<void> call_void(const Call &call) {
    lime_error *error = nullptr;
    const std::int32_t status = call(&error);
    const ErrorHandle owned(error);
    return checked(status, error);
}

/// What a call of C has given.
template <class T> Result<T> given(std::int32_t status, typename T::native_type *value, lime_error *error) {
    T owned(value);
    const ErrorHandle owned_error(error);
    if (status != LIME_OK) return Error(status, error);
    return Result<T>(std::move(owned));
}

/// A call of C with a result, which has no other form.
template <class T, class Function> Result<T> made(const Function &function) {
    typename T::native_type *value = nullptr;
    lime_error *error = nullptr;
    const std::int32_t status = function(&value, &error);
    return given<T>(status, value, error);
}

/// Where exceptions of handlers go.
class Hooks {
  public:
    Hooks(ErrorHandler on_error, LogFunction log) : on_error_(std::move(on_error)), log_(std::move(log)) {}

    /// To be called in a catch block. A log function is not given what it threw itself.
    void report(bool by_log = false) noexcept {
        count();
        try {
            if (on_error_) on_error_(std::current_exception());
            else if (log_ && !by_log) log_(LogLevel::error, describe());
        } catch (...) {
            count();
        }
    }

    std::uint64_t exceptions() const noexcept { return exceptions_.load(std::memory_order_relaxed); }
    const LogFunction &log() const noexcept { return log_; }

  private:
    void count() noexcept { exceptions_.fetch_add(1, std::memory_order_relaxed); }

    static std::string describe() {
        try {
            throw;
        } catch (const std::exception &exception) {
            return std::string("a handler threw an exception: ") + exception.what();
        } catch (...) {
            return "a handler threw something that is no std::exception";
        }
    }

    const ErrorHandler on_error_;
    const LogFunction log_;
    std::atomic<std::uint64_t> exceptions_{0};
};

using SharedHooks = std::shared_ptr<Hooks>;

/// Runs what a host gave; no exception gets past it.
template <class Body> void guarded(Hooks &hooks, const Body &body) noexcept {
    try {
        body();
    } catch (...) {
        hooks.report();
    }
}

/// What C carries as user data, and frees: a function and where its exceptions go.
template <class Function> struct Box {
    SharedHooks hooks;
    Function function;

    static Box &from(void *user_data) noexcept { return *static_cast<Box *>(user_data); }
    static void drop(void *user_data) noexcept { delete static_cast<Box *>(user_data); }
};

template <class Function> Box<Function> *boxed(SharedHooks hooks, Function function) {
    return new Box<Function>{std::move(hooks), std::move(function)};
}

template <class T> using Then = std::function<void(Result<T>)>;

template <class T>
void call_then(void *user_data, std::int32_t status, typename T::native_type *value, lime_error *error) noexcept {
    auto &box = Box<Then<T>>::from(user_data);
    guarded(*box.hooks, [&] { box.function(given<T>(status, value, error)); });
}

template <class T>
void keep_promise(void *user_data, std::int32_t status, typename T::native_type *value, lime_error *error) noexcept {
    auto &promise = *static_cast<std::promise<T> *>(user_data);
    try {
        Result<T> result = given<T>(status, value, error);
        if (result) promise.set_value(*std::move(result));
        else promise.set_exception(result.error().to_exception());
    } catch (...) {
        promise.set_exception(std::current_exception());
    }
}

template <class T> void drop_promise(void *user_data) noexcept { delete static_cast<std::promise<T> *>(user_data); }

/// Starts a call that ends in a future, which also takes what is refused at once.
template <class T, class Starter> Operation<T> start(const Arguments &arguments, const Starter &starter) {
    std::optional<Error> refused = arguments.refused();
    if (!refused) {
        auto promise = std::make_unique<std::promise<T>>();
        std::future<T> future = promise->get_future();
        std::uint64_t operation = 0;
        const Result<void> started = call_void([&](lime_error **error) {
            return starter(&keep_promise<T>, promise.release(), &drop_promise<T>, &operation, error);
        });
        if (started) return Operation<T>(Started(operation), std::move(future));
        refused = started.error();
    }
    std::promise<T> promise;
    promise.set_exception(refused->to_exception());
    return Operation<T>(Started(), promise.get_future());
}

/// Starts a call that ends in `then`; throws what is refused at once.
template <class T, class Starter>
Started start(Arguments arguments, const Starter &starter, const SharedHooks &hooks, Then<T> then) {
    arguments.function("then", then != nullptr);
    if (arguments.refused()) arguments.refused()->raise();
    auto *box = boxed(hooks, std::move(then));
    std::uint64_t operation = 0;
    call_void([&](lime_error **error) {
        return starter(&call_then<T>, box, &Box<Then<T>>::drop, &operation, error);
    }).value();
    return Started(operation);
}

/// One call in all its forms: the two functions of C, and what puts the call's own arguments before theirs.
template <class T, class Blocking, class Starting, class Apply> class Call {
  public:
    Call(const Arguments &arguments, Blocking *blocking, Starting *starting, Apply apply)
        : arguments_(arguments), blocking_(blocking), starting_(starting), apply_(std::move(apply)) {}

    Result<T> now() const {
        if (arguments_.refused()) return *arguments_.refused();
        return made<T>([this](auto... rest) { return apply_(blocking_, rest...); });
    }

    Operation<T> start() const {
        return detail::start<T>(arguments_, [this](auto... rest) { return apply_(starting_, rest...); });
    }

    Started start(const SharedHooks &hooks, Then<T> then) const {
        return detail::start<T>(
            arguments_, [this](auto... rest) { return apply_(starting_, rest...); }, hooks, std::move(then));
    }

  private:
    Arguments arguments_;
    Blocking *blocking_;
    Starting *starting_;
    Apply apply_;
};

template <class T, class Blocking, class Starting, class Apply>
Call<T, Blocking, Starting, Apply> call(const Arguments &arguments, Blocking *blocking, Starting *starting, Apply apply) {
    return {arguments, blocking, starting, std::move(apply)};
}

inline void write_log(void *user_data, std::int32_t level, const char *message) noexcept {
    auto &hooks = **static_cast<SharedHooks *>(user_data);
    try {
        hooks.log()(static_cast<LogLevel>(level), message);
    } catch (...) {
        hooks.report(true);
    }
}

inline void drop_log(void *user_data) noexcept { delete static_cast<SharedHooks *>(user_data); }

} // namespace detail
/// @endcond

// ---- results

/// A login request that was just created.
class LoginRequest {
  public:
    /// @cond INTERNAL
    using native_type = lime_login_request;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit LoginRequest(lime_login_request *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_login_request *native() const noexcept { return native_.get(); }

    /// @return The id, to be handed to the agent.
    std::string request_id() const { return detail::text(lime_login_request_request_id(native())); }
    /// @return The status, "PENDING".
    std::string status() const { return detail::text(lime_login_request_status_text(native())); }
    /// @return When it expires.
    Timestamp expires_at() const {
        return {detail::time_point(lime_login_request_expires_at_unix_micros(native())),
                detail::offset(lime_login_request_expires_at_offset_seconds(native()))};
    }

  private:
    detail::Handle<lime_login_request, lime_login_request_free> native_;
};

/// Where a login request stands.
class LoginRequestStatus {
  public:
    /// @cond INTERNAL
    using native_type = lime_login_request_status;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit LoginRequestStatus(lime_login_request_status *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_login_request_status *native() const noexcept { return native_.get(); }

    /// @return The login request's id.
    std::string request_id() const { return detail::text(lime_login_request_status_request_id(native())); }
    /// @return The status: "PENDING", "APPROVED", "DELIVERED" or "EXPIRED".
    std::string status() const { return detail::text(lime_login_request_status_status_text(native())); }
    /// @return When it expires, where the platform says so.
    std::optional<Timestamp> expires_at() const {
        return detail::maybe_timestamp(lime_login_request_status_expires_at_unix_micros(native()),
                                       lime_login_request_status_expires_at_offset_seconds(native()));
    }

  private:
    detail::Handle<lime_login_request_status, lime_login_request_status_free> native_;
};

/// How a login request ended.
class LoginEvent {
  public:
    /// @cond INTERNAL
    using native_type = lime_login_event;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit LoginEvent(lime_login_event *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_login_event *native() const noexcept { return native_.get(); }

    /// @return The login request that ended.
    std::string request_id() const { return detail::text(lime_login_event_request_id(native())); }
    /// @return The agent's passport, not verified yet (see Site::verify_passport()); nothing when nobody signed in in
    /// time.
    std::optional<std::string> passport() const { return detail::maybe_text(lime_login_event_passport(native())); }

  private:
    detail::Handle<lime_login_event, lime_login_event_free> native_;
};

/// A passport that was verified, with its claims.
class Passport {
  public:
    /// @cond INTERNAL
    using native_type = lime_passport;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit Passport(lime_passport *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_passport *native() const noexcept { return native_.get(); }

    /// @return All claims as a JSON object; `sub` is called `agent_id`.
    std::string claims_json() const { return detail::text(lime_passport_claims_json(native())); }
    /// @param name The claim's name.
    /// @return One claim that is a text; nothing when there is no such claim, or it is no text.
    std::optional<std::string> text_claim(std::string_view name) const {
        if (name.find('\0') != std::string_view::npos) return std::nullopt; // no claim has such a name
        return detail::maybe_text(lime_passport_text_claim(native(), std::string(name).c_str()));
    }
    /// @return The agent that signed in, or that was connected.
    std::optional<std::string> agent_id() const { return text_claim("agent_id"); }
    /// @return The LIME user who owns the agent.
    std::optional<std::string> owner_id() const { return detail::maybe_text(lime_passport_owner_id(native())); }
    /// @return The login request that it was made for.
    std::optional<std::string> request_id() const { return text_claim("request_id"); }
    /// @return The binding that it was made for.
    std::optional<std::string> binding_id() const { return text_claim("binding_id"); }

  private:
    detail::Handle<lime_passport, lime_passport_free> native_;
};

/// A binding that was just asked for.
class BindingRequest {
  public:
    /// @cond INTERNAL
    using native_type = lime_binding_request;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit BindingRequest(lime_binding_request *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_binding_request *native() const noexcept { return native_.get(); }

    /// @return The id, to be kept beside the person's session before their browser is sent on.
    std::string binding_id() const { return detail::text(lime_binding_request_binding_id(native())); }
    /// @return Where the person's browser is to be sent, as it is.
    std::string connect_url() const { return detail::text(lime_binding_request_connect_url(native())); }
    /// @return The status, "PENDING".
    std::string status() const { return detail::text(lime_binding_request_status_text(native())); }
    /// @return When it expires, unless the person has picked an agent.
    Timestamp expires_at() const {
        return {detail::time_point(lime_binding_request_expires_at_unix_micros(native())),
                detail::offset(lime_binding_request_expires_at_offset_seconds(native()))};
    }

  private:
    detail::Handle<lime_binding_request, lime_binding_request_free> native_;
};

/// What a binding code was exchanged for.
class BindingExchange {
  public:
    /// @cond INTERNAL
    using native_type = lime_binding_exchange;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit BindingExchange(lime_binding_exchange *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_binding_exchange *native() const noexcept { return native_.get(); }

    /// @return The binding passport, not verified yet (see Site::verify_binding_passport()).
    std::string passport() const { return detail::text(lime_binding_exchange_passport(native())); }

  private:
    detail::Handle<lime_binding_exchange, lime_binding_exchange_free> native_;
};

/// How a login was confirmed.
class ApprovalResult {
  public:
    /// @cond INTERNAL
    using native_type = lime_approval_result;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit ApprovalResult(lime_approval_result *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_approval_result *native() const noexcept { return native_.get(); }

    /// @return The login request that was confirmed.
    std::string request_id() const { return detail::text(lime_approval_result_request_id(native())); }
    /// @return The site that created it.
    std::string site_id() const { return detail::text(lime_approval_result_site_id(native())); }
    /// @return The status: "APPROVED" or "DELIVERED".
    std::string status() const { return detail::text(lime_approval_result_status_text(native())); }
    /// @return The agent that approved it, where the platform tells.
    std::optional<std::string> approved_agent_id() const {
        return detail::maybe_text(lime_approval_result_approved_agent_id(native()));
    }
    /// @return When the login request expires.
    Timestamp expires_at() const {
        return {detail::time_point(lime_approval_result_expires_at_unix_micros(native())),
                detail::offset(lime_approval_result_expires_at_offset_seconds(native()))};
    }

  private:
    detail::Handle<lime_approval_result, lime_approval_result_free> native_;
};

/// The agent as the platform knows it.
class AgentProfile {
  public:
    /// @cond INTERNAL
    using native_type = lime_agent_profile;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit AgentProfile(lime_agent_profile *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_agent_profile *native() const noexcept { return native_.get(); }

    /// @return The agent.
    std::string agent_id() const { return detail::text(lime_agent_profile_agent_id(native())); }
    /// @return The LIME user who owns it.
    std::string owner_id() const { return detail::text(lime_agent_profile_owner_id(native())); }
    /// @return Its public name, where the platform tells.
    std::optional<std::string> display_name() const {
        return detail::maybe_text(lime_agent_profile_display_name(native()));
    }
    /// @return The address of its picture, where the platform tells.
    std::optional<std::string> avatar_url() const { return detail::maybe_text(lime_agent_profile_avatar_url(native())); }
    /// @return Its public description, where the platform tells.
    std::optional<std::string> description() const {
        return detail::maybe_text(lime_agent_profile_description(native()));
    }
    /// @return The owner's verification level, where the platform tells.
    std::optional<std::int64_t> owner_kyc_level() const {
        std::int64_t value = 0;
        return lime_agent_profile_owner_kyc_level(native(), &value) ? std::optional(value) : std::nullopt;
    }
    /// @return Its reputation score, where the platform tells.
    std::optional<std::int64_t> agent_reputation() const {
        std::int64_t value = 0;
        return lime_agent_profile_agent_reputation(native(), &value) ? std::optional(value) : std::nullopt;
    }

  private:
    detail::Handle<lime_agent_profile, lime_agent_profile_free> native_;
};

/// A token for the MCP servers of one host name.
class McpAccessToken {
  public:
    /// @cond INTERNAL
    using native_type = lime_mcp_access_token;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit McpAccessToken(lime_mcp_access_token *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_mcp_access_token *native() const noexcept { return native_.get(); }

    /// @return The JWT, to be sent as `Authorization: Bearer ...` to MCP servers of its host name and nowhere else.
    std::string access_token() const { return detail::text(lime_mcp_access_token_access_token(native())); }
    /// @return "Bearer".
    std::string token_type() const { return detail::text(lime_mcp_access_token_token_type(native())); }
    /// @return How long it lives from issued_at() on.
    std::chrono::seconds expires_in() const {
        return std::chrono::seconds(lime_mcp_access_token_expires_in_seconds(native()));
    }
    /// @return When it was fetched.
    UnixTime issued_at() const { return detail::time_point(lime_mcp_access_token_issued_at_unix_micros(native())); }

  private:
    detail::Handle<lime_mcp_access_token, lime_mcp_access_token_free> native_;
};

/// What an MCP server answered.
class McpResult {
  public:
    /// @cond INTERNAL
    using native_type = lime_mcp_result;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit McpResult(lime_mcp_result *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_mcp_result *native() const noexcept { return native_.get(); }

    /// @return The whole result, a JSON object as the server wrote it.
    std::string json() const { return detail::text(lime_mcp_result_json(native())); }
    /// @return The texts in a tool's answer, with line feeds between them.
    std::optional<std::string> text() const { return detail::maybe_text(lime_mcp_result_text(native())); }
    /// @return The structured part of a tool's answer, as JSON.
    std::optional<std::string> structured_json() const {
        return detail::maybe_text(lime_mcp_result_structured_json(native()));
    }
    /// @return Whether a tool says of itself that it failed.
    bool is_error() const noexcept { return lime_mcp_result_is_error(native()) == 1; }

  private:
    detail::Handle<lime_mcp_result, lime_mcp_result_free> native_;
};

/// Where an approval stood when the broker answered. (The result of an agent's login is an ApprovalResult.)
class Approval {
  public:
    /// @cond INTERNAL
    using native_type = lime_approval;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit Approval(lime_approval *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_approval *native() const noexcept { return native_.get(); }

    /// @return The approval's id, by which another process can wait for it.
    std::string approval_id() const { return detail::text(lime_approval_approval_id(native())); }
    /// @return The status: "pending", "approved", "denied" or "expired"; a later broker may know more.
    std::string status() const { return detail::text(lime_approval_status_text(native())); }
    /// @return Whether a human granted it. Nothing else means "go on".
    bool is_approved() const noexcept { return lime_approval_is_approved(native()) == 1; }
    /// @return Whether no further decision can change it.
    bool is_terminal() const noexcept { return lime_approval_is_terminal(native()) == 1; }
    /// @return When it expires undecided, where the broker tells.
    std::optional<Timestamp> expires_at() const {
        return detail::maybe_timestamp(lime_approval_expires_at_unix_micros(native()),
                                       lime_approval_expires_at_offset_seconds(native()));
    }
    /// @return When it was decided, where the broker tells.
    std::optional<Timestamp> decided_at() const {
        return detail::maybe_timestamp(lime_approval_decided_at_unix_micros(native()),
                                       lime_approval_decided_at_offset_seconds(native()));
    }
    /// @return What the human wrote beside the decision, where the broker tells.
    std::optional<std::string> note() const { return detail::maybe_text(lime_approval_note(native())); }
    /// @return The label of whoever asked for it, where the broker tells.
    std::optional<std::string> requester_label() const {
        return detail::maybe_text(lime_approval_requester_label(native()));
    }

  private:
    detail::Handle<lime_approval, lime_approval_free> native_;
};

/// How far a login has come. Any number of threads may look at it while the login runs.
class LoginProgress {
  public:
    /// @cond INTERNAL
    using native_type = lime_login_progress;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit LoginProgress(lime_login_progress *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_login_progress *native() const noexcept { return native_.get(); }

    /// @return What the login is busy with.
    LoginStage stage() const noexcept { return static_cast<LoginStage>(lime_login_progress_stage(native())); }
    /// @return How many nonces the search has taken up so far; it begins at 0 again when a second digest is tried.
    std::uint64_t hashes() const noexcept { return lime_login_progress_hashes(native()); }
    /// @return How many leading zero bits are asked for; nothing as long as the challenge is not there.
    std::optional<std::int64_t> difficulty() const noexcept {
        const std::int64_t bits = lime_login_progress_difficulty(native());
        return bits < 0 ? std::nullopt : std::optional(bits);
    }
    /// @return How long ago this was made.
    std::chrono::milliseconds elapsed() const noexcept {
        return std::chrono::milliseconds(lime_login_progress_elapsed_ms(native()));
    }
    /// @return What the search has left of its budget; the whole budget before it has begun.
    std::chrono::milliseconds left() const noexcept {
        return std::chrono::milliseconds(lime_login_progress_left_ms(native()));
    }

  private:
    detail::Handle<lime_login_progress, lime_login_progress_free> native_;
};

/// A nonce that was found by solve_pow_start().
class PowNonce {
  public:
    /// @cond INTERNAL
    using native_type = lime_pow_nonce;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit PowNonce(lime_pow_nonce *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_pow_nonce *native() const noexcept { return native_.get(); }

    /// @return The nonce, as decimal text.
    std::string text() const { return detail::text(lime_pow_nonce_text(native())); }

  private:
    detail::Handle<lime_pow_nonce, lime_pow_nonce_free> native_;
};

// ---- the host's own HTTP client, and a clock for tests

/// A request that the host carries out. It is answered in this order: respond(), any number of write(), end(); or, at
/// any point, fail(). One that is destroyed before has failed, Reach::maybe_sent.
///
/// To be used by one thread at a time, but for is_wanted() and wants_more().
class HttpRequest {
  public:
    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit HttpRequest(lime_http_request *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_http_request *native() const noexcept { return native_.get(); }

    /// @return The request's number, which the two notices are given. Numbers are never used again.
    std::uint64_t id() const noexcept { return lime_http_request_id(native()); }
    /// @return The method, "GET" or "POST".
    std::string method() const { return detail::text(lime_http_request_method(native())); }
    /// @return The absolute URL. Redirects must not be followed: they are given back like any other answer.
    std::string url() const { return detail::text(lime_http_request_url(native())); }
    /// @return The headers that are to be sent beside those that an HTTP client adds by itself. The values may be
    /// secrets: not for logs.
    std::vector<std::pair<std::string, std::string>> headers() const {
        std::vector<std::pair<std::string, std::string>> headers;
        const std::size_t count = lime_http_request_header_count(native());
        for (std::size_t at = 0; at < count; at++)
            headers.emplace_back(detail::text(lime_http_request_header_name(native(), at)),
                                 detail::text(lime_http_request_header_value(native(), at)));
        return headers;
    }
    /// @return The whole body; valid as long as this object.
    std::string_view body() const noexcept {
        std::size_t length = 0;
        const void *bytes = lime_http_request_body(native(), &length);
        return bytes ? std::string_view(static_cast<const char *>(bytes), length) : std::string_view();
    }
    /// @return Whether the answer's body is a stream: to be handed on piece by piece as it arrives, without a limit of
    /// time between the pieces.
    bool is_stream() const noexcept { return lime_http_request_is_stream(native()) == 1; }
    /// @return How long the platform may hold the answer back, where that is longer than usual.
    std::optional<std::chrono::milliseconds> time_limit() const noexcept {
        const std::int64_t ms = lime_http_request_time_limit_ms(native());
        return ms < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(ms));
    }
    /// @return The started call that the request is sent for; none when the library sends it by itself.
    Started operation() const noexcept { return Started(lime_http_request_operation(native())); }
    /// @return Whether the answer is still wanted. Any thread may ask.
    bool is_wanted() const noexcept { return lime_http_request_is_wanted(native()) == 1; }
    /// @return Whether more of the body is wanted now. Any thread may ask.
    bool wants_more() const noexcept { return lime_http_request_wants_more(native()) == 1; }
    /// Blocks until more of the body is wanted, or nothing any more: for a host that carries a request out on a thread of
    /// its own.
    /// @return Whether more is wanted.
    bool wait() const noexcept { return lime_http_request_wait(native()) == 1; }

    /// Hands over the answer's status and headers. What HTTP does not allow is left out. Throws InvalidArgumentError when
    /// there is no such status, or the request was answered already.
    /// @param http_status 100 to 999.
    /// @param headers Any range of pairs of texts; copied.
    /// @return Whether the answer is still wanted.
    template <class Headers> bool respond(std::int32_t http_status, const Headers &headers) {
        std::vector<std::string> texts;
        for (const auto &[name, value] : headers) {
            const std::string_view name_view = name, value_view = value;
            if (name_view.find('\0') != std::string_view::npos || value_view.find('\0') != std::string_view::npos)
                continue; // HTTP does not allow it, and C would cut it
            texts.emplace_back(name_view);
            texts.emplace_back(value_view);
        }
        std::vector<const char *> names, values;
        for (std::size_t at = 0; at < texts.size(); at += 2) {
            names.push_back(texts[at].c_str());
            values.push_back(texts[at + 1].c_str());
        }
        return wanted(
            lime_http_request_respond(native_.get(), http_status, names.data(), values.data(), names.size()));
    }
    /// Hands over a piece of the answer's body, after any decoding. Throws InvalidArgumentError when it is not its turn.
    /// @param piece The bytes; copied.
    /// @return Whether the answer is still wanted.
    bool write(std::string_view piece) {
        return wanted(lime_http_request_write(native_.get(), piece.data(), piece.size()));
    }
    /// Says that the body is complete. Throws InvalidArgumentError when it is not its turn.
    void end() { detail::checked(lime_http_request_end(native_.get())).value(); }
    /// Says that there is no answer, or that its body broke off: how far it got (Reach::maybe_sent when in doubt), and
    /// why, for people, without secrets. Throws InvalidArgumentError when the request has ended.
    /// @param reach How far it got; Reach::maybe_sent when in doubt.
    /// @param message For people, without secrets; copied.
    void fail(Reach reach, std::string_view message) {
        detail::Arguments arguments;
        const std::string text = arguments.text("message", message);
        if (arguments.refused()) arguments.refused()->raise();
        detail::checked(lime_http_request_fail(native_.get(), static_cast<std::int32_t>(reach), text.c_str())).value();
    }

  private:
    static bool wanted(std::int32_t status) {
        if (status == LIME_ERROR_CANCELLED) return false;
        detail::checked(status).value();
        return true;
    }

    detail::Handle<lime_http_request, lime_http_request_free> native_;
};

/// The host's own HTTP client, as functions.
struct TransportFunctions {
    /// Begins to carry out a request, which is to be answered now or later, on any thread. Runs on the library's runtime
    /// thread, which all clients share, so it must return at once. When it throws, the request has failed.
    std::function<void(HttpRequest request)> send = {};
    /// Is told the number of a request whose answer is not wanted any more: close the connection. Runs on a thread of
    /// the library, must return at once, and must not call the library. May be empty.
    std::function<void(std::uint64_t request_id)> abort = {};
    /// Is told the number of a request whose body is wanted again after HttpRequest::wants_more() was false; else as
    /// `abort`.
    std::function<void(std::uint64_t request_id)> resume = {};
    /// Where exceptions of the three go, see "Handlers" above.
    ErrorHandler on_error = {};
    /// Whether the host's client has time limits of its own. Then the options' `timeout` is not applied.
    bool keeps_time = false;
};

/// The host's own HTTP client. Clients that were made with it keep it: it may be destroyed before them.
class Transport {
  public:
    /// Makes a transport of functions. Starts nothing. Throws InvalidArgumentError when there is no `send`.
    /// @param functions What it calls.
    explicit Transport(TransportFunctions functions) : Transport(try_new(std::move(functions)).value()) {}

    /// As the constructor.
    /// @param functions What it calls.
    /// @return The value or the error.
    static Result<Transport> try_new(TransportFunctions functions) {
        detail::Arguments arguments;
        arguments.function("send", functions.send != nullptr);
        if (arguments.refused()) return *arguments.refused();
        auto hooks = std::make_shared<detail::Hooks>(functions.on_error, LogFunction());
        const bool has_abort = functions.abort != nullptr, has_resume = functions.resume != nullptr;
        const std::int32_t keeps_time = functions.keeps_time ? 1 : 0;
        auto *box = detail::boxed(hooks, std::move(functions));
        lime_transport *transport = nullptr;
        auto made = detail::call_void([&](lime_error **error) {
            return lime_transport_new(&send, has_abort ? &abort : nullptr, has_resume ? &resume : nullptr, box,
                                      &detail::Box<TransportFunctions>::drop, &transport, error);
        });
        if (!made) return made.error();
        Transport result(transport, std::move(hooks));
        made = detail::checked(lime_transport_set_keeps_time(transport, keeps_time));
        if (!made) return made.error();
        return Result<Transport>(std::move(result));
    }

    /// @return The object of the C library, which stays this one's.
    const lime_transport *native() const noexcept { return native_.get(); }

    /// @return How many exceptions have left the functions so far.
    std::uint64_t handler_exceptions() const noexcept { return hooks_ ? hooks_->exceptions() : 0; }

  private:
    Transport(lime_transport *native, detail::SharedHooks hooks) noexcept : hooks_(std::move(hooks)), native_(native) {}

    static void send(void *user_data, lime_http_request *request) noexcept {
        auto &box = detail::Box<TransportFunctions>::from(user_data);
        // By value all the way: when send throws, the request is gone before anybody is told.
        const detail::SharedHooks hooks = box.hooks;
        detail::guarded(*hooks, [&] { box.function.send(HttpRequest(request)); });
    }
    static void abort(void *user_data, std::uint64_t request_id) noexcept {
        auto &box = detail::Box<TransportFunctions>::from(user_data);
        detail::guarded(*box.hooks, [&] { box.function.abort(request_id); });
    }
    static void resume(void *user_data, std::uint64_t request_id) noexcept {
        auto &box = detail::Box<TransportFunctions>::from(user_data);
        detail::guarded(*box.hooks, [&] { box.function.resume(request_id); });
    }

    detail::SharedHooks hooks_;
    detail::Handle<lime_transport, lime_transport_free> native_;
};

/// A clock for tests: it stands still until the test moves it, so that every back-off and expiry can be tested without
/// waiting. Clients that were made with it keep it. Any number of threads may use it at once. It does not bound requests
/// that are under way, nor a proof of work: those take real time.
class Clock {
  public:
    /// A clock that stands at a time. With `skips_sleeps` every wait moves it by itself and ends at once. Throws
    /// InvalidArgumentError for a time before 1970.
    /// @param now The time; from 1970 on.
    /// @param skips_sleeps Whether every wait moves the clock by itself and ends at once.
    explicit Clock(UnixTime now, bool skips_sleeps = false) {
        const double ms = now.time_since_epoch().count() * 1000;
        if (ms >= 0 && ms < 1e17) native_.reset(lime_clock_new(static_cast<std::int64_t>(ms), skips_sleeps ? 1 : 0));
        if (!native_) Error(LIME_ERROR_INVALID_ARGUMENT, "the time is before 1970, or too far away").raise();
    }

    /// @return The object of the C library, which stays this one's.
    const lime_clock *native() const noexcept { return native_.get(); }

    /// Moves the clock forward and ends the waits whose time has come.
    /// @param by By how much.
    void advance(std::chrono::milliseconds by) const {
        detail::Arguments arguments;
        const std::uint64_t ms = arguments.ms("by", by);
        if (arguments.refused()) arguments.refused()->raise();
        detail::checked(lime_clock_advance_ms(native(), ms)).value();
    }
    /// Sets what the library gets for a random number: from 0 (included) to 1 (excluded).
    /// @param jitter From 0 (included) to 1 (excluded).
    void set_jitter(double jitter) const { detail::checked(lime_clock_set_jitter(native(), jitter)).value(); }
    /// @return How many waits have begun so far.
    std::size_t sleeps() const noexcept { return lime_clock_sleeps(native()); }
    /// @param index From 0, in the order in which they began.
    /// @return How long a wait is, or was, by its number from 0.
    std::optional<std::chrono::milliseconds> slept(std::size_t index) const noexcept {
        const std::int64_t ms = lime_clock_slept_ms(native(), index);
        return ms < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(ms));
    }
    /// Blocks until so many waits have begun since the clock was made. Throws TimeoutError after `timeout` of real time.
    /// @param count How many waits.
    /// @param timeout How long to block at most, of real time.
    void wait_for_sleeps(std::size_t count, std::chrono::milliseconds timeout) const {
        detail::Arguments arguments;
        const std::uint64_t ms = arguments.ms("timeout", timeout);
        if (arguments.refused()) arguments.refused()->raise();
        detail::checked(lime_clock_wait_for_sleeps(native(), count, ms)).value();
    }

  private:
    detail::Handle<lime_clock, lime_clock_free> native_;
};

// ---- site

/// How to make a Site. What is not set has its default, or is read from the environment.
struct SiteOptions {
    /// The site's secret, `st_...`; else LIME_SITE_TOKEN.
    std::optional<std::string> site_token = {};
    /// The API root, with `/api/v1`; else LIME_API_BASE, then the platform's own.
    std::optional<std::string> base_url = {};
    /// Bounds one attempt of a request; at least 1 ms.
    std::optional<std::chrono::milliseconds> timeout = {};
    /// How many further attempts follow a failed one.
    std::optional<std::uint32_t> max_retries = {};
    /// The first wait before the event stream reconnects.
    std::optional<std::chrono::milliseconds> sse_backoff_base = {};
    /// How many events may wait for the handlers before the platform is held back.
    std::optional<std::size_t> event_queue_limit = {};
    /// How long the platform's signing keys are used before they are fetched again.
    std::optional<std::chrono::milliseconds> jwks_cache_ttl = {};
    /// What differs between the platform's times; what is set besides changes it.
    std::optional<Platform> platform = {};
    /// Whether a passport without an `iss` claim is refused.
    std::optional<bool> require_issuer = {};
    /// Which key documents are taken.
    std::optional<JwksForm> jwks_form = {};
    /// Which failed POSTs are sent again.
    std::optional<PostRetry> post_retry = {};
    /// Where log records go; nowhere if empty.
    LogFunction log = {};
    /// The least level of them that is of interest.
    LogLevel log_level = LogLevel::info;
    /// Where exceptions go that leave a handler, see "Handlers" above.
    ErrorHandler on_error = {};
    /// The host's own HTTP client, for every byte of this client; the library's own if null.
    const Transport *transport = nullptr;
    /// Where time and chance come from, for tests; the machine's clock if null.
    const Clock *clock = nullptr;
    /// Public keys that the platform's server may have, each SHA-256 of its SubjectPublicKeyInfo in base64; else LIME_TLS_PINS.
    std::vector<std::string> tls_pins = {};
};

/// How a passport has to be.
struct PassportCheck {
    /// Whether one without an `iss` claim is refused (one with it is always checked).
    bool require_issuer = false;
};

/// The client of a site's backend. Make one per site token and process.
class Site {
    auto creating() const {
        return detail::call<LoginRequest>({}, lime_site_create_login_request, lime_site_create_login_request_start,
                                          [this](auto *call, auto... rest) { return call(native(), rest...); });
    }
    auto reading(std::string_view request_id) const {
        detail::Arguments arguments;
        auto id = arguments.text("request_id", request_id);
        return detail::call<LoginRequestStatus>(
            arguments, lime_site_read_login_request, lime_site_read_login_request_start,
            [this, id](auto *call, auto... rest) { return call(native(), id.c_str(), rest...); });
    }
    auto waiting(std::string_view request_id, std::chrono::milliseconds timeout) const {
        detail::Arguments arguments;
        auto id = arguments.text("request_id", request_id);
        auto ms = arguments.ms("timeout", timeout);
        return detail::call<LoginEvent>(
            arguments, lime_site_wait_for_login, lime_site_wait_for_login_start,
            [this, id, ms](auto *call, auto... rest) { return call(native(), id.c_str(), ms, rest...); });
    }
    auto verifying(std::string_view jwt, std::optional<std::string_view> expected_request_id, PassportCheck check) const {
        detail::Arguments arguments;
        auto text = arguments.text("jwt", jwt);
        auto expected = arguments.maybe_text("expected_request_id", expected_request_id);
        const std::int32_t require_issuer = check.require_issuer ? 1 : 0;
        return detail::call<Passport>(arguments, lime_site_verify_passport, lime_site_verify_passport_start,
                                      [this, text, expected, require_issuer](auto *call, auto... rest) {
                                          return call(native(), text.c_str(), detail::c_str(expected), require_issuer,
                                                      rest...);
                                      });
    }
    auto binding(std::string_view redirect_uri) const {
        detail::Arguments arguments;
        auto uri = arguments.text("redirect_uri", redirect_uri);
        return detail::call<BindingRequest>(
            arguments, lime_site_create_binding_request, lime_site_create_binding_request_start,
            [this, uri](auto *call, auto... rest) { return call(native(), uri.c_str(), rest...); });
    }
    auto exchanging(std::string_view binding_code) const {
        detail::Arguments arguments;
        auto code = arguments.text("binding_code", binding_code);
        return detail::call<BindingExchange>(
            arguments, lime_site_exchange_binding_code, lime_site_exchange_binding_code_start,
            [this, code](auto *call, auto... rest) { return call(native(), code.c_str(), rest...); });
    }
    auto verifying_binding(std::string_view jwt, std::optional<std::string_view> expected_binding_id,
                           PassportCheck check) const {
        detail::Arguments arguments;
        auto text = arguments.text("jwt", jwt);
        auto expected = arguments.maybe_text("expected_binding_id", expected_binding_id);
        const std::int32_t require_issuer = check.require_issuer ? 1 : 0;
        return detail::call<Passport>(arguments, lime_site_verify_binding_passport,
                                      lime_site_verify_binding_passport_start,
                                      [this, text, expected, require_issuer](auto *call, auto... rest) {
                                          return call(native(), text.c_str(), detail::c_str(expected), require_issuer,
                                                      rest...);
                                      });
    }

  public:
    /// A handler for the end of a login request: `passport` is the agent's, not verified yet, or nothing when nobody
    /// signed in in time.
    using LoginHandler = std::function<void(const std::string &request_id, const std::optional<std::string> &passport)>;
    /// A handler that is given the event as its own, to be kept and handed on.
    using LoginEventHandler = std::function<void(LoginEvent event)>;
    /// A handler for where the event stream stands, and what ended the last connection.
    using StateHandler = std::function<void(StreamState state, const std::optional<Error> &last_error)>;
    /// A handler for login requests that have ended without that anybody will see how.
    using GapHandler = std::function<void(const std::vector<std::string> &request_ids)>;

    /// Makes a client for the site that the token belongs to. Starts no thread and sends nothing. Throws
    /// AuthenticationError when there is no token, and InvalidArgumentError.
    /// @param options How to make it; copied.
    explicit Site(const SiteOptions &options = {}) : Site(try_new(options).value()) {}

    /// As the constructor.
    /// @param options How to make it; copied.
    /// @return The value or the error.
    static Result<Site> try_new(const SiteOptions &options = {});

    /// @return The object of the C library, which stays this one's.
    const lime_site *native() const noexcept { return native_.get(); }

    /// Creates a login request, to be handed to the agent by its request id. Blocks.
    /// @return The login request.
    LoginRequest create_login_request() const { return try_create_login_request().value(); }
    /// As create_login_request().
    /// @return The value or the error.
    Result<LoginRequest> try_create_login_request() const { return creating().now(); }
    /// As create_login_request(), started.
    /// @return The call: its future, and the way to cancel it.
    Operation<LoginRequest> create_login_request_start() const { return creating().start(); }
    /// As create_login_request(), started.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started create_login_request_start(std::function<void(Result<LoginRequest>)> then) const {
        return creating().start(hooks_, std::move(then));
    }

    /// Reads where a login request of this site stands. Throws ApiError when the platform does not know it. Blocks.
    /// @param request_id The login request.
    /// @return Where it stands.
    LoginRequestStatus read_login_request(std::string_view request_id) const {
        return try_read_login_request(request_id).value();
    }
    /// As read_login_request().
    /// @param request_id The login request.
    /// @return The value or the error.
    Result<LoginRequestStatus> try_read_login_request(std::string_view request_id) const {
        return reading(request_id).now();
    }
    /// As read_login_request(), started.
    /// @param request_id The login request.
    /// @return The call: its future, and the way to cancel it.
    Operation<LoginRequestStatus> read_login_request_start(std::string_view request_id) const {
        return reading(request_id).start();
    }
    /// As read_login_request(), started.
    /// @param request_id The login request.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started read_login_request_start(std::string_view request_id,
                                     std::function<void(Result<LoginRequestStatus>)> then) const {
        return reading(request_id).start(hooks_, std::move(then));
    }

    /// Waits until a login request ends, and starts the event stream if it is not running. Throws TimeoutError when
    /// nothing happened in time, OutcomeUnknownError when the request has ended and the event that told how is lost,
    /// with its passport. Blocks.
    /// @param request_id The login request.
    /// @param timeout The longest wait.
    /// @return How it ended; without a passport when nobody signed in before it expired.
    LoginEvent wait_for_login(std::string_view request_id, std::chrono::milliseconds timeout) const {
        return try_wait_for_login(request_id, timeout).value();
    }
    /// As wait_for_login().
    /// @param request_id The login request.
    /// @param timeout The longest wait.
    /// @return The value or the error.
    Result<LoginEvent> try_wait_for_login(std::string_view request_id, std::chrono::milliseconds timeout) const {
        return waiting(request_id, timeout).now();
    }
    /// As wait_for_login(), started.
    /// @param request_id The login request.
    /// @param timeout The longest wait.
    /// @return The call: its future, and the way to cancel it.
    Operation<LoginEvent> wait_for_login_start(std::string_view request_id, std::chrono::milliseconds timeout) const {
        return waiting(request_id, timeout).start();
    }
    /// As wait_for_login(), started.
    /// @param request_id The login request.
    /// @param timeout The longest wait.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started wait_for_login_start(std::string_view request_id, std::chrono::milliseconds timeout,
                                 std::function<void(Result<LoginEvent>)> then) const {
        return waiting(request_id, timeout).start(hooks_, std::move(then));
    }

    /// Verifies a passport, fetching the platform's keys if they are not at hand. Blocks only for that. Without an
    /// `expected_request_id` the passport may be for any login request, which is dangerous: another person's login
    /// would do. Throws InvalidPassportError, of which PassportExpiredError is one.
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The passport, with its claims.
    Passport verify_passport(std::string_view jwt, std::optional<std::string_view> expected_request_id,
                             PassportCheck check = {}) const {
        return try_verify_passport(jwt, expected_request_id, check).value();
    }
    /// As verify_passport().
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The value or the error.
    Result<Passport> try_verify_passport(std::string_view jwt, std::optional<std::string_view> expected_request_id,
                                         PassportCheck check = {}) const {
        return verifying(jwt, expected_request_id, check).now();
    }
    /// As verify_passport(), started.
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The call: its future, and the way to cancel it.
    Operation<Passport> verify_passport_start(std::string_view jwt, std::optional<std::string_view> expected_request_id,
                                              PassportCheck check = {}) const {
        return verifying(jwt, expected_request_id, check).start();
    }
    /// As verify_passport(), started.
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started verify_passport_start(std::string_view jwt, std::optional<std::string_view> expected_request_id,
                                  PassportCheck check, std::function<void(Result<Passport>)> then) const {
        return verifying(jwt, expected_request_id, check).start(hooks_, std::move(then));
    }

    /// Verifies a passport with the keys that are at hand; nothing when they are not, and verify_passport_start() fetches
    /// them. Never blocks and sends nothing; in handlers, too. Throws as verify_passport().
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The passport, with its claims; nothing when the keys are not at hand.
    std::optional<Passport> verify_passport_cached(std::string_view jwt,
                                                   std::optional<std::string_view> expected_request_id,
                                                   PassportCheck check = {}) const {
        return try_verify_passport_cached(jwt, expected_request_id, check).value();
    }
    /// As verify_passport_cached().
    /// @param jwt The passport.
    /// @param expected_request_id The login request that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The value or the error.
    Result<std::optional<Passport>> try_verify_passport_cached(std::string_view jwt,
                                                               std::optional<std::string_view> expected_request_id,
                                                               PassportCheck check = {}) const {
        detail::Arguments arguments;
        const auto text = arguments.text("jwt", jwt);
        const auto expected = arguments.maybe_text("expected_request_id", expected_request_id);
        if (arguments.refused()) return *arguments.refused();
        auto verified = detail::made<Passport>([&](lime_passport **passport, lime_error **error) {
            return lime_site_verify_passport_cached(native(), text.c_str(), detail::c_str(expected),
                                                    check.require_issuer ? 1 : 0, passport, error);
        });
        if (!verified) return verified.error();
        if (!verified->native()) return std::optional<Passport>();
        return std::optional<Passport>(*std::move(verified));
    }

    /// Asks for a binding: a person is to connect one of their agents with their account at this site. Keep its
    /// binding_id() beside the person's session, then send their browser to its connect_url(). Throws ApiError when the
    /// platform does not take the `redirect_uri`. Blocks.
    /// @param redirect_uri An absolute https URL of the site; the person comes back to it with `?binding_code=`.
    /// @return The binding.
    BindingRequest create_binding_request(std::string_view redirect_uri) const {
        return try_create_binding_request(redirect_uri).value();
    }
    /// As create_binding_request().
    /// @param redirect_uri Where the person comes back to.
    /// @return The value or the error.
    Result<BindingRequest> try_create_binding_request(std::string_view redirect_uri) const {
        return binding(redirect_uri).now();
    }
    /// As create_binding_request(), started.
    /// @param redirect_uri Where the person comes back to.
    /// @return The call: its future, and the way to cancel it.
    Operation<BindingRequest> create_binding_request_start(std::string_view redirect_uri) const {
        return binding(redirect_uri).start();
    }
    /// As create_binding_request(), started.
    /// @param redirect_uri Where the person comes back to.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started create_binding_request_start(std::string_view redirect_uri,
                                         std::function<void(Result<BindingRequest>)> then) const {
        return binding(redirect_uri).start(hooks_, std::move(then));
    }

    /// Exchanges the code that a person came back with for the binding passport, which is not verified yet. A code can be
    /// exchanged once. Throws ApiError for one that is unknown, used or expired, and OutcomeUnknownError when it was sent
    /// and the answer got lost: let the person start again. Blocks.
    /// @param binding_code The code.
    /// @return What it was exchanged for.
    BindingExchange exchange_binding_code(std::string_view binding_code) const {
        return try_exchange_binding_code(binding_code).value();
    }
    /// As exchange_binding_code().
    /// @param binding_code The code.
    /// @return The value or the error.
    Result<BindingExchange> try_exchange_binding_code(std::string_view binding_code) const {
        return exchanging(binding_code).now();
    }
    /// As exchange_binding_code(), started.
    /// @param binding_code The code.
    /// @return The call: its future, and the way to cancel it.
    Operation<BindingExchange> exchange_binding_code_start(std::string_view binding_code) const {
        return exchanging(binding_code).start();
    }
    /// As exchange_binding_code(), started.
    /// @param binding_code The code.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started exchange_binding_code_start(std::string_view binding_code,
                                        std::function<void(Result<BindingExchange>)> then) const {
        return exchanging(binding_code).start(hooks_, std::move(then));
    }

    /// Verifies a binding passport, fetching the platform's keys if they are not at hand. Blocks only for that. Without an
    /// `expected_binding_id` the caller has to compare binding_id() with what is kept beside the session of the person who
    /// came back: they could be sent back with a stranger's code. Throws InvalidPassportError, of which
    /// PassportExpiredError is one.
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The passport, with its claims.
    Passport verify_binding_passport(std::string_view jwt, std::optional<std::string_view> expected_binding_id,
                                     PassportCheck check = {}) const {
        return try_verify_binding_passport(jwt, expected_binding_id, check).value();
    }
    /// As verify_binding_passport().
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The value or the error.
    Result<Passport> try_verify_binding_passport(std::string_view jwt,
                                                 std::optional<std::string_view> expected_binding_id,
                                                 PassportCheck check = {}) const {
        return verifying_binding(jwt, expected_binding_id, check).now();
    }
    /// As verify_binding_passport(), started.
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The call: its future, and the way to cancel it.
    Operation<Passport> verify_binding_passport_start(std::string_view jwt,
                                                      std::optional<std::string_view> expected_binding_id,
                                                      PassportCheck check = {}) const {
        return verifying_binding(jwt, expected_binding_id, check).start();
    }
    /// As verify_binding_passport(), started.
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started verify_binding_passport_start(std::string_view jwt, std::optional<std::string_view> expected_binding_id,
                                          PassportCheck check, std::function<void(Result<Passport>)> then) const {
        return verifying_binding(jwt, expected_binding_id, check).start(hooks_, std::move(then));
    }

    /// Verifies a binding passport with the keys that are at hand; nothing when they are not, and
    /// verify_binding_passport_start() fetches them. Never blocks and sends nothing; in handlers, too. Throws as
    /// verify_binding_passport().
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The passport, with its claims; nothing when the keys are not at hand.
    std::optional<Passport> verify_binding_passport_cached(std::string_view jwt,
                                                           std::optional<std::string_view> expected_binding_id,
                                                           PassportCheck check = {}) const {
        return try_verify_binding_passport_cached(jwt, expected_binding_id, check).value();
    }
    /// As verify_binding_passport_cached().
    /// @param jwt The passport.
    /// @param expected_binding_id The binding that it must be for; nothing for any.
    /// @param check How else it has to be.
    /// @return The value or the error.
    Result<std::optional<Passport>>
    try_verify_binding_passport_cached(std::string_view jwt, std::optional<std::string_view> expected_binding_id,
                                       PassportCheck check = {}) const {
        detail::Arguments arguments;
        const auto text = arguments.text("jwt", jwt);
        const auto expected = arguments.maybe_text("expected_binding_id", expected_binding_id);
        if (arguments.refused()) return *arguments.refused();
        auto verified = detail::made<Passport>([&](lime_passport **passport, lime_error **error) {
            return lime_site_verify_binding_passport_cached(native(), text.c_str(), detail::c_str(expected),
                                                            check.require_issuer ? 1 : 0, passport, error);
        });
        if (!verified) return verified.error();
        if (!verified->native()) return std::optional<Passport>();
        return std::optional<Passport>(*std::move(verified));
    }

    /// Registers a handler for the end of every login request of this site, and starts the event stream. It stays
    /// registered for the life of the client. Throws ClosedError and InvalidArgumentError.
    /// @param handler The handler.
    void on_login(LoginHandler handler) const { try_on_login(std::move(handler)).value(); }
    /// As on_login().
    /// @param handler The handler.
    /// @return That it succeeded, or the error.
    Result<void> try_on_login(LoginHandler handler) const {
        return listen(lime_site_on_login, &Site::login, std::move(handler));
    }

    /// Like on_login(), for a program that handles events on a thread of its own: as long as an event lives it has its
    /// place in the queue (SiteOptions::event_queue_limit), so a program that does not keep up holds the platform back,
    /// and nothing is dropped.
    /// @param handler The handler.
    void on_login_event(LoginEventHandler handler) const { try_on_login_event(std::move(handler)).value(); }
    /// As on_login_event().
    /// @param handler The handler.
    /// @return That it succeeded, or the error.
    Result<void> try_on_login_event(LoginEventHandler handler) const {
        return listen(lime_site_on_login_event, &Site::login_event, std::move(handler));
    }

    /// Registers a handler for where the event stream stands: it is first called with the state as it is, then
    /// whenever it has changed. Closing the client is not reported. Throws ClosedError and InvalidArgumentError.
    /// @param handler The handler.
    void on_state(StateHandler handler) const { try_on_state(std::move(handler)).value(); }
    /// As on_state().
    /// @param handler The handler.
    /// @return That it succeeded, or the error.
    Result<void> try_on_state(StateHandler handler) const {
        return listen(lime_site_on_state, &Site::state_changed, std::move(handler));
    }

    /// Registers a handler for login requests whose events are lost: the platform says that they have ended, and
    /// neither the stream nor the platform tells how; a passport that there was is lost. Each login request is named
    /// once. Should such an event come all the same, it is handed on. Does not start the event stream. Throws
    /// ClosedError and InvalidArgumentError.
    /// @param handler The handler.
    void on_gap(GapHandler handler) const { try_on_gap(std::move(handler)).value(); }
    /// As on_gap().
    /// @param handler The handler.
    /// @return That it succeeded, or the error.
    Result<void> try_on_gap(GapHandler handler) const {
        return listen(lime_site_on_gap, &Site::gap, std::move(handler));
    }

    /// Starts the event stream; does nothing when it is running. Throws ClosedError.
    void start_events() const { try_start_events().value(); }
    /// As start_events().
    /// @return That it succeeded, or the error.
    Result<void> try_start_events() const {
        return detail::call_void([&](lime_error **error) { return lime_site_start_events(native(), error); });
    }

    /// @return Where the event stream stands.
    StreamState state() const noexcept { return static_cast<StreamState>(lime_site_state(native())); }
    /// @return What ended the event stream's last connection or attempt.
    std::optional<Error> last_error() const {
        const detail::ErrorHandle error(lime_site_last_error(native()));
        return detail::maybe_error(error.get());
    }
    /// @return How many connections of the event stream came about so far.
    std::uint64_t connections() const noexcept { return lime_site_connections(native()); }
    /// @return How many events the event stream brought so far.
    std::uint64_t events() const noexcept { return lime_site_events(native()); }
    /// @return How many frames of the event stream were not what the protocol allows, and were skipped.
    std::uint64_t malformed_frames() const noexcept { return lime_site_malformed_frames(native()); }
    /// @return How many exceptions have left this client's handlers so far.
    std::uint64_t handler_exceptions() const noexcept { return hooks_ ? hooks_->exceptions() : 0; }

    /// Ends the event stream and refuses further calls with ClosedError; calls that are under way go on, and waits for
    /// a login end. Does not wait; may be called in a handler, and twice.
    void close() const noexcept { lime_site_close(native()); }

  private:
    Site(lime_site *native, detail::SharedHooks hooks) noexcept : hooks_(std::move(hooks)), native_(native) {}

    template <class Handler, class Function, class Callback>
    Result<void> listen(Function *function, Callback *callback, Handler handler) const {
        detail::Arguments arguments;
        arguments.function("handler", handler != nullptr);
        if (arguments.refused()) return *arguments.refused();
        auto *box = detail::boxed(hooks_, std::move(handler));
        return detail::call_void([&](lime_error **error) {
            return function(native(), callback, box, &detail::Box<Handler>::drop, error);
        });
    }

    static void login(void *user_data, const char *request_id, const char *passport) noexcept {
        auto &box = detail::Box<LoginHandler>::from(user_data);
        detail::guarded(*box.hooks, [&] { box.function(detail::text(request_id), detail::maybe_text(passport)); });
    }

    static void login_event(void *user_data, lime_login_event *event) noexcept {
        auto &box = detail::Box<LoginEventHandler>::from(user_data);
        detail::guarded(*box.hooks, [&] { box.function(LoginEvent(event)); });
    }

    static void state_changed(void *user_data, std::int32_t state, const lime_error *last_error) noexcept {
        auto &box = detail::Box<StateHandler>::from(user_data);
        detail::guarded(*box.hooks,
                        [&] { box.function(static_cast<StreamState>(state), detail::maybe_error(last_error)); });
    }

    static void gap(void *user_data, const char *const *request_ids, std::size_t count) noexcept {
        auto &box = detail::Box<GapHandler>::from(user_data);
        detail::guarded(*box.hooks,
                        [&] { box.function(std::vector<std::string>(request_ids, request_ids + count)); });
    }

    detail::SharedHooks hooks_;
    detail::Handle<lime_site, lime_site_free> native_;
};

// ---- agent

/// @cond INTERNAL
namespace detail {

/// A text as JSON; what is no UTF-8 is refused by the library.
inline std::string quoted(std::string_view text) {
    static const char digits[] = "0123456789abcdef";
    std::string json = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20) json += std::string("\\u00") + digits[byte >> 4] + digits[byte & 15];
        else if (c == '"' || c == '\\') (json += '\\') += c;
        else json += c;
    }
    return json + '"';
}

/// A number as JSON, whatever the locale says of decimal points; what is none is refused by the library.
inline std::string written(double number) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text << std::setprecision(17) << number;
    return text.str();
}

} // namespace detail
/// @endcond

/// How to make an Agent. What is not set has its default, or is read from the environment.
struct AgentOptions {
    /// The agent's secret, `at_...`; else LIME_AGENT_TOKEN.
    std::optional<std::string> agent_token = {};
    /// The API root, with `/api/v1`; else LIME_API_BASE, then the platform's own.
    std::optional<std::string> base_url = {};
    /// Bounds one attempt of a request; at least 1 ms.
    std::optional<std::chrono::milliseconds> timeout = {};
    /// How many further attempts follow a failed one.
    std::optional<std::uint32_t> max_retries = {};
    /// The wall-clock budget of one proof of work.
    std::optional<std::chrono::milliseconds> pow_timeout = {};
    /// What differs between the platform's times; what is set besides changes it.
    std::optional<Platform> platform = {};
    /// Which digest the proof of work uses.
    std::optional<PowDigest> pow_digest = {};
    /// How many threads one proof of work uses.
    std::optional<std::size_t> pow_threads = {};
    /// Which failed POSTs are sent again.
    std::optional<PostRetry> post_retry = {};
    /// Where log records go; nowhere if empty.
    LogFunction log = {};
    /// The least level of them that is of interest.
    LogLevel log_level = LogLevel::info;
    /// Where exceptions go that leave a `then`, see "Handlers" above.
    ErrorHandler on_error = {};
    /// The host's own HTTP client, for every byte of this client; the library's own if null.
    const Transport *transport = nullptr;
    /// Where time and chance come from, for tests; the machine's clock if null.
    const Clock *clock = nullptr;
    /// How long before its end a token for MCP servers counts as expired.
    std::optional<std::chrono::milliseconds> mcp_token_refresh_skew = {};
    /// Bounds the time to an MCP server's answer, and between two pieces of it; at least 1 ms.
    std::optional<std::chrono::milliseconds> mcp_read_timeout = {};
    /// Whether each MCP server is called for one thing after the other.
    std::optional<bool> serialize_mcp_per_url = {};
    /// IP addresses of MCP servers by their host names, in place of the name system; else LIME_MCP_ADDRESSES. For tests,
    /// and for networks with names of their own.
    std::vector<std::pair<std::string, std::string>> mcp_addresses = {};
    /// Public keys that the platform's server may have, each SHA-256 of its SubjectPublicKeyInfo in base64; else LIME_TLS_PINS.
    std::vector<std::string> tls_pins = {};
};

/// The client of an agent. Make one per agent token and process.
class Agent {
    auto logging_in(std::string_view request_id) const {
        detail::Arguments arguments;
        auto id = arguments.text("request_id", request_id);
        return detail::call<ApprovalResult>(
            arguments, lime_agent_login, lime_agent_login_start,
            [this, id](auto *call, auto... rest) { return call(native(), id.c_str(), rest...); });
    }
    auto logging_in(std::string_view request_id, const LoginProgress &progress) const {
        detail::Arguments arguments;
        auto id = arguments.text("request_id", request_id);
        return detail::call<ApprovalResult>(
            arguments, lime_agent_login_with_progress, lime_agent_login_with_progress_start,
            [this, id, &progress](auto *call, auto... rest) {
                return call(native(), id.c_str(), progress.native(), rest...);
            });
    }
    auto getting_mcp_access_token(std::string_view target, bool force_refresh) const {
        detail::Arguments arguments;
        auto name = arguments.text("target", target);
        return detail::call<McpAccessToken>(
            arguments, lime_agent_get_mcp_access_token, lime_agent_get_mcp_access_token_start,
            [this, name, force_refresh](auto *call, auto... rest) {
                return call(native(), name.c_str(), force_refresh ? 1 : 0, rest...);
            });
    }
    auto calling_mcp(std::string_view target, std::string_view method, std::string_view params_json) const {
        detail::Arguments arguments;
        auto where = arguments.text("target", target), what = arguments.text("method", method);
        auto with = arguments.text("params_json", params_json);
        return detail::call<McpResult>(arguments, lime_agent_mcp, lime_agent_mcp_start,
                                       [this, where, what, with](auto *call, auto... rest) {
                                           const char *params = with.empty() ? nullptr : with.c_str();
                                           return call(native(), where.c_str(), what.c_str(), params, rest...);
                                       });
    }
    auto calling_tool(std::string_view target, std::string_view name, std::string_view arguments_json) const {
        detail::Arguments arguments;
        auto where = arguments.text("target", target), what = arguments.text("name", name);
        auto with = arguments.text("arguments_json", arguments_json);
        return detail::call<McpResult>(arguments, lime_agent_call_tool, lime_agent_call_tool_start,
                                       [this, where, what, with](auto *call, auto... rest) {
                                           const char *given = with.empty() ? nullptr : with.c_str();
                                           return call(native(), where.c_str(), what.c_str(), given, rest...);
                                       });
    }
    auto getting_profile() const {
        return detail::call<AgentProfile>({}, lime_agent_get_profile, lime_agent_get_profile_start,
                                          [this](auto *call, auto... rest) { return call(native(), rest...); });
    }

  public:
    /// Makes a client for the agent that the token belongs to. Starts no thread and sends nothing. Throws
    /// AuthenticationError when there is no token, and InvalidArgumentError.
    /// @param options How to make it; copied.
    explicit Agent(const AgentOptions &options = {}) : Agent(try_new(options).value()) {}

    /// As the constructor.
    /// @param options How to make it; copied.
    /// @return The value or the error.
    static Result<Agent> try_new(const AgentOptions &options = {});

    /// @return The object of the C library, which stays this one's.
    const lime_agent *native() const noexcept { return native_.get(); }

    /// Confirms a site's login request: fetches its challenge, solves it, sends the approval. Throws
    /// OutcomeUnknownError when an approval was sent and its answer got lost: the site may have let the agent in. Blocks.
    /// @param request_id The login request.
    /// @return How it was confirmed.
    ApprovalResult login(std::string_view request_id) const { return try_login(request_id).value(); }
    /// As login().
    /// @param request_id The login request.
    /// @return The value or the error.
    Result<ApprovalResult> try_login(std::string_view request_id) const { return logging_in(request_id).now(); }
    /// As login(), started. Cancelling ends the search for the proof of work at once.
    /// @param request_id The login request.
    /// @return The call: its future, and the way to cancel it.
    Operation<ApprovalResult> login_start(std::string_view request_id) const { return logging_in(request_id).start(); }
    /// As login(), started.
    /// @param request_id The login request.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started login_start(std::string_view request_id, std::function<void(Result<ApprovalResult>)> then) const {
        return logging_in(request_id).start(hooks_, std::move(then));
    }

    /// A progress for one login of this agent. Its clock runs from here on.
    /// @return The progress.
    LoginProgress progress() const { return try_progress().value(); }
    /// As progress().
    /// @return The value or the error.
    Result<LoginProgress> try_progress() const {
        return detail::made<LoginProgress>([&](lime_login_progress **progress, lime_error **error) {
            return lime_agent_progress(native(), progress, error);
        });
    }
    /// Like login(), and any thread can see in `progress` how far it has come. Blocks.
    /// @param request_id The login request.
    /// @param progress Of this agent, and for this login.
    /// @return How it was confirmed.
    ApprovalResult login_with_progress(std::string_view request_id, const LoginProgress &progress) const {
        return try_login_with_progress(request_id, progress).value();
    }
    /// As login_with_progress().
    /// @param request_id The login request.
    /// @param progress Of this agent, and for this login.
    /// @return The value or the error.
    Result<ApprovalResult> try_login_with_progress(std::string_view request_id, const LoginProgress &progress) const {
        return logging_in(request_id, progress).now();
    }
    /// As login_with_progress(), started. The progress may be destroyed at any time.
    /// @param request_id The login request.
    /// @param progress Of this agent, and for this login.
    /// @return The call: its future, and the way to cancel it.
    Operation<ApprovalResult> login_with_progress_start(std::string_view request_id,
                                                        const LoginProgress &progress) const {
        return logging_in(request_id, progress).start();
    }
    /// As login_with_progress(), started.
    /// @param request_id The login request.
    /// @param progress Of this agent, and for this login.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started login_with_progress_start(std::string_view request_id, const LoginProgress &progress,
                                      std::function<void(Result<ApprovalResult>)> then) const {
        return logging_in(request_id, progress).start(hooks_, std::move(then));
    }

    /// Reads the agent's own profile. Blocks.
    /// @return The profile.
    AgentProfile get_profile() const { return try_get_profile().value(); }
    /// As get_profile().
    /// @return The value or the error.
    Result<AgentProfile> try_get_profile() const { return getting_profile().now(); }
    /// As get_profile(), started.
    /// @return The call: its future, and the way to cancel it.
    Operation<AgentProfile> get_profile_start() const { return getting_profile().start(); }
    /// As get_profile(), started.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started get_profile_start(std::function<void(Result<AgentProfile>)> then) const {
        return getting_profile().start(hooks_, std::move(then));
    }

    /// Gives a token for the MCP servers of a host name: the one that is held, as long as it lives. Throws
    /// InvalidArgumentError when the target is no public DNS name, and OAuthCapabilityError when the agent lacks the
    /// grant. Blocks.
    /// @param target A URL or a host name: extract_and_normalize_domain().
    /// @param force_refresh Whether to fetch a new one, whatever is held.
    /// @return The token.
    McpAccessToken get_mcp_access_token(std::string_view target, bool force_refresh = false) const {
        return try_get_mcp_access_token(target, force_refresh).value();
    }
    /// As get_mcp_access_token().
    /// @param target A URL or a host name.
    /// @param force_refresh Whether to fetch a new one, whatever is held.
    /// @return The value or the error.
    Result<McpAccessToken> try_get_mcp_access_token(std::string_view target, bool force_refresh = false) const {
        return getting_mcp_access_token(target, force_refresh).now();
    }
    /// As get_mcp_access_token(), started.
    /// @param target A URL or a host name.
    /// @param force_refresh Whether to fetch a new one, whatever is held.
    /// @return The call: its future, and the way to cancel it.
    Operation<McpAccessToken> get_mcp_access_token_start(std::string_view target, bool force_refresh = false) const {
        return getting_mcp_access_token(target, force_refresh).start();
    }
    /// As get_mcp_access_token(), started.
    /// @param target A URL or a host name.
    /// @param force_refresh Whether to fetch a new one, whatever is held.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started get_mcp_access_token_start(std::string_view target, bool force_refresh,
                                       std::function<void(Result<McpAccessToken>)> then) const {
        return getting_mcp_access_token(target, force_refresh).start(hooks_, std::move(then));
    }

    /// Calls an MCP server by the method of the protocol; lime_agent_mcp() tells which there are. Throws
    /// McpAuthenticationError when the server refuses a fresh token, McpError when it reports an error, and
    /// OutcomeUnknownError when a tool was called and the answer got lost. Blocks.
    /// @param target The server's URL, or a host name.
    /// @param method The method, such as "resources/list".
    /// @param params_json Its parameters as a JSON object; empty for none.
    /// @return The result.
    McpResult mcp(std::string_view target, std::string_view method, std::string_view params_json = {}) const {
        return try_mcp(target, method, params_json).value();
    }
    /// As mcp().
    /// @param target The server's URL, or a host name.
    /// @param method The method.
    /// @param params_json Its parameters as a JSON object; empty for none.
    /// @return The value or the error.
    Result<McpResult> try_mcp(std::string_view target, std::string_view method,
                              std::string_view params_json = {}) const {
        return calling_mcp(target, method, params_json).now();
    }
    /// As mcp(), started. When it is cancelled, the server is told that nobody waits for the answer.
    /// @param target The server's URL, or a host name.
    /// @param method The method.
    /// @param params_json Its parameters as a JSON object; empty for none.
    /// @return The call: its future, and the way to cancel it.
    Operation<McpResult> mcp_start(std::string_view target, std::string_view method,
                                   std::string_view params_json = {}) const {
        return calling_mcp(target, method, params_json).start();
    }
    /// As mcp(), started.
    /// @param target The server's URL, or a host name.
    /// @param method The method.
    /// @param params_json Its parameters as a JSON object; empty for none.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started mcp_start(std::string_view target, std::string_view method, std::string_view params_json,
                      std::function<void(Result<McpResult>)> then) const {
        return calling_mcp(target, method, params_json).start(hooks_, std::move(then));
    }

    /// Calls a tool of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @param name The tool.
    /// @param arguments_json Its arguments as a JSON object; empty for none.
    /// @return What it answers; McpResult::is_error() when the tool itself failed.
    McpResult call_tool(std::string_view target, std::string_view name, std::string_view arguments_json = {}) const {
        return try_call_tool(target, name, arguments_json).value();
    }
    /// As call_tool().
    /// @param target The server's URL, or a host name.
    /// @param name The tool.
    /// @param arguments_json Its arguments as a JSON object; empty for none.
    /// @return The value or the error.
    Result<McpResult> try_call_tool(std::string_view target, std::string_view name,
                                    std::string_view arguments_json = {}) const {
        return calling_tool(target, name, arguments_json).now();
    }
    /// As call_tool(), started. When it is cancelled, the server is told that nobody waits for the answer.
    /// @param target The server's URL, or a host name.
    /// @param name The tool.
    /// @param arguments_json Its arguments as a JSON object; empty for none.
    /// @return The call: its future, and the way to cancel it.
    Operation<McpResult> call_tool_start(std::string_view target, std::string_view name,
                                         std::string_view arguments_json = {}) const {
        return calling_tool(target, name, arguments_json).start();
    }
    /// As call_tool(), started.
    /// @param target The server's URL, or a host name.
    /// @param name The tool.
    /// @param arguments_json Its arguments as a JSON object; empty for none.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started call_tool_start(std::string_view target, std::string_view name, std::string_view arguments_json,
                            std::function<void(Result<McpResult>)> then) const {
        return calling_tool(target, name, arguments_json).start(hooks_, std::move(then));
    }

    /// The tools of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @return {"tools": [...]}.
    McpResult list_tools(std::string_view target) const { return mcp(target, "tools/list"); }
    /// The resources of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @return {"resources": [...]}.
    McpResult list_resources(std::string_view target) const { return mcp(target, "resources/list"); }
    /// The templates of resources of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @return {"resourceTemplates": [...]}.
    McpResult list_resource_templates(std::string_view target) const {
        return mcp(target, "resources/templates/list");
    }
    /// The prompts of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @return {"prompts": [...]}.
    McpResult list_prompts(std::string_view target) const { return mcp(target, "prompts/list"); }
    /// Reads a resource of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @param uri The resource.
    /// @return {"contents": [...]}.
    McpResult read_resource(std::string_view target, std::string_view uri) const {
        return mcp(target, "resources/read", "{\"uri\":" + detail::quoted(uri) + "}");
    }
    /// Fills in a prompt of an MCP server. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @param name The prompt.
    /// @param arguments_json Its arguments as a JSON object of texts.
    /// @return {"messages": [...], ...}.
    McpResult get_prompt(std::string_view target, std::string_view name, std::string_view arguments_json = "{}") const {
        return mcp(target, "prompts/get",
                   "{\"name\":" + detail::quoted(name) + ",\"arguments\":" + std::string(arguments_json) + "}");
    }
    /// Says from which level on an MCP server is to send log records. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @param level "debug" to "emergency".
    void set_logging_level(std::string_view target, std::string_view level) const {
        mcp(target, "logging/setLevel", "{\"level\":" + detail::quoted(level) + "}");
    }
    /// Tells an MCP server how far something has come that it asked for. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @param token The server's token for it.
    /// @param progress How far it has come.
    /// @param total How far it has to come, if that is known.
    void send_progress_notification(std::string_view target, std::string_view token, double progress,
                                    std::optional<double> total = {}) const {
        std::string params = "{\"progressToken\":" + detail::quoted(token) + ",\"progress\":" + detail::written(progress);
        if (total) params += ",\"total\":" + detail::written(*total);
        mcp(target, "notifications/progress", params + "}");
    }
    /// Asks whether an MCP server is there. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    void send_ping(std::string_view target) const { mcp(target, "ping"); }
    /// What an MCP server can do, as it said when the session with it began. Throws as mcp(). Blocks.
    /// @param target The server's URL, or a host name.
    /// @return {"tools": {...}, ...}.
    McpResult get_server_capabilities(std::string_view target) const { return mcp(target, "initialize"); }

    /// @return How many exceptions have left a `then` of this client so far.
    std::uint64_t handler_exceptions() const noexcept { return hooks_ ? hooks_->exceptions() : 0; }

    /// Refuses further calls with ClosedError; calls that are under way go on. Does not wait; may be called in a
    /// handler, and twice.
    void close() const noexcept { lime_agent_close(native()); }

  private:
    Agent(lime_agent *native, detail::SharedHooks hooks) noexcept : hooks_(std::move(hooks)), native_(native) {}

    detail::SharedHooks hooks_;
    detail::Handle<lime_agent, lime_agent_free> native_;
};

// ---- sesame

/// How to make a Sesame. What is not set has its default, or is read from the environment.
struct SesameOptions {
    /// The API key, `sk_...`; else SESAME_API_KEY.
    std::optional<std::string> api_key = {};
    /// The address of the broker; else SESAME_BROKER_URL, then the broker's own.
    std::optional<std::string> base_url = {};
    /// Bounds one attempt of a request, not a poll that the broker holds; at least 1 ms.
    std::optional<std::chrono::milliseconds> timeout = {};
    /// How many further attempts of a call follow a failed one, where that is safe.
    std::optional<std::uint32_t> max_retries = {};
    /// How long one poll may take before it counts as hung; at least 1 ms.
    std::optional<std::chrono::milliseconds> poll_timeout = {};
    /// Where log records go; nowhere if empty.
    LogFunction log = {};
    /// The least level of them that is of interest.
    LogLevel log_level = LogLevel::info;
    /// Where exceptions go that leave a `then`, see "Handlers" above.
    ErrorHandler on_error = {};
    /// The host's own HTTP client, for every byte of this client; the library's own if null.
    const Transport *transport = nullptr;
    /// Where time and chance come from, for tests; the machine's clock if null.
    const Clock *clock = nullptr;
    /// Public keys that the broker's server may have, each SHA-256 of its SubjectPublicKeyInfo in base64; else SESAME_TLS_PINS.
    std::vector<std::string> tls_pins = {};
};

/// What a human is asked to approve; it can be asked for any number of times.
class ApprovalRequest {
  public:
    /// A request with nothing but what has to be there: what kind of operation it is, such as "payments.refund", and
    /// one line for the human. Throws InvalidArgumentError.
    /// @param action What kind of operation it is, such as "payments.refund"; the broker's rules go by it.
    /// @param summary One line for the human.
    ApprovalRequest(std::string_view action, std::string_view summary)
        : ApprovalRequest(try_new(action, summary).value()) {}

    /// As the constructor.
    /// @param action What kind of operation it is, such as "payments.refund"; the broker's rules go by it.
    /// @param summary One line for the human.
    /// @return The value or the error.
    static Result<ApprovalRequest> try_new(std::string_view action, std::string_view summary) {
        detail::Arguments arguments;
        const std::string what = arguments.text("action", action), line = arguments.text("summary", summary);
        if (arguments.refused()) return *arguments.refused();
        return detail::made<ApprovalRequest>([&](lime_approval_request **request, lime_error **error) {
            return lime_approval_request_new(what.c_str(), line.c_str(), request, error);
        });
    }

    /// @cond INTERNAL
    using native_type = lime_approval_request;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit ApprovalRequest(lime_approval_request *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_approval_request *native() const noexcept { return native_.get(); }

    /// Sets why it is asked for, or that nothing is said about it. Like all set functions, throws
    /// InvalidArgumentError and leaves then what was set before.
    /// @param reason For the human; nothing says nothing.
    /// @return This object.
    ApprovalRequest &set_reason(std::optional<std::string_view> reason) {
        return set("reason", lime_approval_request_set_reason, reason);
    }
    /// Sets the key that names the operation: the same key gives the same approval, however often it is asked for,
    /// and only with one a failed attempt to ask is always repeated.
    /// @param dedup_key Such as "refund-882"; nothing for none.
    /// @return This object.
    ApprovalRequest &set_dedup_key(std::optional<std::string_view> dedup_key) {
        return set("dedup_key", lime_approval_request_set_dedup_key, dedup_key);
    }
    /// Sets where the broker reports the decision, see WebhookVerifier.
    /// @param callback_url An address; nothing for nowhere.
    /// @return This object.
    ApprovalRequest &set_callback_url(std::optional<std::string_view> callback_url) {
        return set("callback_url", lime_approval_request_set_callback_url, callback_url);
    }
    /// Sets how much is at stake, in words that the broker's people agreed on, such as "high".
    /// @param severity A word; nothing says nothing.
    /// @return This object.
    ApprovalRequest &set_severity(std::optional<std::string_view> severity) {
        return set("severity", lime_approval_request_set_severity, severity);
    }
    /// Sets what else the human sees, as a JSON object. It is shown: no secrets.
    /// @param context_json A JSON object as UTF-8 text; nothing for none.
    /// @return This object.
    ApprovalRequest &set_context_json(std::optional<std::string_view> context_json) {
        const std::string_view json = context_json.value_or(std::string_view());
        // Empty is not nothing: it is no JSON object.
        const char *bytes = context_json ? (json.empty() ? "" : json.data()) : nullptr;
        detail::checked(lime_approval_request_set_context_json(native_.get(), bytes, json.size())).value();
        return *this;
    }

  private:
    ApprovalRequest &set(const char *name, std::int32_t (*setter)(lime_approval_request *, const char *),
                         std::optional<std::string_view> value) {
        detail::Arguments arguments;
        const auto text = arguments.maybe_text(name, value);
        if (arguments.refused()) arguments.refused()->raise();
        detail::checked(setter(native_.get(), detail::c_str(text))).value();
        return *this;
    }

    detail::Handle<lime_approval_request, lime_approval_request_free> native_;
};

/// How long to wait for a decision.
struct WaitOptions {
    /// The longest wait; `forever` for no limit.
    std::chrono::milliseconds timeout = std::chrono::minutes(5);
    /// The least time from the beginning of one poll to the beginning of the next.
    std::chrono::milliseconds poll_interval = std::chrono::seconds(2);
};

/// The client of the Sesame broker. Make one per API key and process.
class Sesame {
    auto triggering(const ApprovalRequest &request) const {
        return detail::call<Approval>(
            {}, lime_sesame_trigger, lime_sesame_trigger_start,
            [this, &request](auto *call, auto... rest) { return call(native(), request.native(), rest...); });
    }
    auto getting(std::string_view approval_id, bool wait_for_decision) const {
        detail::Arguments arguments;
        auto id = arguments.text("approval_id", approval_id);
        const std::int32_t wait = wait_for_decision ? 1 : 0;
        return detail::call<Approval>(
            arguments, lime_sesame_get, lime_sesame_get_start,
            [this, id, wait](auto *call, auto... rest) { return call(native(), id.c_str(), wait, rest...); });
    }
    auto waiting(std::string_view approval_id, const WaitOptions &options) const {
        detail::Arguments arguments;
        auto id = arguments.text("approval_id", approval_id);
        auto timeout = arguments.ms("timeout", options.timeout);
        auto interval = arguments.ms("poll_interval", options.poll_interval);
        return detail::call<Approval>(arguments, lime_sesame_wait, lime_sesame_wait_start,
                                      [this, id, timeout, interval](auto *call, auto... rest) {
                                          return call(native(), id.c_str(), timeout, interval, rest...);
                                      });
    }
    auto requiring(const ApprovalRequest &request, const WaitOptions &options) const {
        detail::Arguments arguments;
        auto timeout = arguments.ms("timeout", options.timeout);
        auto interval = arguments.ms("poll_interval", options.poll_interval);
        return detail::call<Approval>(arguments, lime_sesame_require_approval, lime_sesame_require_approval_start,
                                      [this, &request, timeout, interval](auto *call, auto... rest) {
                                          return call(native(), request.native(), timeout, interval, rest...);
                                      });
    }

  public:
    /// Makes a client for the owner of the API key. Starts no thread and sends nothing. Throws AuthenticationError
    /// when there is no key, and InvalidArgumentError.
    /// @param options How to make it; copied.
    explicit Sesame(const SesameOptions &options = {}) : Sesame(try_new(options).value()) {}

    /// As the constructor.
    /// @param options How to make it; copied.
    /// @return The value or the error.
    static Result<Sesame> try_new(const SesameOptions &options = {});

    /// @return The object of the C library, which stays this one's.
    const lime_sesame *native() const noexcept { return native_.get(); }

    /// Asks for an approval and does not wait for the decision. Throws OutcomeUnknownError when a request without a
    /// dedup_key was sent and its answer got lost: a human may have been asked. Blocks until the broker answers.
    /// @param request What is asked for.
    /// @return The approval; pending, unless the dedup_key names one that is decided.
    Approval trigger(const ApprovalRequest &request) const { return try_trigger(request).value(); }
    /// As trigger().
    /// @param request What is asked for.
    /// @return The value or the error.
    Result<Approval> try_trigger(const ApprovalRequest &request) const { return triggering(request).now(); }
    /// As trigger(), started. Cancelling does not take back what was asked.
    /// @param request What is asked for.
    /// @return The call: its future, and the way to cancel it.
    Operation<Approval> trigger_start(const ApprovalRequest &request) const { return triggering(request).start(); }
    /// As trigger(), started.
    /// @param request What is asked for.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started trigger_start(const ApprovalRequest &request, std::function<void(Result<Approval>)> then) const {
        return triggering(request).start(hooks_, std::move(then));
    }

    /// Reads where an approval stands. With `wait_for_decision` the broker holds its answer until there is a decision,
    /// for 25 to 30 s at most. Throws NotFoundError when the broker does not know it. Blocks until the broker answers.
    /// @param approval_id The approval.
    /// @param wait_for_decision Whether the broker is to hold its answer.
    /// @return The approval as it stands.
    Approval get(std::string_view approval_id, bool wait_for_decision = false) const {
        return try_get(approval_id, wait_for_decision).value();
    }
    /// As get().
    /// @param approval_id The approval.
    /// @param wait_for_decision Whether the broker is to hold its answer.
    /// @return The value or the error.
    Result<Approval> try_get(std::string_view approval_id, bool wait_for_decision = false) const {
        return getting(approval_id, wait_for_decision).now();
    }
    /// As get(), started.
    /// @param approval_id The approval.
    /// @param wait_for_decision Whether the broker is to hold its answer.
    /// @return The call: its future, and the way to cancel it.
    Operation<Approval> get_start(std::string_view approval_id, bool wait_for_decision = false) const {
        return getting(approval_id, wait_for_decision).start();
    }
    /// As get(), started.
    /// @param approval_id The approval.
    /// @param wait_for_decision Whether the broker is to hold its answer.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started get_start(std::string_view approval_id, bool wait_for_decision,
                      std::function<void(Result<Approval>)> then) const {
        return getting(approval_id, wait_for_decision).start(hooks_, std::move(then));
    }

    /// Waits until an approval is decided, which includes that it expired; look at Approval::is_approved(). Rides out
    /// a broker that is away. Throws TimeoutError when there is no decision in time, NotFoundError. Blocks.
    /// @param approval_id The approval.
    /// @param options How long to wait.
    /// @return The approval, decided.
    Approval wait(std::string_view approval_id, const WaitOptions &options = {}) const {
        return try_wait(approval_id, options).value();
    }
    /// As wait().
    /// @param approval_id The approval.
    /// @param options How long to wait.
    /// @return The value or the error.
    Result<Approval> try_wait(std::string_view approval_id, const WaitOptions &options = {}) const {
        return waiting(approval_id, options).now();
    }
    /// As wait(), started. Any number of waits may be under way at once, each takes a connection and no thread.
    /// @param approval_id The approval.
    /// @param options How long to wait.
    /// @return The call: its future, and the way to cancel it.
    Operation<Approval> wait_start(std::string_view approval_id, const WaitOptions &options = {}) const {
        return waiting(approval_id, options).start();
    }
    /// As wait(), started.
    /// @param approval_id The approval.
    /// @param options How long to wait.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started wait_start(std::string_view approval_id, const WaitOptions &options,
                       std::function<void(Result<Approval>)> then) const {
        return waiting(approval_id, options).start(hooks_, std::move(then));
    }

    /// The whole gate: asks, waits, and returns only if a human granted it. Run the operation then and in no other
    /// case, whatever the exception is: ApprovalDeniedError when it was denied, expired, or lets this call not through,
    /// since another one with the same dedup_key had it; TimeoutError when nobody decided in time (if it has an
    /// approval_id(), wait() can go on); else what trigger() and wait() throw. Blocks.
    /// @param request What is asked for.
    /// @param options How long to wait; for a gate, to ask and to wait.
    /// @return The approval that was granted.
    Approval require_approval(const ApprovalRequest &request, const WaitOptions &options = {}) const {
        return try_require_approval(request, options).value();
    }
    /// As require_approval(). Only a value means "go on".
    /// @param request What is asked for.
    /// @param options How long to wait; for a gate, to ask and to wait.
    /// @return The value or the error.
    Result<Approval> try_require_approval(const ApprovalRequest &request, const WaitOptions &options = {}) const {
        return requiring(request, options).now();
    }
    /// As require_approval(), started; nothing is approved yet. Cancelling does not take back what was asked.
    /// @param request What is asked for.
    /// @param options How long to wait; for a gate, to ask and to wait.
    /// @return The call: its future, and the way to cancel it.
    Operation<Approval> require_approval_start(const ApprovalRequest &request, const WaitOptions &options = {}) const {
        return requiring(request, options).start();
    }
    /// As require_approval(), started. Only a value means "go on".
    /// @param request What is asked for.
    /// @param options How long to wait; for a gate, to ask and to wait.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started require_approval_start(const ApprovalRequest &request, const WaitOptions &options,
                                   std::function<void(Result<Approval>)> then) const {
        return requiring(request, options).start(hooks_, std::move(then));
    }

    /// @return How many exceptions have left a `then` of this client so far.
    std::uint64_t handler_exceptions() const noexcept { return hooks_ ? hooks_->exceptions() : 0; }

    /// Refuses further calls with ClosedError; calls that are under way go on, waits too. Does not wait; may be called
    /// in a handler, and twice.
    void close() const noexcept { lime_sesame_close(native()); }

  private:
    Sesame(lime_sesame *native, detail::SharedHooks hooks) noexcept : hooks_(std::move(hooks)), native_(native) {}

    detail::SharedHooks hooks_;
    detail::Handle<lime_sesame, lime_sesame_free> native_;
};

/// @cond INTERNAL
namespace detail {

/// What the options of all clients have in common: sets what is there, and stops at the first that is refused.
template <class Options> class Setter {
  public:
    explicit Setter(Options *options) noexcept : options_(options) {}

    void text(const char *name, std::int32_t (*setter)(Options *, const char *),
              const std::optional<std::string> &value) {
        if (!value) return;
        Arguments arguments;
        const std::string checked_text = arguments.text(name, *value);
        if (arguments.refused()) return refuse(arguments.refused()->what());
        apply(name, setter(options_, checked_text.c_str()));
    }

    void ms(const char *name, std::int32_t (*setter)(Options *, std::uint64_t),
            const std::optional<std::chrono::milliseconds> &value) {
        if (!value) return;
        Arguments arguments;
        const std::uint64_t number = arguments.ms(name, *value);
        if (arguments.refused()) return refuse(arguments.refused()->what());
        apply(name, setter(options_, number));
    }

    template <class Number, class Value>
    void number(const char *name, std::int32_t (*setter)(Options *, Number), const std::optional<Value> &value) {
        if (value) apply(name, setter(options_, static_cast<Number>(*value)));
    }

    void pair(const char *name, std::int32_t (*setter)(Options *, const char *, const char *), const std::string &first,
              const std::string &second) {
        Arguments arguments;
        const std::string one = arguments.text(name, first), other = arguments.text(name, second);
        if (arguments.refused()) return refuse(arguments.refused()->what());
        apply(name, setter(options_, one.c_str(), other.c_str()));
    }

    void each(const char *name, std::int32_t (*adder)(Options *, const char *), const std::vector<std::string> &values) {
        for (const std::string &value : values) text(name, adder, value);
    }

    template <class Native, class Object>
    void object(const char *name, std::int32_t (*setter)(Options *, const Native *), const Object *value) {
        // One that was moved from is not the same as none.
        if (value && !value->native()) refuse(std::string(name) + " was moved from");
        else if (value) apply(name, setter(options_, value->native()));
    }

    void log(std::int32_t (*setter)(Options *, std::int32_t, lime_log_callback, void *, lime_drop_user_data),
             const SharedHooks &hooks, LogLevel level) {
        if (!hooks->log()) return;
        const auto number = static_cast<std::int32_t>(level);
        apply("log_level", setter(options_, number, &write_log, new SharedHooks(hooks), &drop_log));
    }

    const std::optional<Error> &refused() const noexcept { return refused_; }

  private:
    void apply(const char *name, std::int32_t status) {
        if (status != LIME_OK) refuse(std::string(name) + " is not allowed");
    }
    void refuse(const std::string &why) {
        if (!refused_) refused_.emplace(LIME_ERROR_INVALID_ARGUMENT, why);
    }

    Options *options_;
    std::optional<Error> refused_;
};

} // namespace detail
/// @endcond

inline Result<Site> Site::try_new(const SiteOptions &options) {
    const detail::Handle<lime_site_options, lime_site_options_free> native(lime_site_options_new());
    auto hooks = std::make_shared<detail::Hooks>(options.on_error, options.log);
    detail::Setter<lime_site_options> set(native.get());
    set.text("site_token", lime_site_options_set_site_token, options.site_token);
    set.text("base_url", lime_site_options_set_base_url, options.base_url);
    set.ms("timeout", lime_site_options_set_timeout_ms, options.timeout);
    set.number("max_retries", lime_site_options_set_max_retries, options.max_retries);
    set.ms("sse_backoff_base", lime_site_options_set_sse_backoff_base_ms, options.sse_backoff_base);
    set.number("event_queue_limit", lime_site_options_set_event_queue_limit, options.event_queue_limit);
    set.ms("jwks_cache_ttl", lime_site_options_set_jwks_cache_ttl_ms, options.jwks_cache_ttl);
    set.number("platform", lime_site_options_set_platform, options.platform); // what comes after it changes it
    set.number("jwks_form", lime_site_options_set_jwks_form, options.jwks_form);
    set.number("require_issuer", lime_site_options_set_require_issuer, options.require_issuer);
    set.number("post_retry", lime_site_options_set_post_retry, options.post_retry);
    set.each("tls_pins", lime_site_options_add_tls_pin, options.tls_pins);
    set.log(lime_site_options_set_log_callback, hooks, options.log_level);
    set.object("transport", lime_site_options_set_transport, options.transport);
    set.object("clock", lime_site_options_set_clock, options.clock);
    if (set.refused()) return *set.refused();
    lime_site *site = nullptr;
    auto made = detail::call_void([&](lime_error **error) { return lime_site_new(native.get(), &site, error); });
    if (!made) return made.error();
    return Site(site, std::move(hooks));
}

inline Result<Agent> Agent::try_new(const AgentOptions &options) {
    const detail::Handle<lime_agent_options, lime_agent_options_free> native(lime_agent_options_new());
    auto hooks = std::make_shared<detail::Hooks>(options.on_error, options.log);
    detail::Setter<lime_agent_options> set(native.get());
    set.text("agent_token", lime_agent_options_set_agent_token, options.agent_token);
    set.text("base_url", lime_agent_options_set_base_url, options.base_url);
    set.ms("timeout", lime_agent_options_set_timeout_ms, options.timeout);
    set.number("max_retries", lime_agent_options_set_max_retries, options.max_retries);
    set.ms("pow_timeout", lime_agent_options_set_pow_timeout_ms, options.pow_timeout);
    set.number("platform", lime_agent_options_set_platform, options.platform); // what comes after it changes it
    set.number("pow_digest", lime_agent_options_set_pow_digest, options.pow_digest);
    set.number("pow_threads", lime_agent_options_set_pow_threads, options.pow_threads);
    set.number("post_retry", lime_agent_options_set_post_retry, options.post_retry);
    set.ms("mcp_token_refresh_skew", lime_agent_options_set_mcp_token_refresh_skew_ms, options.mcp_token_refresh_skew);
    set.ms("mcp_read_timeout", lime_agent_options_set_mcp_read_timeout_ms, options.mcp_read_timeout);
    set.number("serialize_mcp_per_url", lime_agent_options_set_serialize_mcp_per_url, options.serialize_mcp_per_url);
    for (const auto &[name, address] : options.mcp_addresses)
        set.pair("mcp_addresses", lime_agent_options_add_mcp_address, name, address);
    set.each("tls_pins", lime_agent_options_add_tls_pin, options.tls_pins);
    set.log(lime_agent_options_set_log_callback, hooks, options.log_level);
    set.object("transport", lime_agent_options_set_transport, options.transport);
    set.object("clock", lime_agent_options_set_clock, options.clock);
    if (set.refused()) return *set.refused();
    lime_agent *agent = nullptr;
    auto made = detail::call_void([&](lime_error **error) { return lime_agent_new(native.get(), &agent, error); });
    if (!made) return made.error();
    return Agent(agent, std::move(hooks));
}

inline Result<Sesame> Sesame::try_new(const SesameOptions &options) {
    const detail::Handle<lime_sesame_options, lime_sesame_options_free> native(lime_sesame_options_new());
    auto hooks = std::make_shared<detail::Hooks>(options.on_error, options.log);
    detail::Setter<lime_sesame_options> set(native.get());
    set.text("api_key", lime_sesame_options_set_api_key, options.api_key);
    set.text("base_url", lime_sesame_options_set_base_url, options.base_url);
    set.ms("timeout", lime_sesame_options_set_timeout_ms, options.timeout);
    set.number("max_retries", lime_sesame_options_set_max_retries, options.max_retries);
    set.ms("poll_timeout", lime_sesame_options_set_poll_timeout_ms, options.poll_timeout);
    set.each("tls_pins", lime_sesame_options_add_tls_pin, options.tls_pins);
    set.log(lime_sesame_options_set_log_callback, hooks, options.log_level);
    set.object("transport", lime_sesame_options_set_transport, options.transport);
    set.object("clock", lime_sesame_options_set_clock, options.clock);
    if (set.refused()) return *set.refused();
    lime_sesame *sesame = nullptr;
    auto made = detail::call_void([&](lime_error **error) { return lime_sesame_new(native.get(), &sesame, error); });
    if (!made) return made.error();
    return Sesame(sesame, std::move(hooks));
}

// ---- access tokens for MCP servers

/// An access token that was verified.
class VerifiedToken {
  public:
    /// @cond INTERNAL
    using native_type = lime_verified_token;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit VerifiedToken(lime_verified_token *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_verified_token *native() const noexcept { return native_.get(); }

    /// @return The agent that shows it.
    std::string agent_id() const { return detail::text(lime_verified_token_agent_id(native())); }
    /// @return The host name that it is for.
    std::string domain() const { return detail::text(lime_verified_token_domain(native())); }
    /// @return All claims as a JSON object.
    std::string claims_json() const { return detail::text(lime_verified_token_claims_json(native())); }
    /// @param name The claim's name.
    /// @return One claim that is a text; nothing when there is no such claim, or it is no text.
    std::optional<std::string> text_claim(std::string_view name) const {
        if (name.find('\0') != std::string_view::npos) return std::nullopt; // no claim has such a name
        return detail::maybe_text(lime_verified_token_text_claim(native(), std::string(name).c_str()));
    }

  private:
    detail::Handle<lime_verified_token, lime_verified_token_free> native_;
};

/// The HTTP answer to a request that is not let in.
class TokenRefusal {
  public:
    /// @cond INTERNAL
    using native_type = lime_token_refusal;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit TokenRefusal(lime_token_refusal *native) noexcept : native_(native) {}
    /// The answer for this failure of bearer_token() or of a verification.
    /// @param failure Why the request is not let in.
    /// @param resource_metadata The URL of the server's own metadata (RFC 9728), which tells clients whom to ask for a token.
    explicit TokenRefusal(const Error &failure, const std::optional<std::string> &resource_metadata = {})
        : TokenRefusal(detail::made<TokenRefusal>([&](lime_token_refusal **refusal, lime_error **error) {
                           const auto code = failure.code();
                           const auto wait = failure.retry_after();
                           return lime_token_refusal_new(failure.status(), detail::c_str(code), failure.what(),
                                                         wait ? wait->count() : -1, detail::c_str(resource_metadata),
                                                         refusal, error);
                       }).value()) {}
    /// @return The object of the C library, which stays this one's.
    const lime_token_refusal *native() const noexcept { return native_.get(); }

    /// @return The status: 401 for a token that is missing or refused, 400 for several, 503 when it cannot be told, 500.
    std::int32_t http_status() const noexcept { return lime_token_refusal_http_status(native()); }
    /// @return The header WWW-Authenticate; nothing when it is not to be sent.
    std::optional<std::string> www_authenticate() const {
        return detail::maybe_text(lime_token_refusal_www_authenticate(native()));
    }
    /// @return The header Retry-After; nothing when it is not to be sent.
    std::optional<std::chrono::seconds> retry_after() const {
        const std::int64_t seconds = lime_token_refusal_retry_after_seconds(native());
        return seconds < 0 ? std::nullopt : std::optional(std::chrono::seconds(seconds));
    }
    /// @return The body, to be sent as application/json.
    std::string body_json() const { return detail::text(lime_token_refusal_body_json(native())); }

  private:
    detail::Handle<lime_token_refusal, lime_token_refusal_free> native_;
};

/// How to make a TokenVerifier. What is not set has its default, or is read from the environment.
struct TokenVerifierOptions {
    /// The host name that the server is reached by; else LIME_EXPECTED_DOMAIN. A URL will do, a port will not.
    std::optional<std::string> expected_domain = {};
    /// The platform's origin, without `/api/v1`; else LIME_BASE_URL, then the platform's own.
    std::optional<std::string> base_url = {};
    /// Whom tokens must be for; else LIME_OAUTH_AUDIENCE, then `mcp`.
    std::optional<std::string> audience = {};
    /// How far clocks may be apart.
    std::optional<std::chrono::milliseconds> leeway = {};
    /// How long the platform's signing keys are used before they are fetched again.
    std::optional<std::chrono::milliseconds> jwks_cache_ttl = {};
    /// The least time between two fetches of the keys that a token with an unknown key, or a warm-up, can cause.
    std::optional<std::chrono::milliseconds> min_refresh = {};
    /// What the library calls itself when it fetches keys.
    std::optional<std::string> user_agent = {};
    /// Bounds one attempt of a request; at least 1 ms.
    std::optional<std::chrono::milliseconds> timeout = {};
    /// Where log records go; nowhere if empty.
    LogFunction log = {};
    /// The least level of them that is of interest.
    LogLevel log_level = LogLevel::info;
    /// Where exceptions go that leave a `then`, see "Handlers" above.
    ErrorHandler on_error = {};
    /// The host's own HTTP client, for every byte of this verifier; the library's own if null.
    const Transport *transport = nullptr;
    /// Where the time comes from, for tests; the machine's clock if null.
    const Clock *clock = nullptr;
    /// Public keys that the platform's server may have, each SHA-256 of its SubjectPublicKeyInfo in base64; else LIME_TLS_PINS.
    std::vector<std::string> tls_pins = {};
};

/// Verifies the access tokens that agents show to one MCP server. Make one per host name and process.
class TokenVerifier {
    auto verifying(std::string_view token) const {
        detail::Arguments arguments;
        auto jwt = arguments.text("token", token);
        return detail::call<VerifiedToken>(
            arguments, lime_token_verifier_verify, lime_token_verifier_verify_start,
            [this, jwt](auto *call, auto... rest) { return call(native(), jwt.c_str(), rest...); });
    }

  public:
    /// Makes a verifier. Starts no thread and sends nothing: the first token fetches the platform's keys, or warm_up(). Throws
    /// InvalidArgumentError, also when no host name is given or it is none.
    /// @param options How to make it; copied.
    explicit TokenVerifier(const TokenVerifierOptions &options = {}) : TokenVerifier(try_new(options).value()) {}

    /// As the constructor.
    /// @param options How to make it; copied.
    /// @return The value or the error.
    static Result<TokenVerifier> try_new(const TokenVerifierOptions &options = {});

    /// @return The object of the C library, which stays this one's.
    const lime_token_verifier *native() const noexcept { return native_.get(); }

    /// @return The host name that tokens must be for, in canonical form.
    std::string expected_domain() const { return detail::text(lime_token_verifier_expected_domain(native())); }

    /// @return How many fetches have brought keys.
    std::uint64_t fetches() const noexcept { return lime_token_verifier_fetches(native()); }

    /// Verifies a token; blocks only while the platform's keys are fetched. Throws InvalidTokenError, and errors of the platform
    /// or the network when the keys cannot be had, which say nothing of the token.
    /// @param token The JWT alone, without "Bearer", see bearer_token().
    /// @return The token, with its claims.
    VerifiedToken verify(std::string_view token) const { return try_verify(token).value(); }
    /// As verify().
    /// @param token The JWT alone.
    /// @return The value or the error.
    Result<VerifiedToken> try_verify(std::string_view token) const { return verifying(token).now(); }
    /// As verify(), started.
    /// @param token The JWT alone.
    /// @return The call: its future, and the way to cancel it.
    Operation<VerifiedToken> verify_start(std::string_view token) const { return verifying(token).start(); }
    /// As verify(), started.
    /// @param token The JWT alone.
    /// @param then Is given the value or the error, on the dispatcher thread.
    /// @return The call, to cancel it.
    Started verify_start(std::string_view token, std::function<void(Result<VerifiedToken>)> then) const {
        return verifying(token).start(hooks_, std::move(then));
    }

    /// Verifies a token with the keys that are at hand. Never blocks and sends nothing; in handlers, too.
    /// @param token The JWT alone.
    /// @return The token, nothing when the platform's keys are not at hand, or the error.
    Result<std::optional<VerifiedToken>> try_verify_cached(std::string_view token) const {
        detail::Arguments arguments;
        const std::string jwt = arguments.text("token", token);
        if (arguments.refused()) return *arguments.refused();
        lime_verified_token *found = nullptr;
        const auto done = detail::call_void([&](lime_error **error) {
            return lime_token_verifier_verify_cached(native(), jwt.c_str(), &found, error);
        });
        if (!done) return done.error();
        if (!found) return std::optional<VerifiedToken>();
        return std::optional<VerifiedToken>(std::in_place, found);
    }

    /// Fetches the platform's keys ahead of the first token, unless that was done less than min_refresh ago. Blocks. Throws errors
    /// of the platform or the network; keys that are held stay.
    void warm_up() const { try_warm_up().value(); }
    /// As warm_up().
    /// @return Nothing or the error.
    Result<void> try_warm_up() const {
        return detail::call_void([this](lime_error **error) { return lime_token_verifier_warm_up(native(), error); });
    }

    /// Forgets the platform's keys; the next token fetches them.
    void forget_keys() const noexcept { lime_token_verifier_forget_keys(native()); }

    /// @return How many exceptions have left a `then` of this verifier so far.
    std::uint64_t handler_exceptions() const noexcept { return hooks_ ? hooks_->exceptions() : 0; }

    /// Refuses further calls with ClosedError; calls that are under way go on. Does not wait; may be called in a handler, and
    /// twice.
    void close() const noexcept { lime_token_verifier_close(native()); }

  private:
    TokenVerifier(lime_token_verifier *native, detail::SharedHooks hooks) noexcept
        : hooks_(std::move(hooks)), native_(native) {}

    detail::SharedHooks hooks_;
    detail::Handle<lime_token_verifier, lime_token_verifier_free> native_;
};

inline Result<TokenVerifier> TokenVerifier::try_new(const TokenVerifierOptions &options) {
    const detail::Handle<lime_token_verifier_options, lime_token_verifier_options_free> native(
        lime_token_verifier_options_new());
    auto hooks = std::make_shared<detail::Hooks>(options.on_error, options.log);
    detail::Setter<lime_token_verifier_options> set(native.get());
    set.text("expected_domain", lime_token_verifier_options_set_expected_domain, options.expected_domain);
    set.text("base_url", lime_token_verifier_options_set_base_url, options.base_url);
    set.text("audience", lime_token_verifier_options_set_audience, options.audience);
    set.ms("leeway", lime_token_verifier_options_set_leeway_ms, options.leeway);
    set.ms("jwks_cache_ttl", lime_token_verifier_options_set_jwks_cache_ttl_ms, options.jwks_cache_ttl);
    set.ms("min_refresh", lime_token_verifier_options_set_min_refresh_ms, options.min_refresh);
    set.text("user_agent", lime_token_verifier_options_set_user_agent, options.user_agent);
    set.ms("timeout", lime_token_verifier_options_set_timeout_ms, options.timeout);
    set.each("tls_pins", lime_token_verifier_options_add_tls_pin, options.tls_pins);
    set.log(lime_token_verifier_options_set_log_callback, hooks, options.log_level);
    set.object("transport", lime_token_verifier_options_set_transport, options.transport);
    set.object("clock", lime_token_verifier_options_set_clock, options.clock);
    if (set.refused()) return *set.refused();
    lime_token_verifier *verifier = nullptr;
    auto made = detail::call_void(
        [&](lime_error **error) { return lime_token_verifier_new(native.get(), &verifier, error); });
    if (!made) return made.error();
    return TokenVerifier(verifier, std::move(hooks));
}

/// How an access token has to be, beside genuine.
struct TokenCheck {
    /// What `iss` must be, letter by letter, such as "https://lime.pics".
    std::string issuer;
    /// The host name that it must be for, in canonical form, see normalize_mcp_domain().
    std::string expected_domain;
    /// Whom it must be for; nothing for `mcp`.
    std::optional<std::string> audience = {};
    /// How far clocks may be apart.
    std::chrono::milliseconds leeway = std::chrono::minutes(2);
};

/// Verifies an access token with keys that are at hand, without any verifier and at any time. Fails with InvalidTokenError, or
/// InvalidPassportError when `jwks_json` is no key document.
/// @param token The JWT.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param check How it has to be.
/// @param now The time that counts as now.
/// @return The token, with its claims, or the error.
inline Result<VerifiedToken> try_verify_access_token(std::string_view token, std::string_view jwks_json,
                                                     const TokenCheck &check,
                                                     UnixTime now = std::chrono::system_clock::now()) {
    detail::Arguments arguments;
    const std::string jwt = arguments.text("token", token), issuer = arguments.text("issuer", check.issuer);
    const std::string domain = arguments.text("expected_domain", check.expected_domain);
    const auto audience = arguments.maybe_text("audience", check.audience);
    const std::uint64_t leeway = arguments.ms("leeway", check.leeway);
    if (arguments.refused()) return *arguments.refused();
    return detail::made<VerifiedToken>([&](lime_verified_token **verified, lime_error **error) {
        return lime_access_token_verify(jwt.c_str(), jwks_json.data(), jwks_json.size(), issuer.c_str(), domain.c_str(),
                                        detail::c_str(audience), leeway, now.time_since_epoch().count(), verified, error);
    });
}

/// As try_verify_access_token(), but throws.
/// @param token The JWT.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param check How it has to be.
/// @param now The time that counts as now.
/// @return The token, with its claims.
inline VerifiedToken verify_access_token(std::string_view token, std::string_view jwks_json, const TokenCheck &check,
                                         UnixTime now = std::chrono::system_clock::now()) {
    return try_verify_access_token(token, jwks_json, check, now).value();
}

/// @cond INTERNAL
namespace detail {

/// A call of C that gives a text to be freed.
template <class Function> Result<std::string> owned_text(const Function &function) {
    char *given = nullptr;
    const auto done = call_void([&](lime_error **error) { return function(&given, error); });
    if (!done) return done.error();
    const Handle<char, lime_string_free> owned(given);
    return text(given);
}

} // namespace detail
/// @endcond

/// The canonical form of a host name, as tokens have it: in lower case, without scheme and path. Fails with
/// InvalidArgumentError for user names, ports, addresses, reserved names and whatever else is no DNS name.
/// @param domain A host name or a URL.
/// @return The host name, or the error.
inline Result<std::string> try_normalize_mcp_domain(std::string_view domain) {
    detail::Arguments arguments;
    const std::string raw = arguments.text("domain", domain);
    if (arguments.refused()) return *arguments.refused();
    return detail::owned_text([&](char **canonical, lime_error **error) {
        return lime_mcp_domain_normalize(raw.c_str(), canonical, error);
    });
}

/// As try_normalize_mcp_domain(), but throws.
/// @param domain A host name or a URL.
/// @return The host name.
inline std::string normalize_mcp_domain(std::string_view domain) { return try_normalize_mcp_domain(domain).value(); }

/// The token in a request's Authorization headers, of which there should be one. Fails with InvalidTokenError.
/// @param authorization The values of all such headers.
/// @return The token, or the error.
inline Result<std::string> try_bearer_token(const std::vector<std::string> &authorization) {
    std::vector<const char *> values;
    for (const std::string &value : authorization) values.push_back(value.c_str());
    return detail::owned_text([&](char **token, lime_error **error) {
        return lime_bearer_token(values.data(), values.size(), token, error);
    });
}

/// As try_bearer_token(), but throws.
/// @param authorization The values of all such headers.
/// @return The token.
inline std::string bearer_token(const std::vector<std::string> &authorization) {
    return try_bearer_token(authorization).value();
}

// ---- webhooks

/// A webhook that can be trusted.
class Webhook {
  public:
    /// @cond INTERNAL
    using native_type = lime_webhook;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit Webhook(lime_webhook *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_webhook *native() const noexcept { return native_.get(); }

    /// @return The whole payload as a JSON object.
    std::string payload_json() const { return detail::text(lime_webhook_payload_json(native())); }
    /// @param field The field's name.
    /// @return One field of the payload that is a text; nothing when there is no such field, or it is no text.
    std::optional<std::string> text(std::string_view field) const {
        if (field.find('\0') != std::string_view::npos) return std::nullopt; // no field has such a name
        return detail::maybe_text(lime_webhook_text(native(), std::string(field).c_str()));
    }
    /// @return The approval that was decided, if the payload tells.
    std::optional<std::string> approval_id() const { return detail::maybe_text(lime_webhook_approval_id(native())); }
    /// @return What was asked for, if the payload tells.
    std::optional<std::string> action() const { return detail::maybe_text(lime_webhook_action(native())); }
    /// @return The decision: "approved", "denied" or "expired". Nothing but "approved" means "go on".
    std::optional<std::string> status() const { return detail::maybe_text(lime_webhook_status_text(native())); }
    /// @return What the timestamp header said, in Unix seconds. It is not signed.
    std::uint64_t timestamp() const noexcept { return lime_webhook_timestamp(native()); }

  private:
    detail::Handle<lime_webhook, lime_webhook_free> native_;
};

/// Verifies webhooks. Make one for each endpoint, set it up, and keep it: with a replay guard it has a memory. From
/// then on any number of threads may verify with it at once. Read "Webhooks" in lime.h about replays.
class WebhookVerifier {
  public:
    /// A verifier without a secret, which refuses everything until it has one.
    WebhookVerifier() : native_(lime_webhook_verifier_new()) {}
    /// A verifier with a secret.
    /// @param secret Bytes.
    explicit WebhookVerifier(std::string_view secret) : WebhookVerifier() { add_secret(secret); }

    /// @return The object of the C library, which stays this one's.
    const lime_webhook_verifier *native() const noexcept { return native_.get(); }

    /// Adds a secret (bytes): any of them may have signed. An empty one makes the verifier refuse everything.
    /// @param secret Bytes.
    /// @return This object.
    WebhookVerifier &add_secret(std::string_view secret) {
        return set(lime_webhook_verifier_add_secret(native_.get(), secret.data(), secret.size()));
    }
    /// Sets how far the timestamp may lie in the past or in the future.
    /// @param tolerance With 0 the timestamp must be this very second.
    /// @return This object.
    WebhookVerifier &set_tolerance(std::chrono::milliseconds tolerance) {
        detail::Arguments arguments;
        const std::uint64_t ms = arguments.ms("tolerance", tolerance);
        if (arguments.refused()) arguments.refused()->raise();
        return set(lime_webhook_verifier_set_tolerance_ms(native_.get(), ms));
    }
    /// Lets every body in once only, in this process: for how long a decision is remembered, and for how many
    /// decisions there is room.
    /// @param horizon For how long a decision is remembered.
    /// @param capacity For how many decisions there is room; 0 counts as 1.
    /// @return This object.
    WebhookVerifier &set_replay_guard(std::chrono::milliseconds horizon = std::chrono::hours(24),
                                      std::size_t capacity = 100000) {
        detail::Arguments arguments;
        const std::uint64_t ms = arguments.ms("horizon", horizon);
        if (arguments.refused()) arguments.refused()->raise();
        return set(lime_webhook_verifier_set_replay_guard(native_.get(), ms, capacity));
    }
    /// Sets the time that counts as now from here on, instead of the machine's clock. For tests.
    /// @param now The time that counts as now.
    /// @return This object.
    WebhookVerifier &set_now(UnixTime now) {
        return set(lime_webhook_verifier_set_now_unix_seconds(native_.get(), now.time_since_epoch().count()));
    }

    /// Verifies one delivery: that a secret signed it, and that it is fresh. Does not block.
    ///
    /// Headers come as they are, in a std::multimap or a std::vector of std::pair, say. Throws WebhookError, whose code()
    /// says why.
    /// @param headers Any range of pairs of texts: all headers of the request, or just the two.
    /// @param body The raw body: the bytes as they arrived.
    /// @return The webhook, which can be trusted.
    template <class Headers> Webhook verify(const Headers &headers, std::string_view body) const {
        return try_verify(headers, body).value();
    }
    /// As verify().
    /// @param headers Any range of pairs of texts: all headers of the request, or just the two.
    /// @param body The raw body: the bytes as they arrived.
    /// @return The value or the error.
    template <class Headers> Result<Webhook> try_verify(const Headers &headers, std::string_view body) const {
        std::vector<std::string> texts;
        for (const auto &[name, value] : headers) {
            texts.push_back(without_nul(name));
            texts.push_back(without_nul(value));
        }
        std::vector<const char *> names, values;
        for (std::size_t at = 0; at < texts.size(); at += 2) {
            names.push_back(texts[at].c_str());
            values.push_back(texts[at + 1].c_str());
        }
        return detail::made<Webhook>([&](lime_webhook **webhook, lime_error **error) {
            return lime_webhook_verify(native(), names.data(), values.data(), names.size(), body.data(), body.size(),
                                       webhook, error);
        });
    }
    /// As verify(), with the values of X-Sesame-Signature and X-Sesame-Timestamp; nothing for a header that is not there.
    /// @param signature The value of X-Sesame-Signature; nothing if it is not there.
    /// @param timestamp The value of X-Sesame-Timestamp; nothing if it is not there.
    /// @param body The raw body: the bytes as they arrived.
    /// @return The webhook, which can be trusted.
    Webhook verify(std::optional<std::string_view> signature, std::optional<std::string_view> timestamp,
                   std::string_view body) const {
        return try_verify(signature, timestamp, body).value();
    }
    /// As verify().
    /// @param signature The value of X-Sesame-Signature; nothing if it is not there.
    /// @param timestamp The value of X-Sesame-Timestamp; nothing if it is not there.
    /// @param body The raw body: the bytes as they arrived.
    /// @return The value or the error.
    Result<Webhook> try_verify(std::optional<std::string_view> signature, std::optional<std::string_view> timestamp,
                               std::string_view body) const {
        std::vector<std::pair<std::string_view, std::string_view>> headers;
        if (signature) headers.emplace_back(LIME_WEBHOOK_SIGNATURE_HEADER, *signature);
        if (timestamp) headers.emplace_back(LIME_WEBHOOK_TIMESTAMP_HEADER, *timestamp);
        return try_verify(headers, body);
    }

    /// Lets a body in again that the replay guard has let in, for a receiver that could not handle it. Any thread.
    /// @param body The raw body.
    /// @return Whether the guard had let it in.
    bool forget(std::string_view body) const noexcept {
        return lime_webhook_verifier_forget(native(), body.data(), body.size()) == 1;
    }

  private:
    WebhookVerifier &set(std::int32_t status) {
        detail::checked(status).value();
        return *this;
    }

    // A header with a NUL is not cut, which could make it another one: with this instead it is none that counts.
    static std::string without_nul(std::string_view header) {
        std::string text(header);
        for (char &byte : text)
            if (byte == '\0') byte = '\x01';
        return text;
    }

    detail::Handle<lime_webhook_verifier, lime_webhook_verifier_free> native_;
};

/// Signs a body as the broker does, for the tests of programs that receive webhooks. Fails with WebhookError when the
/// secret is empty.
/// @param body The raw body.
/// @param secret Bytes.
/// @param timestamp The time of sending, in Unix seconds.
/// @return The value or the error.
inline Result<std::array<std::pair<std::string, std::string>, 2>>
try_sign_webhook(std::string_view body, std::string_view secret, std::uint64_t timestamp) {
    char signature[LIME_WEBHOOK_SIGNATURE_SIZE] = "";
    const auto signed_well = detail::call_void([&](lime_error **error) {
        return lime_webhook_sign(body.data(), body.size(), secret.data(), secret.size(), timestamp, signature,
                                 sizeof signature, error);
    });
    if (!signed_well) return signed_well.error();
    return std::array<std::pair<std::string, std::string>, 2>{
        {{LIME_WEBHOOK_SIGNATURE_HEADER, signature}, {LIME_WEBHOOK_TIMESTAMP_HEADER, std::to_string(timestamp)}}};
}

/// As try_sign_webhook(), but throws.
/// @param body The raw body.
/// @param secret Bytes.
/// @param timestamp The time of sending, in Unix seconds.
/// @return The two headers, names and values.
inline std::array<std::pair<std::string, std::string>, 2> sign_webhook(std::string_view body, std::string_view secret,
                                                                       std::uint64_t timestamp) {
    return try_sign_webhook(body, secret, timestamp).value();
}

// ---- pure functions

/// Reads a point in time as the platform writes it. Fails with BadResponseError when it is none.
/// @param text For example "2026-11-23T10:00:00.5+02:00".
/// @return The value or the error.
inline Result<Timestamp> try_parse_timestamp(std::string_view text) {
    detail::Arguments arguments;
    const std::string copy = arguments.text("text", text);
    if (arguments.refused()) return *arguments.refused();
    std::int64_t unix_micros = 0;
    std::int32_t offset_seconds = 0;
    const auto parsed = detail::call_void([&](lime_error **error) {
        return lime_timestamp_parse(copy.c_str(), &unix_micros, &offset_seconds, error);
    });
    if (!parsed) return parsed.error();
    return Timestamp{detail::time_point(unix_micros), detail::offset(offset_seconds)};
}

/// As try_parse_timestamp(), but throws.
/// @param text For example "2026-11-23T10:00:00.5+02:00".
/// @return The point in time.
inline Timestamp parse_timestamp(std::string_view text) { return try_parse_timestamp(text).value(); }

/// Verifies a passport with keys that are at hand, without any client and at any time. Fails with InvalidPassportError
/// and PassportExpiredError.
/// @param jwt The passport.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param api_root Where the passport must come from, such as "https://lime.pics/api/v1".
/// @param expected_request_id The login request that it must be for; nothing for any.
/// @param check How else it has to be.
/// @param now The time that counts as now.
/// @return The value or the error.
inline Result<Passport> try_verify_passport(std::string_view jwt, std::string_view jwks_json, std::string_view api_root,
                                            std::optional<std::string_view> expected_request_id,
                                            PassportCheck check = {},
                                            UnixTime now = std::chrono::system_clock::now()) {
    detail::Arguments arguments;
    const std::string token = arguments.text("jwt", jwt), root = arguments.text("api_root", api_root);
    const auto expected = arguments.maybe_text("expected_request_id", expected_request_id);
    if (arguments.refused()) return *arguments.refused();
    return detail::made<Passport>([&](lime_passport **passport, lime_error **error) {
        return lime_passport_verify(token.c_str(), jwks_json.data(), jwks_json.size(), root.c_str(),
                                    detail::c_str(expected), check.require_issuer, now.time_since_epoch().count(),
                                    passport, error);
    });
}

/// Verifies a binding passport with keys that are at hand, without any client and at any time.
/// @param jwt The passport.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param api_root Where the passport must come from, such as "https://lime.pics/api/v1".
/// @param expected_binding_id The binding that it must be for; nothing for any.
/// @param check How else it has to be.
/// @param now The time that counts as now.
/// @return The value or the error.
inline Result<Passport> try_verify_binding_passport(std::string_view jwt, std::string_view jwks_json,
                                                    std::string_view api_root,
                                                    std::optional<std::string_view> expected_binding_id,
                                                    PassportCheck check = {},
                                                    UnixTime now = std::chrono::system_clock::now()) {
    detail::Arguments arguments;
    const auto token = arguments.text("jwt", jwt);
    const auto root = arguments.text("api_root", api_root);
    const auto expected = arguments.maybe_text("expected_binding_id", expected_binding_id);
    if (arguments.refused()) return *arguments.refused();
    return detail::made<Passport>([&](lime_passport **passport, lime_error **error) {
        return lime_passport_verify_binding(token.c_str(), jwks_json.data(), jwks_json.size(), root.c_str(),
                                            detail::c_str(expected), check.require_issuer ? 1 : 0,
                                            now.time_since_epoch().count(), passport, error);
    });
}

/// As try_verify_binding_passport(), but throws.
/// @param jwt The passport.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param api_root Where the passport must come from, such as "https://lime.pics/api/v1".
/// @param expected_binding_id The binding that it must be for; nothing for any.
/// @param check How else it has to be.
/// @param now The time that counts as now.
/// @return The passport, with its claims.
inline Passport verify_binding_passport(std::string_view jwt, std::string_view jwks_json, std::string_view api_root,
                                        std::optional<std::string_view> expected_binding_id, PassportCheck check = {},
                                        UnixTime now = std::chrono::system_clock::now()) {
    return try_verify_binding_passport(jwt, jwks_json, api_root, expected_binding_id, check, now).value();
}

/// As try_verify_passport(), but throws.
/// @param jwt The passport.
/// @param jwks_json The platform's key document, bare or in an envelope.
/// @param api_root Where the passport must come from, such as "https://lime.pics/api/v1".
/// @param expected_request_id The login request that it must be for; nothing for any.
/// @param check How else it has to be.
/// @param now The time that counts as now.
/// @return The passport, with its claims.
inline Passport verify_passport(std::string_view jwt, std::string_view jwks_json, std::string_view api_root,
                                std::optional<std::string_view> expected_request_id, PassportCheck check = {},
                                UnixTime now = std::chrono::system_clock::now()) {
    return try_verify_passport(jwt, jwks_json, api_root, expected_request_id, check, now).value();
}

/// @cond INTERNAL
namespace detail {

inline auto solving(std::string_view challenge, std::int64_t difficulty, PowDigest digest, std::uint64_t timeout_ms,
                    std::size_t threads) {
    return [=](auto... rest) {
        return lime_pow_solve_start(challenge.data(), challenge.size(), difficulty, static_cast<std::int32_t>(digest),
                                    timeout_ms, threads, rest...);
    };
}

} // namespace detail
/// @endcond

/// Finds the smallest nonce whose digest begins with `difficulty` zero bits. Runs on the calling thread (and on
/// `threads` - 1 more). Fails with PowTimeoutError and PowDifficultyError. An agent's login does this by itself.
/// @param challenge UTF-8 text.
/// @param difficulty How many zero bits; 0 or less is met by "0".
/// @param digest PowDigest::seed or PowDigest::today.
/// @param timeout The budget of real time.
/// @param threads How many threads search; 0 counts as 1.
/// @return The value or the error.
inline Result<std::string> try_solve_pow(std::string_view challenge, std::int64_t difficulty, PowDigest digest,
                                         std::chrono::milliseconds timeout, std::size_t threads = 1) {
    detail::Arguments arguments;
    const std::uint64_t ms = arguments.ms("timeout", timeout);
    if (arguments.refused()) return *arguments.refused();
    char nonce[LIME_POW_NONCE_SIZE] = "";
    const auto solved = detail::call_void([&](lime_error **error) {
        return lime_pow_solve(challenge.data(), challenge.size(), difficulty, static_cast<std::int32_t>(digest), ms,
                              threads, nonce, sizeof nonce, error);
    });
    if (!solved) return solved.error();
    return std::string(nonce);
}

/// As try_solve_pow(), but throws.
/// @param challenge UTF-8 text.
/// @param difficulty How many zero bits; 0 or less is met by "0".
/// @param digest PowDigest::seed or PowDigest::today.
/// @param timeout The budget of real time.
/// @param threads How many threads search; 0 counts as 1.
/// @return The nonce, as decimal text.
inline std::string solve_pow(std::string_view challenge, std::int64_t difficulty, PowDigest digest,
                             std::chrono::milliseconds timeout, std::size_t threads = 1) {
    return try_solve_pow(challenge, difficulty, digest, timeout, threads).value();
}

/// As solve_pow(), started: on a thread of the library, as soon as fewer searches than the machine has cores are running.
/// Cancelling ends it within a millisecond.
/// @param challenge UTF-8 text.
/// @param difficulty How many zero bits; 0 or less is met by "0".
/// @param digest PowDigest::seed or PowDigest::today.
/// @param timeout The budget of real time.
/// @param threads How many threads search; 0 counts as 1.
/// @return The call: its future, and the way to cancel it.
inline Operation<PowNonce> solve_pow_start(std::string_view challenge, std::int64_t difficulty, PowDigest digest,
                                           std::chrono::milliseconds timeout, std::size_t threads = 1) {
    detail::Arguments arguments;
    const std::uint64_t ms = arguments.ms("timeout", timeout);
    return detail::start<PowNonce>(arguments, detail::solving(challenge, difficulty, digest, ms, threads));
}

/// As solve_pow(), started. What leaves `then` goes to `on_error`.
/// @param challenge UTF-8 text.
/// @param difficulty How many zero bits; 0 or less is met by "0".
/// @param digest PowDigest::seed or PowDigest::today.
/// @param timeout The budget of real time.
/// @param threads How many threads search; 0 counts as 1.
/// @param then Is given the value or the error, on the dispatcher thread.
/// @param on_error Is given what leaves `then`.
/// @return The call, to cancel it.
inline Started solve_pow_start(std::string_view challenge, std::int64_t difficulty, PowDigest digest,
                               std::chrono::milliseconds timeout, std::size_t threads,
                               std::function<void(Result<PowNonce>)> then, ErrorHandler on_error) {
    detail::Arguments arguments;
    const std::uint64_t ms = arguments.ms("timeout", timeout);
    return detail::start<PowNonce>(arguments, detail::solving(challenge, difficulty, digest, ms, threads),
                                   std::make_shared<detail::Hooks>(std::move(on_error), LogFunction()), std::move(then));
}

/// Takes the `data` out of an answer of the platform. Fails with the platform's own error, or with BadResponseError when
/// the body is no such answer.
/// @param http_status The HTTP status of the answer.
/// @param body Its bytes.
/// @return The value or the error.
inline Result<std::string> try_parse_envelope(std::int32_t http_status, std::string_view body) {
    char *data_json = nullptr;
    const auto opened = detail::call_void([&](lime_error **error) {
        return lime_envelope_open(http_status, body.data(), body.size(), &data_json, error);
    });
    const detail::Handle<char, lime_string_free> owned(data_json);
    if (!opened) return opened.error();
    return detail::text(data_json);
}

/// As try_parse_envelope(), but throws.
/// @param http_status The HTTP status of the answer.
/// @param body Its bytes.
/// @return `data`, as JSON text.
inline std::string parse_envelope(std::int32_t http_status, std::string_view body) {
    return try_parse_envelope(http_status, body).value();
}

/// @cond INTERNAL
namespace detail {
template <class Function> Result<std::string> of_target(Function *function, std::string_view target) {
    Arguments arguments;
    const auto copy = arguments.text("target", target);
    if (arguments.refused()) return *arguments.refused();
    char *text = nullptr;
    const auto read =
        call_void([&](lime_error **error) { return function(copy.c_str(), &text, error); });
    const Handle<char, lime_string_free> owned(text);
    if (!read) return read.error();
    return detail::text(text);
}
} // namespace detail
/// @endcond

/// The host name that tokens for an MCP server are issued and kept for. Fails with InvalidArgumentError for anything but
/// a public DNS name: user names, IP addresses in any spelling, localhost and other reserved names.
/// @param target A URL or a host name.
/// @return The value or the error.
inline Result<std::string> try_extract_and_normalize_domain(std::string_view target) {
    return detail::of_target(lime_extract_and_normalize_domain, target);
}
/// As try_extract_and_normalize_domain(), but throws.
/// @param target A URL or a host name.
/// @return The host name, in lower case.
inline std::string extract_and_normalize_domain(std::string_view target) {
    return try_extract_and_normalize_domain(target).value();
}

/// The address of the MCP server that a target means: of a bare host name `https://.../mcp`, of a URL the URL. Fails as
/// try_extract_and_normalize_domain().
/// @param target A URL or a host name.
/// @return The value or the error.
inline Result<std::string> try_resolve_mcp_http_url(std::string_view target) {
    return detail::of_target(lime_resolve_mcp_http_url, target);
}
/// As try_resolve_mcp_http_url(), but throws.
/// @param target A URL or a host name.
/// @return The address.
inline std::string resolve_mcp_http_url(std::string_view target) { return try_resolve_mcp_http_url(target).value(); }

/// The meaning of one event of a site's stream.
class LoginFrame {
  public:
    /// @cond INTERNAL
    using native_type = lime_login_frame;
    /// @endcond

    /// Takes over an object of the C library.
    /// @param native From here on owned by this object.
    explicit LoginFrame(lime_login_frame *native) noexcept : native_(native) {}
    /// @return The object of the C library, which stays this one's.
    const lime_login_frame *native() const noexcept { return native_.get(); }

    /// @return What the event says.
    FrameKind kind() const noexcept { return static_cast<FrameKind>(lime_login_frame_kind(native())); }
    /// @return The login request of an approved or expired event.
    std::optional<std::string> request_id() const { return detail::maybe_text(lime_login_frame_request_id(native())); }
    /// @return The passport of an approved event, not verified.
    std::optional<std::string> passport() const { return detail::maybe_text(lime_login_frame_passport(native())); }
    /// @return The platform's code in an error event.
    std::optional<std::string> code() const { return detail::maybe_text(lime_login_frame_code(native())); }
    /// @return The message of an error event, or why an event is malformed.
    std::optional<std::string> message() const { return detail::maybe_text(lime_login_frame_message(native())); }

  private:
    detail::Handle<lime_login_frame, lime_login_frame_free> native_;
};

/// Reads the data of one event of a site's stream. A site's client does this by itself.
/// @param data UTF-8 text.
/// @return The value or the error.
inline Result<LoginFrame> try_parse_login_frame(std::string_view data) {
    return detail::made<LoginFrame>([&](lime_login_frame **frame, lime_error **error) {
        return lime_login_frame_parse(data.data(), data.size(), frame, error);
    });
}

/// As try_parse_login_frame(), but throws.
/// @param data UTF-8 text.
/// @return What the event says.
inline LoginFrame parse_login_frame(std::string_view data) { return try_parse_login_frame(data).value(); }

/// One event of an event stream.
struct SseEvent {
    /// Its name; "message" when the stream does not say.
    std::string event;
    /// Its data.
    std::string data;
    /// The last event id of the stream so far.
    std::string id;
};

/// A parser of server-sent events. No input or output of its own: any cut of the same bytes into chunks gives the
/// same events.
class SseParser {
  public:
    /// A handler of events.
    using Handler = std::function<void(SseEvent)>;

    /// A parser at the start of a stream.
    SseParser() : native_(lime_sse_parser_new()) {}

    /// @return The object of the C library, which stays this one's.
    const lime_sse_parser *native() const noexcept { return native_.get(); }

    /// Takes in a chunk of the stream and calls `handler` on this thread for each event that it completes. When the
    /// handler throws, the events after that one are not handed over, and the exception arrives here, when the whole
    /// chunk has been taken in. Throws BadResponseError when a line or an event is larger than 1 MiB.
    /// @param chunk The bytes.
    /// @param handler Is called on this thread, before this function returns; it may use the parser.
    void feed(std::string_view chunk, const Handler &handler) { try_feed(chunk, handler).value(); }
    /// As feed(); only what the handler throws is thrown.
    /// @param chunk The bytes.
    /// @param handler Is called on this thread, before this function returns; it may use the parser.
    /// @return That it succeeded, or the error.
    Result<void> try_feed(std::string_view chunk, const Handler &handler) {
        detail::Arguments arguments;
        arguments.function("handler", handler != nullptr);
        if (arguments.refused()) return *arguments.refused();
        Feeding feeding{handler, nullptr};
        auto fed = detail::call_void([&](lime_error **error) {
            return lime_sse_parser_feed(native_.get(), chunk.data(), chunk.size(), &SseParser::hand_over, &feeding,
                                        error);
        });
        if (feeding.thrown) std::rethrow_exception(feeding.thrown);
        return fed;
    }
    /// Takes in a chunk of the stream. Throws BadResponseError as above, and the events before are lost then.
    /// @param chunk The bytes.
    /// @return The events that it completes.
    std::vector<SseEvent> feed(std::string_view chunk) {
        std::vector<SseEvent> events;
        feed(chunk, [&](SseEvent event) { events.push_back(std::move(event)); });
        return events;
    }

    /// @return The id to continue the stream from (`Last-Event-ID`); empty when there is none.
    std::string last_event_id() const { return detail::text(lime_sse_parser_last_event_id(native())); }
    /// @return The last `retry:` of the stream.
    std::optional<std::chrono::milliseconds> retry() const {
        const std::int64_t ms = lime_sse_parser_retry_ms(native());
        return ms < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(ms));
    }

  private:
    struct Feeding {
        const Handler &handler;
        std::exception_ptr thrown;
    };

    static void hand_over(void *user_data, const char *event, const char *data, std::size_t length,
                          const char *id) noexcept {
        auto &feeding = *static_cast<Feeding *>(user_data);
        if (feeding.thrown) return;
        try {
            feeding.handler(SseEvent{detail::text(event), std::string(data, length), detail::text(id)});
        } catch (...) {
            feeding.thrown = std::current_exception();
        }
    }

    detail::Handle<lime_sse_parser, lime_sse_parser_free> native_;
};

} // namespace v0_1
} // namespace lime

#undef LIME_HPP_VISIBLE

#endif
