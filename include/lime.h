/*
 * lime.h - the client side of two platforms (version 0.1.0): LIME, where a site lets AI agents sign in
 * without a browser and an agent signs in to sites; and Sesame, where a human approves a sensitive operation
 * before it runs. SPDX-License-Identifier: MIT
 *
 * INSTALL AND LINK
 *
 *   cc main.c $(pkg-config --cflags --libs lime)             the shared library
 *   cc main.c $(pkg-config --cflags --libs --static lime)    the static one, where liblime.so is not installed
 *
 * The header is C99, C11 and C++11. The library needs nothing but libc, libm and libgcc_s, installs no signal
 * handlers, has no global settings and writes nothing to stdout or stderr.
 *
 * A COMPLETE PROGRAM
 *
 *   #include <lime.h>
 *   #include <stdio.h>
 *
 *   // A site's backend: LIME_SITE_TOKEN is read from the environment.
 *   int main(void) {
 *       lime_site *site = NULL;
 *       lime_login_request *request = NULL;
 *       lime_login_event *event = NULL;
 *       lime_passport *passport = NULL;
 *       lime_error *error = NULL;
 *       int32_t status = lime_site_new(NULL, &site, &error);
 *       if (status == LIME_OK) status = lime_site_create_login_request(site, &request, &error);
 *       const char *id = lime_login_request_request_id(request);
 *       if (status == LIME_OK) printf("the agent is to confirm %s\n", id);
 *       if (status == LIME_OK) status = lime_site_wait_for_login(site, id, 120000, &event, &error);
 *       const char *jwt = lime_login_event_passport(event);
 *       if (jwt) status = lime_site_verify_passport(site, jwt, id, 0, &passport, &error);
 *       if (passport) printf("signed in: %s\n", lime_passport_text_claim(passport, "agent_id"));
 *       if (status != LIME_OK) fprintf(stderr, "%s: %s\n", lime_status_name(status), lime_error_message(error));
 *       lime_error_free(error);
 *       lime_passport_free(passport);
 *       lime_login_event_free(event);
 *       lime_login_request_free(request);
 *       lime_site_free(site);
 *       return status == LIME_OK && passport ? 0 : 1;
 *   }
 *
 * AN AGENT AND AN ACCOUNT
 *
 * A person who is signed in at a site can connect one of their agents with the account. The browser is sent to the
 * platform's page and comes back to the site's own with ?binding_code= in the address:
 *
 *   // The person wants it: keep the id beside their session, then send the browser on.
 *   status = lime_site_create_binding_request(site, "https://shop.example/bind", &request, &error);
 *   keep_in_session(lime_binding_request_binding_id(request));
 *   redirect_to(lime_binding_request_connect_url(request));
 *
 *   // They are back, with a code that counts once.
 *   status = lime_site_exchange_binding_code(site, code, &exchange, &error);
 *   status = lime_site_verify_binding_passport(site, lime_binding_exchange_passport(exchange), id_of_session(), 0,
 *                                              &passport, &error);
 *   connect(lime_passport_text_claim(passport, "agent_id"));
 *
 * The id of the session is what tells this person's code from a stranger's: pass it, or compare the claim "binding_id".
 *
 * A GATE BEFORE AN OPERATION
 *
 *   #include <lime.h>
 *   #include <stdio.h>
 *
 *   // A refund that a human has to approve: SESAME_API_KEY is read from the environment.
 *   int main(void) {
 *       lime_sesame *sesame = NULL;
 *       lime_approval_request *request = NULL;
 *       lime_approval *approval = NULL;
 *       lime_error *error = NULL;
 *       int32_t status = lime_sesame_new(NULL, &sesame, &error);
 *       if (status == LIME_OK)
 *           status = lime_approval_request_new("payments.refund", "Refund $42.00 to customer", &request, &error);
 *       if (status == LIME_OK) status = lime_approval_request_set_dedup_key(request, "refund-882");
 *       if (status == LIME_OK)
 *           status = lime_sesame_require_approval(sesame, request, 300000, 2000, &approval, &error);
 *       if (status == LIME_OK) printf("approved: the money moves here, and nowhere else\n");
 *       else fprintf(stderr, "%s: %s\n", lime_status_name(status), lime_error_message(error));
 *       lime_error_free(error);
 *       lime_approval_free(approval);
 *       lime_approval_request_free(request);
 *       lime_sesame_free(sesame);
 *       return status == LIME_OK ? 0 : 1;
 *   }
 *
 * Only LIME_OK means "go on"; whatever else comes back, the operation must not run. An approval lets one call through:
 * calls with the same dedup_key share one, and the second, or one with another summary or context, is denied (its
 * error's code is "already_used" or "args_changed"). That is known to this process and what it forks; the next one does
 * not know it, so give each operation a key of its own. Where an approval stands:
 *
 *   "pending"     nobody has decided yet
 *   "approved"    a human granted it
 *   "denied"      a human refused it
 *   "expired"     nobody decided in time
 *
 * The last three are terminal: no further decision changes them. A later broker may know more; nothing but
 * "approved" (lime_approval_is_approved()) is a yes. Instead of holding a call, a program may ask with
 * lime_sesame_trigger(), write down the approval's id, and be told (see "Webhooks") or ask later.
 *
 * WEBHOOKS
 *
 * The broker reports a decision to the request's callback_url by a POST that is signed with a shared secret.
 * lime_webhook_verify() takes its headers and its raw body: the bytes as they arrived, not what a framework made
 * of them.
 *
 * The wire does not sign the timestamp. Whoever has once seen a delivery can send its body again, signature and
 * all, with a fresh timestamp, at any later time; the tolerance does not stop that. The remedies, best first:
 *
 *   1. Treat a webhook as a hint: read the approval from the broker (lime_sesame_get()) and act on that, once
 *      for each approval_id.
 *   2. Record each approval_id where the decision takes effect, in the same transaction.
 *   3. Give the verifier a guard, lime_webhook_verifier_set_replay_guard(), which does the same in this
 *      process's memory.
 *
 *   const char *names[] = {LIME_WEBHOOK_SIGNATURE_HEADER, LIME_WEBHOOK_TIMESTAMP_HEADER};
 *   const char *values[] = {getenv("HTTP_X_SESAME_SIGNATURE"), getenv("HTTP_X_SESAME_TIMESTAMP")};
 *   status = lime_webhook_verify(verifier, names, values, 2, body, length, &webhook, &error);
 *
 * MCP SERVERS
 *
 * An agent calls MCP servers, which know it by a token of LIME:
 *
 *   lime_mcp_result *result = NULL;
 *   status = lime_agent_call_tool(agent, "https://tools.example.com/mcp", "echo", "{\"text\":\"hello\"}", &result, &error);
 *   if (status == LIME_OK) puts(lime_mcp_result_text(result));
 *
 * The token is fetched, kept for the host name, renewed before it ends and attached; the session with the server is kept,
 * too. lime_agent_mcp() makes every other call of the protocol. A tool whose answer got lost is
 * LIME_ERROR_OUTCOME_UNKNOWN: it may have run. Tokens are for public DNS names only; to test against a server on your own
 * machine, give it a public name and say where it is, by lime_agent_options_add_mcp_address() or LIME_MCP_ADDRESSES.
 *
 * ACCESS TOKENS
 *
 * An MCP server asks of each request which agent it comes from: the token in the Authorization header is for this
 * server's host name and no other, and is checked with the platform's keys without asking the platform again.
 *
 *   // The values of the request's Authorization headers; the verifier was made once, for "tools.example.com".
 *   int admit(const lime_token_verifier *verifier, const char *const *authorization, size_t count) {
 *       char *token = NULL;
 *       lime_verified_token *verified = NULL;
 *       lime_token_refusal *refusal = NULL;
 *       lime_error *error = NULL;
 *       int32_t status = lime_bearer_token(authorization, count, &token, &error);
 *       if (status == LIME_OK) status = lime_token_verifier_verify(verifier, token, &verified, &error);
 *       if (status == LIME_OK) {
 *           printf("called by %s\n", lime_verified_token_agent_id(verified));
 *       } else if (lime_token_refusal_new(status, lime_error_code(error), lime_error_message(error),
 *                                         lime_error_retry_after_ms(error), NULL, &refusal, NULL) == LIME_OK) {
 *           printf("answer with %d and %s\n", (int)lime_token_refusal_http_status(refusal),
 *                  lime_token_refusal_body_json(refusal));
 *       }
 *       lime_token_refusal_free(refusal);
 *       lime_error_free(error);
 *       lime_verified_token_free(verified);
 *       lime_string_free(token);
 *       return status == LIME_OK;
 *   }
 *
 * LIME_ERROR_INVALID_TOKEN is the caller's fault and says why; everything else says nothing of the token (the keys could
 * not be had), and such a request is not let in either.
 *
 * STATUS AND ERRORS
 *
 * A function that can fail returns an int32_t: LIME_OK (0) or a LIME_ERROR_ constant. Its results go to
 * places that the caller gives; they are written on success only. `error` is NULL or such a place as well;
 * it is written on failure only, so set it to NULL before. There is no "last error". Later versions may return numbers
 * that this header does not know: treat them like LIME_ERROR_API. A status may be a case of another one, as
 * LIME_ERROR_AGENT_INACTIVE is of LIME_ERROR_AUTHENTICATION: lime_status_parent() tells. A fault inside the library is
 * LIME_ERROR_INTERNAL; the process and the client live on.
 *
 * OWNERSHIP
 *
 * What a function gives through a `type **` or `char **`, and what a lime_..._new() returns, is the caller's and is
 * freed with the type's own _free function (lime_string_free() for texts); every _free takes NULL. `const char *`
 * results are borrowed: they are valid until the object that they were asked of is freed. Texts that go in are
 * NUL-terminated UTF-8, are checked and are copied; bytes are a pointer and a length, where NULL with length 0 is
 * empty. NULL where something must be is LIME_ERROR_INVALID_ARGUMENT in functions with a status; elsewhere it
 * gives what the function says.
 *
 * THREADS
 *
 * Clients (lime_site, lime_agent, lime_sesame), token verifiers and clocks may be used by any number of threads at once;
 * all other objects by one at a time, or by several that only read: a function that takes a const pointer reads,
 * lime_webhook_verify() too.
 * Nothing is freed while another thread uses it. Importing the library and making a client start no thread. The
 * first call that needs it starts one runtime thread for the whole process, the first callback one dispatcher
 * thread; both end with the last client.
 *
 * STARTED CALLS
 *
 * Every call that takes time has a blocking form and one that ends with _start. A _start function that returns LIME_OK
 * calls `callback` exactly once, on the dispatcher thread, with the result or an error, also when the call is
 * cancelled, and never before `*operation` is written. When it returns anything else, `callback` is never called.
 * `drop_user_data` (which may be NULL) is called with `user_data` exactly once: after the callback has
 * returned, or before the _start function returns an error. Cancel with lime_operation_cancel(). The objects that the
 * call was given may be freed at once; freeing the client does not cancel it.
 *
 * CALLBACKS
 *
 * Callbacks of all clients run on the one dispatcher thread, one at a time, in order, and should be short. Inside
 * a callback any _start function, every _close and every _free function and every function without input and
 * output may be called; blocking calls fail with LIME_ERROR_WOULD_DEADLOCK. A callback must not throw a C++
 * exception or longjmp() out. Log callbacks are different, see lime_log_callback.
 *
 * THE HOST'S OWN HTTP CLIENT
 *
 * A program that has an HTTP client of its own (libcurl, with its proxies and certificates) can let the library use it:
 * lime_transport_new() takes a function that begins to carry out a request, and two that the library calls when the
 * answer is not wanted any more, or is wanted again. Set it in the options of each client; every byte then goes
 * through it, event streams too. A host that works with threads needs the first function only:
 *
 *   static void *carry_out(void *argument) {
 *       lime_http_request *request = argument;
 *       struct answer answer;                              // of the host's own client
 *       if (host_send(lime_http_request_method(request), lime_http_request_url(request), &answer) != 0) {
 *           lime_http_request_fail(request, LIME_REACH_MAYBE_SENT, "connection broke");
 *       } else {
 *           lime_http_request_respond(request, answer.http_status, answer.names, answer.values, answer.count);
 *           while (lime_http_request_wait(request) && host_read(&answer)) {      // 0: not wanted any more
 *               lime_http_request_write(request, answer.piece, answer.length);
 *           }
 *           lime_http_request_end(request);
 *       }
 *       lime_http_request_free(request);
 *       return NULL;
 *   }
 *
 *   static void on_send(void *user_data, lime_http_request *request) {
 *       pthread_t thread;
 *       pthread_create(&thread, NULL, carry_out, request); // and pthread_detach(); returns at once
 *   }
 *
 * The client must not follow redirects, retry, or add a body; it decodes what it has asked to be encoded. An answer is
 * handed over in the order above. Nothing is lost by a request that is freed unanswered: it has failed.
 *
 * FORK
 *
 * After fork() the child may use the clients it inherited and free them; they connect anew. Started calls and event
 * streams stay with the parent. Handlers stay registered in the child, but run there only once
 * lime_site_start_events(), lime_site_wait_for_login() or a new handler has started a stream there.
 */

#ifndef LIME_H
#define LIME_H

/* Generated from ffi-c by `cargo run -p lime-header -- --write`. Do not edit. */

#include <stddef.h>
#include <stdint.h>

/** The version of the library that this header belongs to. */
#define LIME_VERSION "0.1.0"

/** The first number of LIME_VERSION. */
#define LIME_VERSION_MAJOR 0

/** The second number of LIME_VERSION. */
#define LIME_VERSION_MINOR 1

/** The third number of LIME_VERSION. */
#define LIME_VERSION_PATCH 0

/** The call did what it was asked to do. */
#define LIME_OK 0

/** An argument is missing, not UTF-8, out of range or malformed; nothing was sent. */
#define LIME_ERROR_INVALID_ARGUMENT 10

/** The client was closed before or during the call. */
#define LIME_ERROR_CLOSED 11

/** The operation was cancelled by its caller; what it had already sent may still take effect. */
#define LIME_ERROR_CANCELLED 12

/** The caller's own deadline passed while waiting for something to happen. */
#define LIME_ERROR_TIMEOUT 13

/** A blocking call was made on the thread that would have to complete it. */
#define LIME_ERROR_WOULD_DEADLOCK 14

/** A fault of this library (a caught panic); the process and the client live on. */
#define LIME_ERROR_INTERNAL 19

/** No usable HTTP answer: connection refused or reset, TLS failure, unknown host. */
#define LIME_ERROR_TRANSPORT 20

/** No HTTP answer within `timeout`, in the last of all attempts. */
#define LIME_ERROR_TRANSPORT_TIMEOUT 21

/** An HTTP answer that is not what the protocol says: not JSON, wrong shape, too large, a redirect. */
#define LIME_ERROR_BAD_RESPONSE 22

/** A request that changes something was sent, and whether it took effect is not known; do not count it as failed. */
#define LIME_ERROR_OUTCOME_UNKNOWN 23

/** HTTP 429 or code `RATE_LIMIT_EXCEEDED`. */
#define LIME_ERROR_RATE_LIMIT 30

/** A missing or refused token. */
#define LIME_ERROR_AUTHENTICATION 31

/** Any other error that the platform reports. */
#define LIME_ERROR_API 32

/** The broker does not know this approval. */
#define LIME_ERROR_NOT_FOUND 33

/** The agent was switched off by its owner (code `AGENT_INACTIVE`); a case of a refused token. */
#define LIME_ERROR_AGENT_INACTIVE 34

/** The account of the agent's owner is suspended (code `AGENT_USER_SUSPENDED`); a case of a refused token. */
#define LIME_ERROR_AGENT_USER_SUSPENDED 35

/** The platform cannot look at agents' tokens at the moment (code `AUTH_UNAVAILABLE`); nothing is wrong with this one. */
#define LIME_ERROR_AUTH_UNAVAILABLE 36

/** The platform cannot look at sites' tokens at the moment (code `SITE_TOKEN_AUTH_UNAVAILABLE`); nothing is wrong with this one. */
#define LIME_ERROR_SITE_AUTH_UNAVAILABLE 37

/** A passport that must not be trusted: signature, key, audience, issuer or claims. */
#define LIME_ERROR_INVALID_PASSPORT 40

/** A passport that was good once and has expired. */
#define LIME_ERROR_PASSPORT_EXPIRED 41

/** An access token that an MCP server must not trust; the code says why. */
#define LIME_ERROR_INVALID_TOKEN 42

/** The proof of work was not solved within its budget. */
#define LIME_ERROR_POW_TIMEOUT 50

/** The platform asked for a proof of work that nobody can solve (difficulty above 256). */
#define LIME_ERROR_POW_DIFFICULTY 51

/** A human denied the operation, or nobody decided before the approval expired; it must not run. */
#define LIME_ERROR_APPROVAL_DENIED 60

/** A webhook that must not be trusted; the code says why. */
#define LIME_ERROR_WEBHOOK 61

/** The platform gives this agent no tokens for MCP servers: it lacks the grant `oauth:mcp`. */
#define LIME_ERROR_OAUTH_CAPABILITY 70

/** An MCP server refuses the token, also the new one that was fetched when it refused the first. */
#define LIME_ERROR_MCP_AUTHENTICATION 71

/** An MCP server reports an error, as JSON-RPC or by its HTTP status; the code says which. */
#define LIME_ERROR_MCP 72

/** The header of a webhook that has the signature. */
#define LIME_WEBHOOK_SIGNATURE_HEADER "X-Sesame-Signature"

/** The header of a webhook that has the time of sending. */
#define LIME_WEBHOOK_TIMESTAMP_HEADER "X-Sesame-Timestamp"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_EMPTY_SECRET "empty_secret"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_MISSING_HEADER "missing_header"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_MALFORMED_HEADER "malformed_header"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_TOO_OLD "too_old"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_TOO_NEW "too_new"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_MISMATCH "mismatch"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_NOT_JSON "not_json"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_NOT_AN_OBJECT "not_an_object"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_REPLAYED "replayed"

/** The code of a LIME_ERROR_WEBHOOK; lime_webhook_verify() tells what it means. */
#define LIME_REFUSAL_UNDATABLE "undatable"

/** The code of a LIME_ERROR_INVALID_TOKEN: The request shows no token. */
#define LIME_TOKEN_MISSING_TOKEN "missing_token"

/** The code of a LIME_ERROR_INVALID_TOKEN: The request shows several tokens. */
#define LIME_TOKEN_AMBIGUOUS_TOKEN "ambiguous_token"

/** The code of a LIME_ERROR_INVALID_TOKEN: It is no RS256 JWT with a key's name, or its JSON is not to be trusted (a name twice, no object). */
#define LIME_TOKEN_MALFORMED "malformed"

/** The code of a LIME_ERROR_INVALID_TOKEN: The platform has no usable key of this name. */
#define LIME_TOKEN_UNKNOWN_KEY "unknown_key"

/** The code of a LIME_ERROR_INVALID_TOKEN: The signature is not the platform's. */
#define LIME_TOKEN_BAD_SIGNATURE "bad_signature"

/** The code of a LIME_ERROR_INVALID_TOKEN: A claim that must be there is not, or is of another type. */
#define LIME_TOKEN_INVALID_CLAIM "invalid_claim"

/** The code of a LIME_ERROR_INVALID_TOKEN: Its time has not come (iat, nbf). */
#define LIME_TOKEN_NOT_YET_VALID "not_yet_valid"

/** The code of a LIME_ERROR_INVALID_TOKEN: Its time has passed (exp). */
#define LIME_TOKEN_EXPIRED "expired"

/** The code of a LIME_ERROR_INVALID_TOKEN: Another platform has issued it (iss). */
#define LIME_TOKEN_WRONG_ISSUER "wrong_issuer"

/** The code of a LIME_ERROR_INVALID_TOKEN: It is for something else (aud). */
#define LIME_TOKEN_WRONG_AUDIENCE "wrong_audience"

/** The code of a LIME_ERROR_INVALID_TOKEN: It carries what passports carry, so it is another kind of token. */
#define LIME_TOKEN_FORBIDDEN_CLAIM "forbidden_claim"

/** The code of a LIME_ERROR_INVALID_TOKEN: It does not say whose it is (sub). */
#define LIME_TOKEN_MISSING_SUBJECT "missing_subject"

/** The code of a LIME_ERROR_INVALID_TOKEN: It does not say which host it is for (domain). */
#define LIME_TOKEN_MISSING_DOMAIN "missing_domain"

/** The code of a LIME_ERROR_INVALID_TOKEN: Its host name is not in canonical form. */
#define LIME_TOKEN_INVALID_DOMAIN "invalid_domain"

/** The code of a LIME_ERROR_INVALID_TOKEN: It is for another host. */
#define LIME_TOKEN_WRONG_DOMAIN "wrong_domain"


/**
 * The number of the ABI that this header describes. It grows when something is added; it starts over
 * with a new major version of the library (a new SONAME), the only place where something is removed.
 */
#define LIME_ABI_VERSION 5

/**
 * Log level: each request, method and URL.
 */
#define LIME_LOG_DEBUG 10

/**
 * Log level: changes of state.
 */
#define LIME_LOG_INFO 20

/**
 * Log level: retries and reconnects.
 */
#define LIME_LOG_WARNING 30

/**
 * Log level: what someone has to look at.
 */
#define LIME_LOG_ERROR 40

/**
 * What a function gives for a point in time that is not there.
 */
#define LIME_NO_TIME (-9223372036854775807 - 1)

/**
 * What a function gives for the offset of a point in time that was written without one.
 */
#define LIME_NO_OFFSET (-2147483647 - 1)

/**
 * How far a failed request got: it certainly did not leave, since no connection came about. Whatever it was,
 * it may be sent again.
 */
#define LIME_REACH_NOT_SENT 0

/**
 * How far a failed request got: it may have arrived, and may have taken effect.
 */
#define LIME_REACH_MAYBE_SENT 1

/**
 * How far a failed request got: no answer came in time; it may have arrived, and may have taken effect.
 */
#define LIME_REACH_TIMED_OUT 2

/**
 * How far a failed request got: the host's client is closed or broken, which another try would not mend.
 */
#define LIME_REACH_HOST_FAULT 3

/**
 * Works with the platform of the seed packages and with today's.
 */
#define LIME_PLATFORM_AUTO 0

/**
 * The platform as lime-sites-sdk 1.0.1 and lime-agents-sdk 0.2.0 know it.
 */
#define LIME_PLATFORM_SEED 1

/**
 * The platform as lime-sites-sdk 2.0.6 and lime-agents-sdk 3.0.2 know it.
 */
#define LIME_PLATFORM_TODAY 2

/**
 * Key documents that are taken: both forms.
 */
#define LIME_JWKS_FORM_AUTO 0

/**
 * Key documents that are taken: those in an envelope, {"ok": true, "data": {"keys": [...]}}.
 */
#define LIME_JWKS_FORM_ENVELOPE 1

/**
 * Key documents that are taken: bare ones, {"keys": [...]}.
 */
#define LIME_JWKS_FORM_BARE 2

/**
 * Failed POSTs that are sent again: of the calls that the seed's platform has as LIME_POST_RETRY_SEED says, of later
 * ones (bindings) as LIME_POST_RETRY_TODAY does.
 */
#define LIME_POST_RETRY_AUTO 0

/**
 * Failed POSTs that are sent again: those answered by 408, 429, 500, 502, 503 or 504.
 */
#define LIME_POST_RETRY_SEED 1

/**
 * Failed POSTs that are sent again: those answered by 408, 429 or 503.
 */
#define LIME_POST_RETRY_TODAY 2

/**
 * The event stream was not started yet.
 */
#define LIME_STREAM_IDLE 0

/**
 * The event stream waits for the platform's answer.
 */
#define LIME_STREAM_CONNECTING 1

/**
 * The event stream is connected; events arrive.
 */
#define LIME_STREAM_OPEN 2

/**
 * The event stream broke or failed; the next attempt comes after a short wait.
 */
#define LIME_STREAM_BACKING_OFF 3

/**
 * The platform refuses the token; the next attempt comes after a minute or more.
 */
#define LIME_STREAM_REFUSED 4

/**
 * The client is closed.
 */
#define LIME_STREAM_CLOSED 5

/**
 * A login asks the platform for its challenge.
 */
#define LIME_LOGIN_STAGE_CHALLENGE 0

/**
 * A login searches for the proof of work.
 */
#define LIME_LOGIN_STAGE_POW 1

/**
 * A login sends its approval.
 */
#define LIME_LOGIN_STAGE_APPROVE 2

/**
 * A timeout that never passes.
 */
#define LIME_WAIT_FOREVER UINT64_MAX

/**
 * The room that a signature needs, with the NUL at its end.
 */
#define LIME_WEBHOOK_SIGNATURE_SIZE 65

/**
 * For an agent only: the seed's digest first, today's when the platform does not take that one.
 */
#define LIME_POW_DIGEST_AUTO 0

/**
 * SHA-256 of the challenge and the nonce.
 */
#define LIME_POW_DIGEST_SEED 1

/**
 * SHA-256 of "lime:pow:v1", NUL, the challenge, NUL and the nonce.
 */
#define LIME_POW_DIGEST_TODAY 2

/**
 * The room that a nonce needs at most, with the NUL at its end.
 */
#define LIME_POW_NONCE_SIZE 21

/**
 * The connection is alive.
 */
#define LIME_FRAME_KEEPALIVE 1

/**
 * An agent signed in: request id and passport are there.
 */
#define LIME_FRAME_APPROVED 2

/**
 * Nobody signed in in time: the request id is there.
 */
#define LIME_FRAME_EXPIRED 3

/**
 * The platform reports a fault: code and message are there.
 */
#define LIME_FRAME_ERROR 4

/**
 * Something that this version does not know, or that is not about a login request.
 */
#define LIME_FRAME_IGNORED 5

/**
 * Not what the protocol allows: the message says why.
 */
#define LIME_FRAME_MALFORMED 6

/**
 * The client of an agent. Make one per agent token and process; any number of threads may use it at
 * once. Free it with lime_agent_free().
 */
typedef struct lime_agent lime_agent;

/**
 * How to make a lime_agent. Not to be used by several threads at once.
 */
typedef struct lime_agent_options lime_agent_options;

/**
 * The agent as the platform knows it. Free it with lime_agent_profile_free().
 */
typedef struct lime_agent_profile lime_agent_profile;

/**
 * Where an approval stood when the broker answered. (The result of an agent's login is a
 * lime_approval_result.) Free it with lime_approval_free().
 */
typedef struct lime_approval lime_approval;

/**
 * What a human is asked to approve; it can be asked for any number of times. To be filled by one thread
 * at a time. Free it with lime_approval_request_free().
 */
typedef struct lime_approval_request lime_approval_request;

/**
 * How a login was confirmed. Free it with lime_approval_result_free().
 */
typedef struct lime_approval_result lime_approval_result;

/**
 * What a binding code was exchanged for. Free it with lime_binding_exchange_free().
 */
typedef struct lime_binding_exchange lime_binding_exchange;

/**
 * A binding that was just asked for. Free it with lime_binding_request_free().
 */
typedef struct lime_binding_request lime_binding_request;

/**
 * A clock for tests: it stands still until the host moves it, so that every back-off and expiry can be tested
 * without waiting. Options that it was set in and the clients made with them keep it. Any number of threads may
 * use it at once. It does not bound requests that are under way (`timeout_ms`), nor a proof of work: those take
 * real time. Free it with lime_clock_free().
 */
typedef struct lime_clock lime_clock;

/**
 * Why a call failed: a status number, a message for people and, where they are known, the platform's
 * code, the HTTP status and more. It never contains a token, a passport, a challenge or a nonce.
 * Free it with lime_error_free(); it stays valid after the client is gone.
 */
typedef struct lime_error lime_error;

/**
 * A request that the host carries out. It is answered in this order: lime_http_request_respond(), any number
 * of lime_http_request_write(), lime_http_request_end(); or, at any point, lime_http_request_fail(). To be used
 * by one thread at a time, but for the functions that say otherwise. Free it with lime_http_request_free().
 */
typedef struct lime_http_request lime_http_request;

/**
 * How a login request ended. Free it with lime_login_event_free().
 */
typedef struct lime_login_event lime_login_event;

/**
 * The meaning of one event of a site's stream.
 */
typedef struct lime_login_frame lime_login_frame;

/**
 * How far a login has come. Any number of threads may look at it while the login runs. Free it with
 * lime_login_progress_free().
 */
typedef struct lime_login_progress lime_login_progress;

/**
 * A login request that was just created. Free it with lime_login_request_free().
 */
typedef struct lime_login_request lime_login_request;

/**
 * Where a login request stands. Free it with lime_login_request_status_free().
 */
typedef struct lime_login_request_status lime_login_request_status;

/**
 * A token for the MCP servers of one host name. Free it with lime_mcp_access_token_free().
 */
typedef struct lime_mcp_access_token lime_mcp_access_token;

/**
 * What an MCP server answered. Free it with lime_mcp_result_free().
 */
typedef struct lime_mcp_result lime_mcp_result;

/**
 * A passport that was verified, with its claims.
 */
typedef struct lime_passport lime_passport;

/**
 * A nonce that was found by lime_pow_solve_start(). Free it with lime_pow_nonce_free().
 */
typedef struct lime_pow_nonce lime_pow_nonce;

/**
 * The client of the Sesame broker. Make one per API key and process; any number of threads may use it at
 * once. Free it with lime_sesame_free().
 */
typedef struct lime_sesame lime_sesame;

/**
 * How to make a lime_sesame. Not to be used by several threads at once.
 */
typedef struct lime_sesame_options lime_sesame_options;

/**
 * The client of a site's backend. Make one per site token and process; any number of threads may use it
 * at once. Free it with lime_site_free().
 */
typedef struct lime_site lime_site;

/**
 * How to make a lime_site. Not to be used by several threads at once.
 */
typedef struct lime_site_options lime_site_options;

/**
 * A parser of server-sent events as the WHATWG standard has them. No input or output of its own: any
 * cut of the same bytes into chunks gives the same events. To be used by one thread at a time.
 */
typedef struct lime_sse_parser lime_sse_parser;

/**
 * The HTTP answer to a request that is not let in.
 */
typedef struct lime_token_refusal lime_token_refusal;

/**
 * Verifies the access tokens that agents show to one MCP server. Make one per host name and process; any
 * number of threads may use it at once. Free it with lime_token_verifier_free().
 */
typedef struct lime_token_verifier lime_token_verifier;

/**
 * How to make a lime_token_verifier. Not to be used by several threads at once.
 */
typedef struct lime_token_verifier_options lime_token_verifier_options;

/**
 * The host's HTTP client, as a table of functions. Options that it was set in, the clients made with them and
 * the requests that are under way keep it. Free it with lime_transport_free().
 */
typedef struct lime_transport lime_transport;

/**
 * An access token that was verified, with its claims.
 */
typedef struct lime_verified_token lime_verified_token;

/**
 * A webhook that can be trusted. Free it with lime_webhook_free().
 */
typedef struct lime_webhook lime_webhook;

/**
 * Verifies webhooks. Fill it with lime_webhook_verifier_add_secret() and the set functions before it is
 * shared; from then on any number of threads may verify with it at once. Make one for each endpoint and
 * keep it: with a replay guard it has a memory. Free it with lime_webhook_verifier_free().
 */
typedef struct lime_webhook_verifier lime_webhook_verifier;

/**
 * Begins to carry out `request`, which is the host's from here on: it is to be answered, now or later, and
 * freed with lime_http_request_free(). Runs on the library's runtime thread, which all clients share, so it
 * must return at once; it may call any lime_http_request_ function.
 */
typedef void (*lime_transport_send_callback)(void *user_data, struct lime_http_request *request);

/**
 * Is told of the request whose lime_http_request_id() is `request_id`. Runs on a thread of the library, must return at
 * once and must not call the library.
 */
typedef void (*lime_transport_notice_callback)(void *user_data, uint64_t request_id);

/**
 * Frees the user data of a callback. It is called exactly once, after the last call of the callback
 * has returned, also when the registration failed; on any thread. It must not call back into the
 * object that is being freed.
 */
typedef void (*lime_drop_user_data)(void *user_data);

/**
 * Receives log records: `level` is a LIME_LOG_ constant, `message` is valid during the call. It runs
 * on the library's threads, also on several at once, must not block, and must not call this library.
 */
typedef void (*lime_log_callback)(void *user_data, int32_t level, const char *message);

/**
 * Receives the result of lime_site_create_login_request_start(). `status` is LIME_OK and `request` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_login_request_callback)(void *user_data,
                                            int32_t status,
                                            struct lime_login_request *request,
                                            struct lime_error *error);

/**
 * Receives the result of lime_site_read_login_request_start(). `status` is LIME_OK and `found` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_login_request_status_callback)(void *user_data,
                                                   int32_t status,
                                                   struct lime_login_request_status *found,
                                                   struct lime_error *error);

/**
 * Receives the result of lime_site_wait_for_login_start(). `status` is LIME_OK and `event` is there, or
 * `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_login_event_callback)(void *user_data,
                                          int32_t status,
                                          struct lime_login_event *event,
                                          struct lime_error *error);

/**
 * Receives the result of lime_site_verify_passport_start() and lime_site_verify_binding_passport_start(). `status` is LIME_OK and `passport` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_passport_callback)(void *user_data,
                                       int32_t status,
                                       struct lime_passport *passport,
                                       struct lime_error *error);

/**
 * Is told how the login request `request_id` ended: `passport` is the agent's passport, not verified yet,
 * or NULL when nobody signed in in time. The texts are valid during the call. Runs on the dispatcher thread.
 */
typedef void (*lime_login_handler)(void *user_data, const char *request_id, const char *passport);

/**
 * Is given how a login request ended. `event` is the handler's own and is freed with
 * lime_login_event_free(), now or later and on any thread. Runs on the dispatcher thread.
 */
typedef void (*lime_login_event_handler)(void *user_data, struct lime_login_event *event);

/**
 * Is told where the event stream stands: `state` is a LIME_STREAM_ constant (a later version may know
 * more of them), `last_error` what ended the last connection, or NULL; it is valid during the call and
 * not the handler's to free. Runs on the dispatcher thread.
 */
typedef void (*lime_state_handler)(void *user_data, int32_t state, const struct lime_error *last_error);

/**
 * Is told which login requests have ended without that anybody will see how: `request_ids` are `count` texts,
 * valid during the call. Runs on the dispatcher thread.
 */
typedef void (*lime_gap_handler)(void *user_data, const char *const *request_ids, size_t count);

/**
 * Receives the result of lime_site_create_binding_request_start(). `status` is LIME_OK and `request` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_binding_request_callback)(void *user_data,
                                              int32_t status,
                                              struct lime_binding_request *request,
                                              struct lime_error *error);

/**
 * Receives the result of lime_site_exchange_binding_code_start(). `status` is LIME_OK and `exchange` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_binding_exchange_callback)(void *user_data,
                                               int32_t status,
                                               struct lime_binding_exchange *exchange,
                                               struct lime_error *error);

/**
 * Receives the result of lime_agent_login_start(). `status` is LIME_OK and `result` is there, or `error`
 * is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_approval_result_callback)(void *user_data,
                                              int32_t status,
                                              struct lime_approval_result *result,
                                              struct lime_error *error);

/**
 * Receives the result of lime_agent_get_profile_start(). `status` is LIME_OK and `profile` is there, or
 * `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_agent_profile_callback)(void *user_data,
                                            int32_t status,
                                            struct lime_agent_profile *profile,
                                            struct lime_error *error);

/**
 * Receives the result of lime_agent_get_mcp_access_token_start(). `status` is LIME_OK and `token` is there, or
 * `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_mcp_access_token_callback)(void *user_data,
                                               int32_t status,
                                               struct lime_mcp_access_token *token,
                                               struct lime_error *error);

/**
 * Receives the result of lime_agent_mcp_start() and lime_agent_call_tool_start(). `status` is LIME_OK and `result` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_mcp_result_callback)(void *user_data,
                                         int32_t status,
                                         struct lime_mcp_result *result,
                                         struct lime_error *error);

/**
 * Receives the result of every _start function of a lime_sesame. `status` is LIME_OK and `approval` is
 * there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_approval_callback)(void *user_data,
                                       int32_t status,
                                       struct lime_approval *approval,
                                       struct lime_error *error);

/**
 * Receives the result of lime_pow_solve_start(). `status` is LIME_OK and `nonce` is there, or `error` is; both
 * belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_pow_callback)(void *user_data,
                                  int32_t status,
                                  struct lime_pow_nonce *nonce,
                                  struct lime_error *error);

/**
 * Receives an event: `event` is its name ("message" when the stream does not say), `data` has
 * `data_length` bytes and a NUL after them, `id` is the last event id of the stream so far. All are valid
 * during the call.
 */
typedef void (*lime_sse_callback)(void *user_data,
                                  const char *event,
                                  const char *data,
                                  size_t data_length,
                                  const char *id);

/**
 * Receives the result of lime_token_verifier_verify_start(). `status` is LIME_OK and `token` is there, or
 * `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
 */
typedef void (*lime_verified_token_callback)(void *user_data,
                                             int32_t status,
                                             struct lime_verified_token *token,
                                             struct lime_error *error);

/**
 * Is told how lime_token_verifier_warm_up_start() ended. `status` is LIME_OK, or `error` is there, which
 * belongs to the callback, which frees it. Runs on the dispatcher thread.
 */
typedef void (*lime_warm_up_callback)(void *user_data, int32_t status, struct lime_error *error);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library at run time, "MAJOR.MINOR.PATCH"; compare with LIME_VERSION.
 *
 * @return static text.
 */
const char *lime_version(void);

/**
 * The ABI version of the library at run time. A program that was compiled with LIME_ABI_VERSION n
 * runs with every library of the same SONAME whose number is n or more.
 *
 * @return LIME_ABI_VERSION, as the library was built with it.
 */
uint32_t lime_abi_version(void);

/**
 * The name of a status: "ok", or a LIME_ERROR_ constant's in lower case and without that prefix
 * ("invalid_argument").
 *
 * @param status_number  what a function returned, or any other number.
 *
 * @return static text; "unknown" for a number that this library does not know.
 */
const char *lime_status_name(int32_t status_number);

/**
 * What a status means, in a sentence.
 *
 * @param status_number  what a function returned, or any other number.
 *
 * @return static text; "unknown" for a number that this library does not know.
 */
const char *lime_status_description(int32_t status_number);

/**
 * The more general status that this one is a case of: LIME_ERROR_AUTHENTICATION for
 * LIME_ERROR_AGENT_INACTIVE and LIME_ERROR_AGENT_USER_SUSPENDED; LIME_ERROR_API for
 * LIME_ERROR_AUTH_UNAVAILABLE, LIME_ERROR_SITE_AUTH_UNAVAILABLE, and any number that this library does not know;
 * and so on. A program that has no case for a status looks at this one.
 *
 * @param status_number  what a function returned, or any other number.
 *
 * @return the other status; `status_number` itself where there is none.
 */
int32_t lime_status_parent(int32_t status_number);

/**
 * The status number of an error, LIME_ERROR_...; the same that the failed call returned.
 *
 * @param error  the error, or NULL.
 *
 * @return the number; 0 for NULL.
 */
int32_t lime_error_status(const struct lime_error *error);

/**
 * The message of an error, for people; programs look at the status and the code.
 *
 * @param error  the error, or NULL.
 *
 * @return text that is valid until the error is freed; NULL for NULL.
 */
const char *lime_error_message(const struct lime_error *error);

/**
 * The platform's own code, such as "SITE_TOKEN_INVALID"; of LIME_ERROR_APPROVAL_DENIED the approval's
 * status, "denied" or "expired", or why it does not count, "already_used" or "args_changed"; of LIME_ERROR_WEBHOOK the reason, a LIME_REFUSAL_ constant.
 *
 * @param error  the error, or NULL.
 *
 * @return text that is valid until the error is freed; NULL when there is none.
 */
const char *lime_error_code(const struct lime_error *error);

/**
 * The HTTP status of the answer that the error was read from.
 *
 * @param error  the error, or NULL.
 *
 * @return the HTTP status; 0 when there was no answer.
 */
int32_t lime_error_http_status(const struct lime_error *error);

/**
 * The platform's `detail` object, as JSON text.
 *
 * @param error  the error, or NULL.
 *
 * @return text that is valid until the error is freed; NULL when there is none.
 */
const char *lime_error_detail_json(const struct lime_error *error);

/**
 * The login request that the failed call was about.
 *
 * @param error  the error, or NULL.
 *
 * @return text that is valid until the error is freed; NULL when it was about none.
 */
const char *lime_error_request_id(const struct lime_error *error);

/**
 * The approval that the failed call was about.
 *
 * @param error  the error, or NULL.
 *
 * @return text that is valid until the error is freed; NULL when it was about none.
 */
const char *lime_error_approval_id(const struct lime_error *error);

/**
 * How long the platform asked to wait before the next try (`Retry-After`).
 *
 * @param error  the error, or NULL.
 *
 * @return milliseconds; -1 when it did not ask.
 */
int64_t lime_error_retry_after_ms(const struct lime_error *error);

/**
 * Frees an error. NULL is allowed.
 *
 * @param error  the error, or NULL.
 */
void lime_error_free(struct lime_error *error);

/**
 * Frees a string that a function of this library handed over as the caller's own (`char *`, not
 * `const char *`).
 *
 * @param string  such a string, or NULL.
 */
void lime_string_free(char *string);

/**
 * Cancels a started call. Its callback still comes, with LIME_ERROR_CANCELLED, unless the call ended
 * before. What was already sent may still take effect on the platform.
 *
 * @param operation  the number that the _start function gave; numbers are never used again, so a late or a
 *   wrong one does no harm.
 *
 * @return 1 if the call was still under way, else 0. Never blocks; may be called on any thread, in callbacks
 *   too.
 */
int32_t lime_operation_cancel(uint64_t operation);

/**
 * Whether the calling thread is one of the library's own, as in every callback: blocking calls fail there with
 * LIME_ERROR_WOULD_DEADLOCK, and a host that waits there for the result of a started call by itself would wait for
 * ever.
 *
 * @return 1 or 0.
 */
int32_t lime_is_library_thread(void);

/**
 * Reads a point in time as the platform writes it: ISO 8601, with `Z`, an offset or neither (which
 * counts as UTC).
 *
 * @param text  for example "2026-11-23T10:00:00.5+02:00".
 * @param[out] unix_micros  gets the microseconds since 1970-01-01T00:00:00Z; finer parts are cut off.
 * @param[out] offset_seconds  NULL, or gets the seconds east of UTC, LIME_NO_OFFSET when the text has no
 *   offset.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_BAD_RESPONSE when the text is no point in time; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_timestamp_parse(const char *text,
                             int64_t *unix_micros,
                             int32_t *offset_seconds,
                             struct lime_error **error);

/**
 * Makes a transport of the host's functions. Starts nothing.
 *
 * @param send  see lime_transport_send_callback.
 * @param abort  NULL, or told when the answer of a request is not wanted any more, because its caller gave up
 *   or its time ran out: close the connection; the request still has to be freed.
 * @param resume  NULL, or told that there is room again after lime_http_request_wants_more() was 0. A host
 *   without the two asks with lime_http_request_is_wanted() and lime_http_request_wait().
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once, on any thread, when the transport, the options and clients
 *   that it was set in, and all its requests are freed, or before this function returns an error.
 * @param[out] transport  gets the transport, to be freed with lime_transport_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (send or transport NULL).
 */
int32_t lime_transport_new(lime_transport_send_callback send,
                           lime_transport_notice_callback abort,
                           lime_transport_notice_callback resume,
                           void *user_data,
                           lime_drop_user_data drop_user_data,
                           struct lime_transport **transport,
                           struct lime_error **error);

/**
 * Says whether the host's client has time limits of its own. Then the options' `timeout_ms` is not applied to
 * its requests. Default: 0. To be set before the first client is made with it.
 *
 * @param transport  the transport.
 * @param keeps_time  1 or 0.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (transport NULL, another number).
 */
int32_t lime_transport_set_keeps_time(struct lime_transport *transport, int32_t keeps_time);

/**
 * Frees the caller's hold on a transport; what it was set in keeps it. NULL is allowed.
 *
 * @param transport  the transport, or NULL.
 */
void lime_transport_free(struct lime_transport *transport);

/**
 * The request's number, which the two notices are given. Numbers are never used again.
 *
 * @param request  the request, or NULL.
 *
 * @return the number; 0 for NULL.
 */
uint64_t lime_http_request_id(const struct lime_http_request *request);

/**
 * The method, "GET" or "POST".
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the request is freed; NULL for NULL.
 */
const char *lime_http_request_method(const struct lime_http_request *request);

/**
 * The absolute URL. Redirects must not be followed: they are given back like any other answer.
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the request is freed; NULL for NULL.
 */
const char *lime_http_request_url(const struct lime_http_request *request);

/**
 * How many headers are to be sent, beside those that an HTTP client adds by itself (`Host`,
 * `Content-Length`).
 *
 * @param request  the request, or NULL.
 *
 * @return the number; 0 for NULL.
 */
size_t lime_http_request_header_count(const struct lime_http_request *request);

/**
 * The name of a header, in lower case.
 *
 * @param request  the request, or NULL.
 * @param index  from 0 to lime_http_request_header_count() - 1.
 *
 * @return text that is valid until the request is freed; NULL for NULL and beyond the last one.
 */
const char *lime_http_request_header_name(const struct lime_http_request *request, size_t index);

/**
 * The value of a header. It may be a secret (`x-site-token`, `x-agent-token`, `authorization`): not for logs.
 *
 * @param request  the request, or NULL.
 * @param index  from 0 to lime_http_request_header_count() - 1.
 *
 * @return text that is valid until the request is freed; NULL for NULL and beyond the last one.
 */
const char *lime_http_request_header_value(const struct lime_http_request *request, size_t index);

/**
 * The whole body.
 *
 * @param request  the request, or NULL.
 * @param[out] length  NULL, or gets its length in bytes; 0 for NULL.
 *
 * @return bytes that are valid until the request is freed; NULL when there are none.
 */
const void *lime_http_request_body(const struct lime_http_request *request, size_t *length);

/**
 * Whether the answer's body is a stream: to be handed on piece by piece as it arrives, without a limit of time
 * between the pieces.
 *
 * @param request  the request, or NULL.
 *
 * @return 1 or 0; 0 for NULL.
 */
int32_t lime_http_request_is_stream(const struct lime_http_request *request);

/**
 * How long the platform may hold the answer back, where that is longer than usual (a long poll): a client with
 * time limits of its own must not give up before.
 *
 * @param request  the request, or NULL.
 *
 * @return milliseconds; -1 when it is a request like any other, and for NULL.
 */
int64_t lime_http_request_time_limit_ms(const struct lime_http_request *request);

/**
 * The started call that the request is sent for.
 *
 * @param request  the request, or NULL.
 *
 * @return its number, as lime_operation_cancel() takes it; 0 when the library sends it by itself (an event
 *   stream, signing keys), and for NULL.
 */
uint64_t lime_http_request_operation(const struct lime_http_request *request);

/**
 * Whether the answer is still wanted. Any thread may ask, also while another one uses the request.
 *
 * @param request  the request, or NULL.
 *
 * @return 1, or 0 when whoever asked has given up, or the request has ended or is NULL.
 */
int32_t lime_http_request_is_wanted(const struct lime_http_request *request);

/**
 * Whether more of the body is wanted now. It costs memory, and nothing else, to write while it is not. Any
 * thread may ask.
 *
 * @param request  the request, or NULL.
 *
 * @return 1, or 0 when enough waits to be read for now (see `resume` of lime_transport_new()), or the answer
 *   is not wanted any more.
 */
int32_t lime_http_request_wants_more(const struct lime_http_request *request);

/**
 * Blocks until more of the body is wanted, or nothing any more: for a host that carries a request out on a
 * thread of its own. On a thread of the library it does not wait.
 *
 * @param request  the request, or NULL.
 *
 * @return as lime_http_request_wants_more().
 */
int32_t lime_http_request_wait(const struct lime_http_request *request);

/**
 * Hands over the answer's status and headers.
 *
 * @param request  the request.
 * @param http_status  100 to 999.
 * @param names,values  arrays of `count` texts; NULL with count 0. What HTTP does not allow is left out.
 * @param count  how many headers there are. All are copied.
 *
 * @return LIME_OK; LIME_ERROR_CANCELLED when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT
 *   (something NULL, no HTTP status, or the request was answered already).
 */
int32_t lime_http_request_respond(struct lime_http_request *request,
                                  int32_t http_status,
                                  const char *const *names,
                                  const char *const *values,
                                  size_t count);

/**
 * Hands over a piece of the answer's body, after any decoding (`Content-Encoding`).
 *
 * @param request  the request.
 * @param data,length  the bytes; copied.
 *
 * @return LIME_OK, also where lime_http_request_wants_more() is 0; LIME_ERROR_CANCELLED when the answer is
 *   not wanted any more; LIME_ERROR_INVALID_ARGUMENT (something NULL, or the status was not handed over, or
 *   the request has ended).
 */
int32_t lime_http_request_write(struct lime_http_request *request,
                                const void *data,
                                size_t length);

/**
 * Says that the body is complete. The request still has to be freed.
 *
 * @param request  the request.
 *
 * @return LIME_OK, also when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT (request NULL, or
 *   the status was not handed over, or the request has ended).
 */
int32_t lime_http_request_end(struct lime_http_request *request);

/**
 * Says that there is no answer, or that its body broke off. The request still has to be freed.
 *
 * @param request  the request.
 * @param reach  how far it got, a LIME_REACH_ constant; when in doubt, LIME_REACH_MAYBE_SENT.
 * @param message  for people, without secrets; copied.
 *
 * @return LIME_OK, also when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT (something NULL,
 *   text not UTF-8, another reach, or the request has ended).
 */
int32_t lime_http_request_fail(struct lime_http_request *request,
                               int32_t reach,
                               const char *message);

/**
 * Frees a request. One that has neither ended nor failed counts as failed, LIME_REACH_MAYBE_SENT. NULL is allowed.
 *
 * @param request  the request, or NULL.
 */
void lime_http_request_free(struct lime_http_request *request);

/**
 * A clock that stands at a time.
 *
 * @param unix_ms  milliseconds since 1970-01-01T00:00:00Z.
 * @param skips_sleeps  1 to let every wait move the clock by itself and end at once; 0 to let it last until
 *   lime_clock_advance_ms() has moved the clock far enough. What no call waits for comes with
 *   lime_clock_advance_ms() in both: a site asks for login requests that seem to be lost.
 *
 * @return the clock, to be freed with lime_clock_free(); NULL when unix_ms is less than 0 or skips_sleeps
 *   neither 0 nor 1.
 */
struct lime_clock *lime_clock_new(int64_t unix_ms,
                                  int32_t skips_sleeps);

/**
 * Moves the clock forward and ends the waits whose time has come.
 *
 * @param clock  the clock.
 * @param ms  by how many milliseconds.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (clock NULL).
 */
int32_t lime_clock_advance_ms(const struct lime_clock *clock, uint64_t ms);

/**
 * Sets what the library gets for a random number, which spreads its back-offs. Default: 0.
 *
 * @param clock  the clock.
 * @param jitter  from 0 (included) to 1 (excluded).
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (clock NULL, another number).
 */
int32_t lime_clock_set_jitter(const struct lime_clock *clock, double jitter);

/**
 * How many waits have begun so far.
 *
 * @param clock  the clock, or NULL.
 *
 * @return the number; 0 for NULL.
 */
size_t lime_clock_sleeps(const struct lime_clock *clock);

/**
 * How long a wait is, or was.
 *
 * @param clock  the clock, or NULL.
 * @param index  from 0 to lime_clock_sleeps() - 1, in the order in which they began.
 *
 * @return milliseconds; -1 for NULL and beyond the last one.
 */
int64_t lime_clock_slept_ms(const struct lime_clock *clock, size_t index);

/**
 * Blocks until so many waits have begun since the clock was made.
 *
 * @param clock  the clock.
 * @param count  how many waits.
 * @param timeout_ms  how long to block at most, in milliseconds of real time.
 *
 * @return LIME_OK; LIME_ERROR_TIMEOUT; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT
 *   (clock NULL).
 */
int32_t lime_clock_wait_for_sleeps(const struct lime_clock *clock,
                                   size_t count,
                                   uint64_t timeout_ms);

/**
 * Frees the caller's hold on a clock; what it was set in keeps it. NULL is allowed.
 *
 * @param clock  the clock, or NULL.
 */
void lime_clock_free(struct lime_clock *clock);

/**
 * A new set of options, with the defaults.
 *
 * @return the options, to be freed with lime_site_options_free(); never NULL.
 */
struct lime_site_options *lime_site_options_new(void);

/**
 * Sets the site's secret, `st_...`. Without it the environment variable LIME_SITE_TOKEN counts.
 *
 * @param options  the options.
 * @param site_token  copied; NULL or "" goes back to the environment variable.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_site_options_set_site_token(struct lime_site_options *options, const char *site_token);

/**
 * Sets the API root, with `/api/v1`. Without it the environment variable LIME_API_BASE counts, then
 * `https://lime.pics/api/v1`.
 *
 * @param options  the options.
 * @param base_url  copied; NULL or "" goes back to the environment variable. It is checked when the client is
 *   made.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_site_options_set_base_url(struct lime_site_options *options, const char *base_url);

/**
 * Bounds one attempt of a request, from connecting to the last byte. Default: 30,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_site_options_set_timeout_ms(struct lime_site_options *options, uint64_t timeout_ms);

/**
 * Sets how many further attempts follow a failed one. Default: 3.
 *
 * @param options  the options.
 * @param max_retries  a number of attempts; 0 for none.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_max_retries(struct lime_site_options *options, uint32_t max_retries);

/**
 * Sets the first wait before the event stream reconnects; it doubles up to 8 s. Default: 500 ms.
 *
 * @param options  the options.
 * @param backoff_ms  milliseconds.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_sse_backoff_base_ms(struct lime_site_options *options, uint64_t backoff_ms);

/**
 * Sets how many events may wait for the handlers before the stream is not read any further; nothing is
 * dropped, the platform is held back. Default: 1024; 0 counts as 1.
 *
 * @param options  the options.
 * @param limit  a number of events.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_event_queue_limit(struct lime_site_options *options, size_t limit);

/**
 * Sets how long the platform's signing keys are used before they are fetched again; a day at most.
 * Without it the environment variable LIME_JWKS_CACHE_TTL_SECONDS counts, then 300 s.
 *
 * @param options  the options.
 * @param ttl_ms  milliseconds.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_jwks_cache_ttl_ms(struct lime_site_options *options, uint64_t ttl_ms);

/**
 * Sets whether a passport without an `iss` claim is refused (one with it is always checked). Default: 0.
 *
 * @param options  the options.
 * @param required  0 or 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_site_options_set_require_issuer(struct lime_site_options *options, int32_t required);

/**
 * Sets which key documents of the platform are taken. Default: LIME_JWKS_FORM_AUTO, both forms.
 *
 * @param options  the options.
 * @param jwks_form  a LIME_JWKS_FORM_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_site_options_set_jwks_form(struct lime_site_options *options, int32_t jwks_form);

/**
 * Sets everything that differs between the platform's times at once: whether an issuer is required, which failed
 * POSTs are sent again, which key documents are taken. What is set after it changes it again. Default:
 * LIME_PLATFORM_AUTO, which works with all of them.
 *
 * @param options  the options.
 * @param platform  a LIME_PLATFORM_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_site_options_set_platform(struct lime_site_options *options,
                                       int32_t platform);

/**
 * Sets which failed POSTs are sent again. Default: LIME_POST_RETRY_AUTO.
 *
 * @param options  the options.
 * @param post_retry  a LIME_POST_RETRY_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_site_options_set_post_retry(struct lime_site_options *options, int32_t post_retry);

/**
 * Adds a public key that the platform's server may have. Once there is one, a server with another key is
 * refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
 * LIME_TLS_PINS counts (several with commas between), and without that every key will do.
 *
 * @param options  the options.
 * @param pin  SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in
 *   front; copied, and checked when the client is made, which fails if there is a transport or if `base_url`
 *   is not `https://`.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
 */
int32_t lime_site_options_add_tls_pin(struct lime_site_options *options,
                                      const char *pin);

/**
 * Sets where log records go. Default: nowhere; the library never writes to stdout or stderr.
 *
 * @param options  the options.
 * @param level  the least level that is of interest, a LIME_LOG_ constant.
 * @param callback  see lime_log_callback.
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once when these options and every client made with them are gone,
 *   when another callback is set, or before this function returns an error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
 */
int32_t lime_site_options_set_log_callback(struct lime_site_options *options,
                                           int32_t level,
                                           lime_log_callback callback,
                                           void *user_data,
                                           lime_drop_user_data drop_user_data);

/**
 * Sets the host's own HTTP client; every byte of the clients made with these options goes through it.
 *
 * @param options  the options.
 * @param transport  kept; NULL goes back to the library's own client.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_transport(struct lime_site_options *options,
                                        const struct lime_transport *transport);

/**
 * Sets where time and chance come from, for tests.
 *
 * @param options  the options.
 * @param clock  kept; NULL goes back to the machine's clock.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_site_options_set_clock(struct lime_site_options *options, const struct lime_clock *clock);

/**
 * Frees options. NULL is allowed. Clients that were made with them live on.
 *
 * @param options  the options, or NULL.
 */
void lime_site_options_free(struct lime_site_options *options);

/**
 * Makes a client for the site that the token belongs to. Starts no thread and sends nothing.
 *
 * @param options  copied; NULL for the defaults and the environment.
 * @param[out] site  gets the client, to be freed with lime_site_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_AUTHENTICATION when there is no token; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_new(const struct lime_site_options *options,
                      struct lime_site **site,
                      struct lime_error **error);

/**
 * Creates a login request, to be handed to the agent by its request id. Blocks.
 *
 * @param site  the client.
 * @param[out] request  gets the result, to be freed with lime_login_request_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_AUTHENTICATION when the platform refuses the token; LIME_ERROR_RATE_LIMIT;
 *   another error of the platform or the network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback;
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_create_login_request(const struct lime_site *site,
                                       struct lime_login_request **request,
                                       struct lime_error **error);

/**
 * The started form of lime_site_create_login_request(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_site_create_login_request_start(const struct lime_site *site,
                                             lime_login_request_callback callback,
                                             void *user_data,
                                             lime_drop_user_data drop_user_data,
                                             uint64_t *operation,
                                             struct lime_error **error);

/**
 * Reads where a login request of this site stands. Blocks.
 *
 * @param site  the client.
 * @param request_id  the login request.
 * @param[out] found  gets the result, to be freed with lime_login_request_status_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_API when the platform does not know it or it is no request id; other errors as
 *   lime_site_create_login_request().
 */
int32_t lime_site_read_login_request(const struct lime_site *site,
                                     const char *request_id,
                                     struct lime_login_request_status **found,
                                     struct lime_error **error);

/**
 * The started form of lime_site_read_login_request(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param request_id  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_site_read_login_request_start(const struct lime_site *site,
                                           const char *request_id,
                                           lime_login_request_status_callback callback,
                                           void *user_data,
                                           lime_drop_user_data drop_user_data,
                                           uint64_t *operation,
                                           struct lime_error **error);

/**
 * Waits until a login request ends, and starts the event stream if it is not running. An event that
 * came before the wait began (two minutes at most) counts. Blocks.
 *
 * @param site  the client.
 * @param request_id  the login request.
 * @param timeout_ms  the longest wait, in milliseconds.
 * @param[out] event  gets the result, to be freed with lime_login_event_free(); its passport is NULL when
 *   nobody signed in before the request expired.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_TIMEOUT when nothing happened in time; LIME_ERROR_AUTHENTICATION at once when
 *   the platform refuses the token; LIME_ERROR_API at once for a text that is no request id;
 *   LIME_ERROR_OUTCOME_UNKNOWN (code LOGIN_EVENT_LOST) when the request has ended and the event that told how
 *   is lost, with its passport; LIME_ERROR_CLOSED when the client is closed meanwhile;
 *   LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_wait_for_login(const struct lime_site *site,
                                 const char *request_id,
                                 uint64_t timeout_ms,
                                 struct lime_login_event **event,
                                 struct lime_error **error);

/**
 * The started form of lime_site_wait_for_login(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param request_id  copied.
 * @param timeout_ms  the longest wait, in milliseconds.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_site_wait_for_login_start(const struct lime_site *site,
                                       const char *request_id,
                                       uint64_t timeout_ms,
                                       lime_login_event_callback callback,
                                       void *user_data,
                                       lime_drop_user_data drop_user_data,
                                       uint64_t *operation,
                                       struct lime_error **error);

/**
 * Verifies a passport, fetching the platform's keys if they are not at hand. Blocks only for that.
 *
 * @param site  the client.
 * @param jwt  the passport.
 * @param expected_request_id  the login request that it must be for, or NULL for any (dangerous: another
 *   site's or another person's login would do).
 * @param require_issuer  1 to refuse a passport without `iss`, else 0 (the site's option still counts).
 * @param[out] passport  gets the result, to be freed with lime_passport_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; an error of the platform or the
 *   network when the keys cannot be had; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback (start it
 *   there); LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_verify_passport(const struct lime_site *site,
                                  const char *jwt,
                                  const char *expected_request_id,
                                  int32_t require_issuer,
                                  struct lime_passport **passport,
                                  struct lime_error **error);

/**
 * Verifies a passport with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
 *
 * @param site  the client.
 * @param jwt,expected_request_id,require_issuer  as lime_site_verify_passport().
 * @param[out] passport  gets the result, to be freed with lime_passport_free(); NULL when the platform's keys
 *   are not at hand, which lime_site_verify_passport_start() fetches.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_PASSPORT;
 *   LIME_ERROR_PASSPORT_EXPIRED; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_verify_passport_cached(const struct lime_site *site,
                                         const char *jwt,
                                         const char *expected_request_id,
                                         int32_t require_issuer,
                                         struct lime_passport **passport,
                                         struct lime_error **error);

/**
 * The started form of lime_site_verify_passport(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param jwt  copied.
 * @param expected_request_id  copied; NULL for any.
 * @param require_issuer  0 or 1.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called. A passport that cannot be right
 *   whatever the keys are is refused at once.
 */
int32_t lime_site_verify_passport_start(const struct lime_site *site,
                                        const char *jwt,
                                        const char *expected_request_id,
                                        int32_t require_issuer,
                                        lime_passport_callback callback,
                                        void *user_data,
                                        lime_drop_user_data drop_user_data,
                                        uint64_t *operation,
                                        struct lime_error **error);

/**
 * Registers a handler for the end of every login request of this site, and starts the event stream.
 * Handlers run one at a time, in the order of registration, and stay registered for the life of the
 * client.
 *
 * @param site  the client.
 * @param handler  see lime_login_handler.
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once after the last call has returned: when the site was freed
 *   (while lime_site_free() runs or soon after, on any thread), or before this function returns an error.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_on_login(const struct lime_site *site,
                           lime_login_handler handler,
                           void *user_data,
                           lime_drop_user_data drop_user_data,
                           struct lime_error **error);

/**
 * Like lime_site_on_login(), for a host that handles events on a thread of its own: as long as an event is not
 * freed it has its place in the queue (lime_site_options_set_event_queue_limit()), so a host that does not keep up
 * holds the platform back instead of filling its memory, and nothing is dropped.
 *
 * @param site  the client.
 * @param handler  see lime_login_event_handler.
 * @param user_data,drop_user_data  as lime_site_on_login().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_on_login_event(const struct lime_site *site,
                                 lime_login_event_handler handler,
                                 void *user_data,
                                 lime_drop_user_data drop_user_data,
                                 struct lime_error **error);

/**
 * Registers a handler for where the event stream stands: it is first called with the state as it is,
 * then whenever it has changed. Closing the client is not reported. It stays registered for the life of
 * the client.
 *
 * @param site  the client.
 * @param handler  see lime_state_handler.
 * @param user_data,drop_user_data  as lime_site_on_login().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_on_state(const struct lime_site *site,
                           lime_state_handler handler,
                           void *user_data,
                           lime_drop_user_data drop_user_data,
                           struct lime_error **error);

/**
 * Registers a handler for login requests whose events are lost: the platform says that they have ended, and
 * neither the stream nor the platform tells how; a passport that there was is lost. Each login request is named
 * once. Should such an event come all the same, it is handed on. The handler does not start the event stream, and
 * stays registered for the life of the client.
 *
 * @param site  the client.
 * @param handler  see lime_gap_handler.
 * @param user_data,drop_user_data  as lime_site_on_login().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_on_gap(const struct lime_site *site,
                         lime_gap_handler handler,
                         void *user_data,
                         lime_drop_user_data drop_user_data,
                         struct lime_error **error);

/**
 * Starts the event stream; does nothing when it is running. In a forked child it has to be started anew.
 *
 * @param site  the client.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_start_events(const struct lime_site *site, struct lime_error **error);

/**
 * Where the event stream stands.
 *
 * @param site  the client, or NULL.
 *
 * @return a LIME_STREAM_ constant (a later version may know more of them); -1 for NULL.
 */
int32_t lime_site_state(const struct lime_site *site);

/**
 * What ended the event stream's last connection or attempt.
 *
 * @param site  the client, or NULL.
 *
 * @return an error of the caller's own, to be freed with lime_error_free(), or NULL.
 */
struct lime_error *lime_site_last_error(const struct lime_site *site);

/**
 * How many connections of the event stream came about so far.
 *
 * @param site  the client, or NULL.
 *
 * @return a number of connections; 0 for NULL.
 */
uint64_t lime_site_connections(const struct lime_site *site);

/**
 * How many events the event stream brought so far.
 *
 * @param site  the client, or NULL.
 *
 * @return a number of events; 0 for NULL.
 */
uint64_t lime_site_events(const struct lime_site *site);

/**
 * How many frames of the event stream were not what the protocol allows, and were skipped.
 *
 * @param site  the client, or NULL.
 *
 * @return a number of frames; 0 for NULL.
 */
uint64_t lime_site_malformed_frames(const struct lime_site *site);

/**
 * Ends the event stream and refuses further calls with LIME_ERROR_CLOSED; calls that are under way go
 * on, and waits for a login end. No handler begins after it, but one may be running. Does not wait; may
 * be called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
 *
 * @param site  the client, or NULL.
 */
void lime_site_close(const struct lime_site *site);

/**
 * Closes the client, waits until none of its handlers is running, and frees it. In a callback it does
 * not wait: the handler that calls it is the last one. Started calls still complete. NULL is allowed.
 * No other thread may use the client during or after this call.
 *
 * @param site  the client, or NULL.
 */
void lime_site_free(struct lime_site *site);

/**
 * The login request's id, to be handed to the agent.
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_login_request_request_id(const struct lime_login_request *request);

/**
 * The login request's status, "PENDING".
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_login_request_status_text(const struct lime_login_request *request);

/**
 * When the login request expires.
 *
 * @param request  the request, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
 */
int64_t lime_login_request_expires_at_unix_micros(const struct lime_login_request *request);

/**
 * The offset that the expiry was written with.
 *
 * @param request  the request, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when it was written without one.
 */
int32_t lime_login_request_expires_at_offset_seconds(const struct lime_login_request *request);

/**
 * Frees a login request. NULL is allowed.
 *
 * @param request  the request, or NULL.
 */
void lime_login_request_free(struct lime_login_request *request);

/**
 * The login request's id.
 *
 * @param found  the login request's status, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_login_request_status_request_id(const struct lime_login_request_status *found);

/**
 * The status: "PENDING", "APPROVED", "DELIVERED" or "EXPIRED".
 *
 * @param found  the login request's status, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_login_request_status_status_text(const struct lime_login_request_status *found);

/**
 * When the login request expires, where the platform says so.
 *
 * @param found  the login request's status, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not say.
 */
int64_t lime_login_request_status_expires_at_unix_micros(const struct lime_login_request_status *found);

/**
 * The offset that the expiry was written with.
 *
 * @param found  the login request's status, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when there is none.
 */
int32_t lime_login_request_status_expires_at_offset_seconds(const struct lime_login_request_status *found);

/**
 * Frees a login request's status. NULL is allowed.
 *
 * @param found  the login request's status, or NULL.
 */
void lime_login_request_status_free(struct lime_login_request_status *found);

/**
 * The login request that ended.
 *
 * @param event  the event, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_login_event_request_id(const struct lime_login_event *event);

/**
 * The agent's passport, not verified yet: pass it to lime_site_verify_passport().
 *
 * @param event  the event, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when nobody signed in in time.
 */
const char *lime_login_event_passport(const struct lime_login_event *event);

/**
 * Frees a login event. NULL is allowed.
 *
 * @param event  the event, or NULL.
 */
void lime_login_event_free(struct lime_login_event *event);

/**
 * Verifies a passport with keys that are at hand, without any client and at any time.
 *
 * @param jwt  the passport.
 * @param jwks_json,jwks_length  the platform's key document, bare or in an envelope.
 * @param api_root  where the passport must come from, such as "https://lime.pics/api/v1".
 * @param expected_request_id  the login request that it must be for, or NULL for any.
 * @param require_issuer  1 to refuse a passport without `iss`, else 0.
 * @param now_unix_seconds  the time that counts as now.
 * @param[out] passport  gets the result, to be freed with lime_passport_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_passport_verify(const char *jwt,
                             const void *jwks_json,
                             size_t jwks_length,
                             const char *api_root,
                             const char *expected_request_id,
                             int32_t require_issuer,
                             double now_unix_seconds,
                             struct lime_passport **passport,
                             struct lime_error **error);

/**
 * All claims as a JSON object; `sub` is called `agent_id`.
 *
 * @param passport  the passport, or NULL.
 *
 * @return text that is valid until the passport is freed; NULL for NULL.
 */
const char *lime_passport_claims_json(const struct lime_passport *passport);

/**
 * One claim that is a text, such as "agent_id", "owner_id" or "request_id".
 *
 * @param passport  the passport, or NULL.
 * @param name  the claim's name.
 *
 * @return text that is valid until the passport is freed; NULL when there is no such claim or it is no text.
 */
const char *lime_passport_text_claim(const struct lime_passport *passport, const char *name);

/**
 * The LIME user who owns the agent: the claim "user_id" of today's passports, "owner_id" of earlier ones.
 *
 * @param passport  the passport, or NULL.
 *
 * @return text that is valid until the passport is freed; NULL when it is not told.
 */
const char *lime_passport_owner_id(const struct lime_passport *passport);

/**
 * Frees a passport. NULL is allowed.
 *
 * @param passport  the passport, or NULL.
 */
void lime_passport_free(struct lime_passport *passport);

/**
 * Asks for a binding: a person is to connect one of their agents with their account at this site. Keep the
 * binding's id beside the person's session, then send their browser to its connect URL. They come back to
 * `redirect_uri` with `?binding_code=` in its query. Blocks.
 *
 * @param site  the client.
 * @param redirect_uri  an absolute https URL of the site.
 * @param[out] request  gets the result, to be freed with lime_binding_request_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_API with the code "VALIDATION_ERROR" when the platform does not take the
 *   `redirect_uri`; other errors as lime_site_create_login_request().
 */
int32_t lime_site_create_binding_request(const struct lime_site *site,
                                         const char *redirect_uri,
                                         struct lime_binding_request **request,
                                         struct lime_error **error);

/**
 * The started form of lime_site_create_binding_request(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param redirect_uri  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_site_create_binding_request_start(const struct lime_site *site,
                                               const char *redirect_uri,
                                               lime_binding_request_callback callback,
                                               void *user_data,
                                               lime_drop_user_data drop_user_data,
                                               uint64_t *operation,
                                               struct lime_error **error);

/**
 * Exchanges the code that a person came back with for the binding passport, which is not verified yet: give it
 * to lime_site_verify_binding_passport(). A code can be exchanged once. Blocks.
 *
 * @param site  the client.
 * @param binding_code  the value of `binding_code` in the query that the person came back with.
 * @param[out] exchange  gets the result, to be freed with lime_binding_exchange_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_API for a code that is unknown, used or expired; LIME_ERROR_OUTCOME_UNKNOWN
 *   when the code was sent and the answer got lost: it may be used up, so let the person start again; other
 *   errors as lime_site_create_login_request().
 */
int32_t lime_site_exchange_binding_code(const struct lime_site *site,
                                        const char *binding_code,
                                        struct lime_binding_exchange **exchange,
                                        struct lime_error **error);

/**
 * The started form of lime_site_exchange_binding_code(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param binding_code  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_site_exchange_binding_code_start(const struct lime_site *site,
                                              const char *binding_code,
                                              lime_binding_exchange_callback callback,
                                              void *user_data,
                                              lime_drop_user_data drop_user_data,
                                              uint64_t *operation,
                                              struct lime_error **error);

/**
 * Verifies a binding passport, fetching the platform's keys if they are not at hand. Blocks only for that. Its
 * claims "binding_id" and "agent_id" say which agent is the person's.
 *
 * @param site  the client.
 * @param jwt  the passport.
 * @param expected_binding_id  the binding that it must be for, which was kept beside the session of the
 *   person who came back; or NULL for any (dangerous unless the caller compares: a person could be sent back
 *   with a stranger's code).
 * @param require_issuer  1 to refuse a passport without `iss`, else 0 (the site's option still counts).
 * @param[out] passport  gets the result, to be freed with lime_passport_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; an error of the platform or the
 *   network when the keys cannot be had; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback (start it
 *   there); LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_verify_binding_passport(const struct lime_site *site,
                                          const char *jwt,
                                          const char *expected_binding_id,
                                          int32_t require_issuer,
                                          struct lime_passport **passport,
                                          struct lime_error **error);

/**
 * Verifies a binding passport with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
 *
 * @param site  the client.
 * @param jwt,expected_binding_id,require_issuer  as lime_site_verify_binding_passport().
 * @param[out] passport  gets the result, to be freed with lime_passport_free(); NULL when the platform's keys
 *   are not at hand, which lime_site_verify_binding_passport_start() fetches.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_PASSPORT;
 *   LIME_ERROR_PASSPORT_EXPIRED; LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_site_verify_binding_passport_cached(const struct lime_site *site,
                                                 const char *jwt,
                                                 const char *expected_binding_id,
                                                 int32_t require_issuer,
                                                 struct lime_passport **passport,
                                                 struct lime_error **error);

/**
 * The started form of lime_site_verify_binding_passport(); see "Started calls" in the manual above.
 *
 * @param site  the client.
 * @param jwt  copied.
 * @param expected_binding_id  copied; NULL for any.
 * @param require_issuer  0 or 1.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called. A passport that cannot be right
 *   whatever the keys are is refused at once.
 */
int32_t lime_site_verify_binding_passport_start(const struct lime_site *site,
                                                const char *jwt,
                                                const char *expected_binding_id,
                                                int32_t require_issuer,
                                                lime_passport_callback callback,
                                                void *user_data,
                                                lime_drop_user_data drop_user_data,
                                                uint64_t *operation,
                                                struct lime_error **error);

/**
 * Verifies a binding passport with keys that are at hand, without any client and at any time.
 *
 * @param jwt  the passport.
 * @param jwks_json,jwks_length  the platform's key document, bare or in an envelope.
 * @param api_root  where the passport must come from, such as "https://lime.pics/api/v1".
 * @param expected_binding_id  the binding that it must be for, or NULL for any.
 * @param require_issuer  1 to refuse a passport without `iss`, else 0.
 * @param now_unix_seconds  the time that counts as now.
 * @param[out] passport  gets the result, to be freed with lime_passport_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_passport_verify_binding(const char *jwt,
                                     const void *jwks_json,
                                     size_t jwks_length,
                                     const char *api_root,
                                     const char *expected_binding_id,
                                     int32_t require_issuer,
                                     double now_unix_seconds,
                                     struct lime_passport **passport,
                                     struct lime_error **error);

/**
 * The binding's id, to be kept beside the person's session before their browser is sent on.
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_binding_request_binding_id(const struct lime_binding_request *request);

/**
 * Where the person's browser is to be sent, as it is.
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_binding_request_connect_url(const struct lime_binding_request *request);

/**
 * The binding's status, "PENDING".
 *
 * @param request  the request, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_binding_request_status_text(const struct lime_binding_request *request);

/**
 * When the binding expires, unless the person has picked an agent.
 *
 * @param request  the request, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
 */
int64_t lime_binding_request_expires_at_unix_micros(const struct lime_binding_request *request);

/**
 * The offset that the expiry was written with.
 *
 * @param request  the request, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when it was written without one.
 */
int32_t lime_binding_request_expires_at_offset_seconds(const struct lime_binding_request *request);

/**
 * Frees a binding request. NULL is allowed.
 *
 * @param request  the request, or NULL.
 */
void lime_binding_request_free(struct lime_binding_request *request);

/**
 * The binding passport, not verified yet: pass it to lime_site_verify_binding_passport().
 *
 * @param exchange  the exchange, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_binding_exchange_passport(const struct lime_binding_exchange *exchange);

/**
 * Frees what a code was exchanged for. NULL is allowed.
 *
 * @param exchange  the exchange, or NULL.
 */
void lime_binding_exchange_free(struct lime_binding_exchange *exchange);

/**
 * A new set of options, with the defaults.
 *
 * @return the options, to be freed with lime_agent_options_free(); never NULL.
 */
struct lime_agent_options *lime_agent_options_new(void);

/**
 * Sets the agent's secret, `at_...`. Without it the environment variable LIME_AGENT_TOKEN counts.
 *
 * @param options  the options.
 * @param agent_token  copied; NULL or "" goes back to the environment variable.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_agent_options_set_agent_token(struct lime_agent_options *options, const char *agent_token);

/**
 * Sets the API root, with `/api/v1`. Without it the environment variable LIME_API_BASE counts, then
 * `https://lime.pics/api/v1`.
 *
 * @param options  the options.
 * @param base_url  copied; NULL or "" goes back to the environment variable. It is checked when the client is
 *   made.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_agent_options_set_base_url(struct lime_agent_options *options, const char *base_url);

/**
 * Bounds one attempt of a request, from connecting to the last byte. Default: 30,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_agent_options_set_timeout_ms(struct lime_agent_options *options, uint64_t timeout_ms);

/**
 * Sets how many further attempts follow a failed one. Default: 3.
 *
 * @param options  the options.
 * @param max_retries  a number of attempts; 0 for none.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_max_retries(struct lime_agent_options *options, uint32_t max_retries);

/**
 * Sets the wall-clock budget of one proof of work. Default: 10,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_pow_timeout_ms(struct lime_agent_options *options, uint64_t timeout_ms);

/**
 * Sets which digest the proof of work uses: LIME_POW_DIGEST_AUTO (default), LIME_POW_DIGEST_SEED or
 * LIME_POW_DIGEST_TODAY.
 *
 * @param options  the options.
 * @param digest  a LIME_POW_DIGEST_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_agent_options_set_pow_digest(struct lime_agent_options *options, int32_t digest);

/**
 * Sets how many threads one proof of work uses. Default: 1; 0 counts as 1, and 256 is the most.
 *
 * @param options  the options.
 * @param threads  a number of threads.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_pow_threads(struct lime_agent_options *options, size_t threads);

/**
 * Sets everything that differs between the platform's times at once: which digest the proof of work uses, which
 * failed POSTs are sent again. What is set after it changes it again. Default: LIME_PLATFORM_AUTO, which works
 * with all of them.
 *
 * @param options  the options.
 * @param platform  a LIME_PLATFORM_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_agent_options_set_platform(struct lime_agent_options *options,
                                        int32_t platform);

/**
 * Sets which failed POSTs are sent again. Default: LIME_POST_RETRY_AUTO.
 *
 * @param options  the options.
 * @param post_retry  a LIME_POST_RETRY_ constant.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_agent_options_set_post_retry(struct lime_agent_options *options, int32_t post_retry);

/**
 * Sets how long before its end a token for MCP servers counts as expired. Default: 30,000 ms.
 *
 * @param options  the options.
 * @param skew_ms  milliseconds.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_mcp_token_refresh_skew_ms(struct lime_agent_options *options,
                                                         uint64_t skew_ms);

/**
 * Bounds the time to an MCP server's answer, and between two pieces of it. Default: 300,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_agent_options_set_mcp_read_timeout_ms(struct lime_agent_options *options, uint64_t timeout_ms);

/**
 * Sets whether each MCP server is called for one thing after the other. Default: 1.
 *
 * @param options  the options.
 * @param serialized  1 or 0.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
 */
int32_t lime_agent_options_set_serialize_mcp_per_url(struct lime_agent_options *options, int32_t serialized);

/**
 * Adds the address of an MCP server, in place of the name system: for tests, and for networks with names of their own.
 * The name stays the one that tokens are for and that certificates are checked against. Without any, the environment
 * variable LIME_MCP_ADDRESSES counts ("tools.example.com=127.0.0.1,other.example.com=::1").
 *
 * @param options  the options.
 * @param hostname  copied; it is checked when the client is made.
 * @param address  an IP address, copied.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (something NULL or not UTF-8, no IP address).
 */
int32_t lime_agent_options_add_mcp_address(struct lime_agent_options *options,
                                           const char *hostname,
                                           const char *address);

/**
 * Adds a public key that the platform's server may have. Once there is one, a server with another key is
 * refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
 * LIME_TLS_PINS counts (several with commas between), and without that every key will do. MCP servers
 * are not the platform's.
 *
 * @param options  the options.
 * @param pin  SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in
 *   front; copied, and checked when the client is made, which fails if there is a transport or if `base_url`
 *   is not `https://`.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
 */
int32_t lime_agent_options_add_tls_pin(struct lime_agent_options *options,
                                       const char *pin);

/**
 * Sets where log records go. Default: nowhere; the library never writes to stdout or stderr.
 *
 * @param options  the options.
 * @param level  the least level that is of interest, a LIME_LOG_ constant.
 * @param callback  see lime_log_callback.
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once when these options and every client made with them are gone,
 *   when another callback is set, or before this function returns an error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
 */
int32_t lime_agent_options_set_log_callback(struct lime_agent_options *options,
                                            int32_t level,
                                            lime_log_callback callback,
                                            void *user_data,
                                            lime_drop_user_data drop_user_data);

/**
 * Sets the host's own HTTP client; every byte of the clients made with these options goes through it.
 *
 * @param options  the options.
 * @param transport  kept; NULL goes back to the library's own client.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_transport(struct lime_agent_options *options,
                                         const struct lime_transport *transport);

/**
 * Sets where time and chance come from, for tests.
 *
 * @param options  the options.
 * @param clock  kept; NULL goes back to the machine's clock.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_agent_options_set_clock(struct lime_agent_options *options, const struct lime_clock *clock);

/**
 * Frees options. NULL is allowed. Clients that were made with them live on.
 *
 * @param options  the options, or NULL.
 */
void lime_agent_options_free(struct lime_agent_options *options);

/**
 * What the login is busy with.
 *
 * @param progress  the progress, or NULL.
 *
 * @return a LIME_LOGIN_STAGE_ constant (a later version may know more of them); -1 for NULL.
 */
int32_t lime_login_progress_stage(const struct lime_login_progress *progress);

/**
 * How many nonces the search has taken up so far; it begins at 0 again when a second digest is tried.
 *
 * @param progress  the progress, or NULL.
 *
 * @return the number; 0 for NULL.
 */
uint64_t lime_login_progress_hashes(const struct lime_login_progress *progress);

/**
 * How many leading zero bits are asked for: about 2 to this power hashes find a nonce.
 *
 * @param progress  the progress, or NULL.
 *
 * @return the number of bits; -1 as long as the challenge is not there, and for NULL.
 */
int64_t lime_login_progress_difficulty(const struct lime_login_progress *progress);

/**
 * How long ago the progress was made.
 *
 * @param progress  the progress, or NULL.
 *
 * @return milliseconds; 0 for NULL.
 */
uint64_t lime_login_progress_elapsed_ms(const struct lime_login_progress *progress);

/**
 * What the search has left of its budget; the whole budget before it has begun.
 *
 * @param progress  the progress, or NULL.
 *
 * @return milliseconds; 0 for NULL.
 */
uint64_t lime_login_progress_left_ms(const struct lime_login_progress *progress);

/**
 * Frees a progress; a login that it was given to goes on. NULL is allowed.
 *
 * @param progress  the progress, or NULL.
 */
void lime_login_progress_free(struct lime_login_progress *progress);

/**
 * Makes a client for the agent that the token belongs to. Starts no thread and sends nothing.
 *
 * @param options  copied; NULL for the defaults and the environment.
 * @param[out] agent  gets the client, to be freed with lime_agent_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_AUTHENTICATION when there is no token; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_agent_new(const struct lime_agent_options *options,
                       struct lime_agent **agent,
                       struct lime_error **error);

/**
 * Confirms a site's login request: fetches its challenge, solves it, sends the approval. Blocks.
 *
 * @param agent  the client.
 * @param request_id  the login request.
 * @param[out] result  gets the result, to be freed with lime_approval_result_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_API when the platform does not know the request (any more) or it is no request
 *   id; LIME_ERROR_POW_TIMEOUT when the challenge is not solved in time; LIME_ERROR_POW_DIFFICULTY;
 *   LIME_ERROR_OUTCOME_UNKNOWN when an approval was sent and its answer got lost (the site may have let the
 *   agent in); LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of the platform or the
 *   network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_agent_login(const struct lime_agent *agent,
                         const char *request_id,
                         struct lime_approval_result **result,
                         struct lime_error **error);

/**
 * The started form of lime_agent_login(); see "Started calls" in the manual above. Cancelling ends the
 * search for the proof of work at once.
 *
 * @param agent  the client.
 * @param request_id  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_login_start(const struct lime_agent *agent,
                               const char *request_id,
                               lime_approval_result_callback callback,
                               void *user_data,
                               lime_drop_user_data drop_user_data,
                               uint64_t *operation,
                               struct lime_error **error);

/**
 * A progress for one login of this agent: lime_agent_login_with_progress(). Its clock runs from here on.
 *
 * @param agent  the client.
 * @param[out] progress  gets it, to be freed with lime_login_progress_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (something NULL).
 */
int32_t lime_agent_progress(const struct lime_agent *agent,
                            struct lime_login_progress **progress,
                            struct lime_error **error);

/**
 * Like lime_agent_login(), and any thread can see in `progress` how far it has come. It costs the login nothing,
 * however often it is looked at. Blocks.
 *
 * @param agent  the client.
 * @param request_id  the login request.
 * @param progress  of this agent and this login; it may be freed at any time.
 * @param[out] result  gets the result, to be freed with lime_approval_result_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; what lime_agent_login() returns.
 */
int32_t lime_agent_login_with_progress(const struct lime_agent *agent,
                                       const char *request_id,
                                       const struct lime_login_progress *progress,
                                       struct lime_approval_result **result,
                                       struct lime_error **error);

/**
 * The started form of lime_agent_login_with_progress(); see "Started calls" in the manual above.
 *
 * @param agent  the client.
 * @param request_id  copied.
 * @param progress  of this agent and this login; it may be freed at any time.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_login_with_progress_start(const struct lime_agent *agent,
                                             const char *request_id,
                                             const struct lime_login_progress *progress,
                                             lime_approval_result_callback callback,
                                             void *user_data,
                                             lime_drop_user_data drop_user_data,
                                             uint64_t *operation,
                                             struct lime_error **error);

/**
 * Reads the agent's own profile. Blocks.
 *
 * @param agent  the client.
 * @param[out] profile  gets the result, to be freed with lime_agent_profile_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_AUTHENTICATION when the platform refuses the token; another error of the
 *   platform or the network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback;
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_agent_get_profile(const struct lime_agent *agent,
                               struct lime_agent_profile **profile,
                               struct lime_error **error);

/**
 * The started form of lime_agent_get_profile(); see "Started calls" in the manual above.
 *
 * @param agent  the client.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_get_profile_start(const struct lime_agent *agent,
                                     lime_agent_profile_callback callback,
                                     void *user_data,
                                     lime_drop_user_data drop_user_data,
                                     uint64_t *operation,
                                     struct lime_error **error);

/**
 * Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on. Does not wait; may be
 * called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
 *
 * @param agent  the client, or NULL.
 */
void lime_agent_close(const struct lime_agent *agent);

/**
 * Closes and frees the client. Started calls still complete. May be called in a callback. NULL is
 * allowed. No other thread may use the client during or after this call.
 *
 * @param agent  the client, or NULL.
 */
void lime_agent_free(struct lime_agent *agent);

/**
 * The login request that was confirmed.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_approval_result_request_id(const struct lime_approval_result *result);

/**
 * The site that created it.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_approval_result_site_id(const struct lime_approval_result *result);

/**
 * The status: "APPROVED" or "DELIVERED".
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_approval_result_status_text(const struct lime_approval_result *result);

/**
 * The agent that approved it.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the platform does not tell.
 */
const char *lime_approval_result_approved_agent_id(const struct lime_approval_result *result);

/**
 * When the login request expires.
 *
 * @param result  the result, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
 */
int64_t lime_approval_result_expires_at_unix_micros(const struct lime_approval_result *result);

/**
 * The offset that the expiry was written with.
 *
 * @param result  the result, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when it was written without one.
 */
int32_t lime_approval_result_expires_at_offset_seconds(const struct lime_approval_result *result);

/**
 * Frees an approval's result. NULL is allowed.
 *
 * @param result  the result, or NULL.
 */
void lime_approval_result_free(struct lime_approval_result *result);

/**
 * The agent.
 *
 * @param profile  the profile, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_agent_profile_agent_id(const struct lime_agent_profile *profile);

/**
 * The LIME user who owns it.
 *
 * @param profile  the profile, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_agent_profile_owner_id(const struct lime_agent_profile *profile);

/**
 * Its public name.
 *
 * @param profile  the profile, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the platform does not tell.
 */
const char *lime_agent_profile_display_name(const struct lime_agent_profile *profile);

/**
 * The address of its picture.
 *
 * @param profile  the profile, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the platform does not tell.
 */
const char *lime_agent_profile_avatar_url(const struct lime_agent_profile *profile);

/**
 * Its public description.
 *
 * @param profile  the profile, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the platform does not tell.
 */
const char *lime_agent_profile_description(const struct lime_agent_profile *profile);

/**
 * The owner's verification level.
 *
 * @param profile  the profile, or NULL.
 * @param[out] value  gets the number if the platform tells it.
 *
 * @return 1 if it does, else 0 (also for NULL).
 */
int32_t lime_agent_profile_owner_kyc_level(const struct lime_agent_profile *profile, int64_t *value);

/**
 * Its reputation score.
 *
 * @param profile  the profile, or NULL.
 * @param[out] value  gets the number if the platform tells it.
 *
 * @return 1 if it does, else 0 (also for NULL).
 */
int32_t lime_agent_profile_agent_reputation(const struct lime_agent_profile *profile, int64_t *value);

/**
 * Frees a profile. NULL is allowed.
 *
 * @param profile  the profile, or NULL.
 */
void lime_agent_profile_free(struct lime_agent_profile *profile);

/**
 * Gives a token for the MCP servers of a host name: the one that is held, as long as it lives. Tokens are kept for
 * each host name and fetched by one call at a time. Blocks.
 *
 * @param agent  the client.
 * @param target  a URL or a host name, see lime_extract_and_normalize_domain().
 * @param force_refresh  1 to fetch a new one, whatever is held; else 0.
 * @param[out] token  gets the token, to be freed with lime_mcp_access_token_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_OAUTH_CAPABILITY when the agent lacks the grant; LIME_ERROR_AUTHENTICATION when
 *   the platform refuses the agent's token; LIME_ERROR_RATE_LIMIT; another error of the platform or the
 *   network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT, also
 *   for a target that is no public DNS name.
 */
int32_t lime_agent_get_mcp_access_token(const struct lime_agent *agent,
                                        const char *target,
                                        int32_t force_refresh,
                                        struct lime_mcp_access_token **token,
                                        struct lime_error **error);

/**
 * The started form of lime_agent_get_mcp_access_token(); see "Started calls" in the manual above.
 *
 * @param agent  the client.
 * @param target  copied.
 * @param force_refresh  1 or 0.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_get_mcp_access_token_start(const struct lime_agent *agent,
                                              const char *target,
                                              int32_t force_refresh,
                                              lime_mcp_access_token_callback callback,
                                              void *user_data,
                                              lime_drop_user_data drop_user_data,
                                              uint64_t *operation,
                                              struct lime_error **error);

/**
 * The token itself, a JWT, to be sent as `Authorization: Bearer ...` to MCP servers of its host name and nowhere else.
 *
 * @param token  the token, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_mcp_access_token_access_token(const struct lime_mcp_access_token *token);

/**
 * What kind of token it is.
 *
 * @param token  the token, or NULL.
 *
 * @return "Bearer", static text; NULL for NULL.
 */
const char *lime_mcp_access_token_token_type(const struct lime_mcp_access_token *token);

/**
 * How long it lives from lime_mcp_access_token_issued_at_unix_micros() on.
 *
 * @param token  the token, or NULL.
 *
 * @return seconds; 0 for NULL.
 */
int64_t lime_mcp_access_token_expires_in_seconds(const struct lime_mcp_access_token *token);

/**
 * When it was fetched.
 *
 * @param token  the token, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
 */
int64_t lime_mcp_access_token_issued_at_unix_micros(const struct lime_mcp_access_token *token);

/**
 * Frees a token. NULL is allowed.
 *
 * @param token  the token, or NULL.
 */
void lime_mcp_access_token_free(struct lime_mcp_access_token *token);

/**
 * Calls an MCP server, by the method of the protocol:
 *
 * "tools/list", "tools/call" {"name", "arguments"} (or lime_agent_call_tool()), "resources/list",
 * "resources/templates/list", "resources/read" {"uri"}, "prompts/list", "prompts/get" {"name", "arguments"}, "ping",
 * "logging/setLevel" {"level"}, "notifications/progress" {"progressToken", "progress", "total"}, and whatever else a
 * server knows. Lists are of all pages. "initialize" sends nothing if there is a session; its result is what the server
 * said of its capabilities.
 *
 * The agent's token for the server is attached, and replaced once when the server refuses it; the session with the
 * server is kept for the next call. No redirect is followed, and nothing is sent twice that may act twice. Blocks.
 *
 * @param agent  the client.
 * @param target  the server's URL, or a host name, see lime_resolve_mcp_http_url().
 * @param method  the method.
 * @param params_json  its parameters as a JSON object; NULL for none.
 * @param[out] result  gets the result, to be freed with lime_mcp_result_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; what lime_agent_get_mcp_access_token() returns; LIME_ERROR_MCP_AUTHENTICATION when the
 *   server refuses a fresh token, too; LIME_ERROR_MCP when it reports an error; LIME_ERROR_OUTCOME_UNKNOWN
 *   when a tool was called and the answer got lost; LIME_ERROR_INVALID_ARGUMENT, also when `params_json` is
 *   no JSON object.
 */
int32_t lime_agent_mcp(const struct lime_agent *agent,
                       const char *target,
                       const char *method,
                       const char *params_json,
                       struct lime_mcp_result **result,
                       struct lime_error **error);

/**
 * The started form of lime_agent_mcp(); see "Started calls" in the manual above. When it is cancelled, the server is
 * told that nobody waits for the answer.
 *
 * @param agent  the client.
 * @param target,method  copied.
 * @param params_json  copied; NULL for none.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_mcp_start(const struct lime_agent *agent,
                             const char *target,
                             const char *method,
                             const char *params_json,
                             lime_mcp_result_callback callback,
                             void *user_data,
                             lime_drop_user_data drop_user_data,
                             uint64_t *operation,
                             struct lime_error **error);

/**
 * Calls a tool of an MCP server. Blocks.
 *
 * @param agent  the client.
 * @param target  the server's URL, or a host name.
 * @param name  the tool.
 * @param arguments_json  its arguments as a JSON object; NULL for none.
 * @param[out] result  gets the result, to be freed with lime_mcp_result_free(); that the tool failed is a
 *   result, too: lime_mcp_result_is_error().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; what lime_agent_mcp() returns.
 */
int32_t lime_agent_call_tool(const struct lime_agent *agent,
                             const char *target,
                             const char *name,
                             const char *arguments_json,
                             struct lime_mcp_result **result,
                             struct lime_error **error);

/**
 * The started form of lime_agent_call_tool(); see "Started calls" in the manual above. When it is cancelled, the server
 * is told that nobody waits for the answer.
 *
 * @param agent  the client.
 * @param target,name  copied.
 * @param arguments_json  copied; NULL for none.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_agent_call_tool_start(const struct lime_agent *agent,
                                   const char *target,
                                   const char *name,
                                   const char *arguments_json,
                                   lime_mcp_result_callback callback,
                                   void *user_data,
                                   lime_drop_user_data drop_user_data,
                                   uint64_t *operation,
                                   struct lime_error **error);

/**
 * The whole result, a JSON object as the server wrote it: of "tools/call" {"content", "structuredContent", "isError"},
 * of "tools/list" {"tools"}, and so on.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_mcp_result_json(const struct lime_mcp_result *result);

/**
 * The texts in a tool's answer, with line feeds between them.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when there is none.
 */
const char *lime_mcp_result_text(const struct lime_mcp_result *result);

/**
 * The structured part of a tool's answer, as JSON.
 *
 * @param result  the result, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when there is none.
 */
const char *lime_mcp_result_structured_json(const struct lime_mcp_result *result);

/**
 * Whether a tool says of itself that it failed.
 *
 * @param result  the result, or NULL.
 *
 * @return 1 or 0.
 */
int32_t lime_mcp_result_is_error(const struct lime_mcp_result *result);

/**
 * Frees a result. NULL is allowed.
 *
 * @param result  the result, or NULL.
 */
void lime_mcp_result_free(struct lime_mcp_result *result);

/**
 * A new set of options, with the defaults.
 *
 * @return the options, to be freed with lime_sesame_options_free(); never NULL.
 */
struct lime_sesame_options *lime_sesame_options_new(void);

/**
 * Sets the API key, `sk_...`. Without it the environment variable SESAME_API_KEY counts.
 *
 * @param options  the options.
 * @param api_key  copied; NULL or "" goes back to the environment variable.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_sesame_options_set_api_key(struct lime_sesame_options *options, const char *api_key);

/**
 * Sets the address of the broker. Without it the environment variable SESAME_BROKER_URL counts, then
 * `https://getsesame.dev`.
 *
 * @param options  the options.
 * @param base_url  copied; NULL or "" goes back to the environment variable. It is checked when the client is
 *   made.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_sesame_options_set_base_url(struct lime_sesame_options *options, const char *base_url);

/**
 * Bounds one attempt of a request, from connecting to the last byte; not a poll that the broker holds.
 * Default: 30,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_sesame_options_set_timeout_ms(struct lime_sesame_options *options, uint64_t timeout_ms);

/**
 * Sets how many further attempts of a call follow a failed one, where that is safe. A wait for a
 * decision does not count them: it goes on until its time is up. Default: 3.
 *
 * @param options  the options.
 * @param max_retries  a number of attempts; 0 for none.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_sesame_options_set_max_retries(struct lime_sesame_options *options, uint32_t max_retries);

/**
 * Sets how long one poll may take before it counts as hung and the broker is asked again. The broker
 * holds a poll for 25 to 30 s, so less than that gives up polls that are alive. Default: 40,000 ms.
 *
 * @param options  the options.
 * @param poll_timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_sesame_options_set_poll_timeout_ms(struct lime_sesame_options *options,
                                                uint64_t poll_timeout_ms);

/**
 * Adds a public key that the broker's server may have. Once there is one, a server with another key is
 * refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
 * SESAME_TLS_PINS counts (several with commas between), and without that every key will do.
 *
 * @param options  the options.
 * @param pin  SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in
 *   front; copied, and checked when the client is made, which fails if there is a transport or if `base_url`
 *   is not `https://`.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
 */
int32_t lime_sesame_options_add_tls_pin(struct lime_sesame_options *options,
                                        const char *pin);

/**
 * Sets where log records go. Default: nowhere; the library never writes to stdout or stderr.
 *
 * @param options  the options.
 * @param level  the least level that is of interest, a LIME_LOG_ constant.
 * @param callback  see lime_log_callback.
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once when these options and every client made with them are gone,
 *   when another callback is set, or before this function returns an error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
 */
int32_t lime_sesame_options_set_log_callback(struct lime_sesame_options *options,
                                             int32_t level,
                                             lime_log_callback callback,
                                             void *user_data,
                                             lime_drop_user_data drop_user_data);

/**
 * Sets the host's own HTTP client; every byte of the clients made with these options goes through it.
 *
 * @param options  the options.
 * @param transport  kept; NULL goes back to the library's own client.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_sesame_options_set_transport(struct lime_sesame_options *options,
                                          const struct lime_transport *transport);

/**
 * Sets where time and chance come from, for tests.
 *
 * @param options  the options.
 * @param clock  kept; NULL goes back to the machine's clock.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_sesame_options_set_clock(struct lime_sesame_options *options, const struct lime_clock *clock);

/**
 * Frees options. NULL is allowed. Clients that were made with them live on.
 *
 * @param options  the options, or NULL.
 */
void lime_sesame_options_free(struct lime_sesame_options *options);

/**
 * A request with nothing but what has to be there.
 *
 * @param action  what kind of operation it is, such as "payments.refund"; the broker's rules go by it.
 * @param summary  one line for the human. Both are copied.
 * @param[out] request  gets the request, to be freed with lime_approval_request_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT (NULL, text not UTF-8).
 */
int32_t lime_approval_request_new(const char *action,
                                  const char *summary,
                                  struct lime_approval_request **request,
                                  struct lime_error **error);

/**
 * Sets why it is asked for.
 *
 * @param request  the request.
 * @param reason  copied; NULL says nothing.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
 */
int32_t lime_approval_request_set_reason(struct lime_approval_request *request, const char *reason);

/**
 * Sets the key that names the operation: the same key gives the same approval, however often it is asked
 * for. With one, a failed attempt to ask is repeated; without one it is repeated only if it certainly did
 * not leave, because a human would be asked twice.
 *
 * @param request  the request.
 * @param dedup_key  such as "refund-882"; copied; NULL for none.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
 */
int32_t lime_approval_request_set_dedup_key(struct lime_approval_request *request, const char *dedup_key);

/**
 * Sets where the broker reports the decision, see lime_webhook_verify().
 *
 * @param request  the request.
 * @param callback_url  copied; NULL for nowhere.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
 */
int32_t lime_approval_request_set_callback_url(struct lime_approval_request *request,
                                               const char *callback_url);

/**
 * Sets how much is at stake, in words that the broker's people agreed on, such as "high".
 *
 * @param request  the request.
 * @param severity  copied; NULL says nothing.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, text not UTF-8).
 */
int32_t lime_approval_request_set_severity(struct lime_approval_request *request, const char *severity);

/**
 * Sets what else the human sees. It is shown: no secrets.
 *
 * @param request  the request.
 * @param context_json,length  a JSON object as UTF-8 bytes; copied, and sent as it is. NULL with length 0 for
 *   none.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (request NULL, no JSON object); what was set before stays
 *   then.
 */
int32_t lime_approval_request_set_context_json(struct lime_approval_request *request,
                                               const void *context_json,
                                               size_t length);

/**
 * Frees a request. NULL is allowed. Calls that were given it go on.
 *
 * @param request  the request, or NULL.
 */
void lime_approval_request_free(struct lime_approval_request *request);

/**
 * The approval. Another process can wait for it by this, with lime_sesame_wait().
 *
 * @param approval  the approval, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_approval_approval_id(const struct lime_approval *approval);

/**
 * The status: "pending", "approved", "denied" or "expired"; a later broker may know more. Whether to go
 * on is what lime_approval_is_approved() says.
 *
 * @param approval  the approval, or NULL.
 *
 * @return text that is valid until the object is freed; NULL for NULL.
 */
const char *lime_approval_status_text(const struct lime_approval *approval);

/**
 * Whether a human granted it. Nothing else means "go on".
 *
 * @param approval  the approval, or NULL.
 *
 * @return 1 or 0; 0 for NULL.
 */
int32_t lime_approval_is_approved(const struct lime_approval *approval);

/**
 * Whether no further decision can change it: it is approved, denied or expired.
 *
 * @param approval  the approval, or NULL.
 *
 * @return 1 or 0; 0 for NULL.
 */
int32_t lime_approval_is_terminal(const struct lime_approval *approval);

/**
 * When it expires undecided, where the broker tells.
 *
 * @param approval  the approval, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not tell.
 */
int64_t lime_approval_expires_at_unix_micros(const struct lime_approval *approval);

/**
 * The offset that the expiry was written with.
 *
 * @param approval  the approval, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when there is none.
 */
int32_t lime_approval_expires_at_offset_seconds(const struct lime_approval *approval);

/**
 * When it was decided, where the broker tells.
 *
 * @param approval  the approval, or NULL.
 *
 * @return microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not tell.
 */
int64_t lime_approval_decided_at_unix_micros(const struct lime_approval *approval);

/**
 * The offset that the time of the decision was written with.
 *
 * @param approval  the approval, or NULL.
 *
 * @return seconds east of UTC; LIME_NO_OFFSET when there is none.
 */
int32_t lime_approval_decided_at_offset_seconds(const struct lime_approval *approval);

/**
 * What the human wrote beside the decision.
 *
 * @param approval  the approval, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the broker does not tell.
 */
const char *lime_approval_note(const struct lime_approval *approval);

/**
 * The label of whoever asked for it.
 *
 * @param approval  the approval, or NULL.
 *
 * @return text that is valid until the object is freed; NULL when the broker does not tell.
 */
const char *lime_approval_requester_label(const struct lime_approval *approval);

/**
 * Frees an approval. NULL is allowed.
 *
 * @param approval  the approval, or NULL.
 */
void lime_approval_free(struct lime_approval *approval);

/**
 * Makes a client for the owner of the API key. Starts no thread and sends nothing.
 *
 * @param options  copied; NULL for the defaults and the environment.
 * @param[out] sesame  gets the client, to be freed with lime_sesame_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_AUTHENTICATION when there is no key; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_sesame_new(const struct lime_sesame_options *options,
                        struct lime_sesame **sesame,
                        struct lime_error **error);

/**
 * Asks for an approval and does not wait for the decision: it is pending then, unless the request's
 * dedup_key names one that is decided. Blocks until the broker answers.
 *
 * @param sesame  the client.
 * @param request  what is asked for.
 * @param[out] approval  gets the result, to be freed with lime_approval_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_OUTCOME_UNKNOWN when a request without a dedup_key was sent and its answer got
 *   lost (a human may have been asked); LIME_ERROR_API when the broker does not take the request;
 *   LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of the broker or the network;
 *   LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_sesame_trigger(const struct lime_sesame *sesame,
                            const struct lime_approval_request *request,
                            struct lime_approval **approval,
                            struct lime_error **error);

/**
 * The started form of lime_sesame_trigger(); see "Started calls" in the manual above. Cancelling does not
 * take back what was asked.
 *
 * @param sesame  the client.
 * @param request  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_sesame_trigger_start(const struct lime_sesame *sesame,
                                  const struct lime_approval_request *request,
                                  lime_approval_callback callback,
                                  void *user_data,
                                  lime_drop_user_data drop_user_data,
                                  uint64_t *operation,
                                  struct lime_error **error);

/**
 * Reads where an approval stands. Blocks until the broker answers.
 *
 * @param sesame  the client.
 * @param approval_id  the approval.
 * @param wait_for_decision  1 to let the broker hold its answer until there is a decision, for 25 to 30 s at
 *   most (it is asked once then), else 0.
 * @param[out] approval  gets the result, to be freed with lime_approval_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_NOT_FOUND when the broker does not know the approval or it is no approval id;
 *   LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of the broker or the network;
 *   LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_sesame_get(const struct lime_sesame *sesame,
                        const char *approval_id,
                        int32_t wait_for_decision,
                        struct lime_approval **approval,
                        struct lime_error **error);

/**
 * The started form of lime_sesame_get(); see "Started calls" in the manual above.
 *
 * @param sesame  the client.
 * @param approval_id  copied.
 * @param wait_for_decision  0 or 1.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_sesame_get_start(const struct lime_sesame *sesame,
                              const char *approval_id,
                              int32_t wait_for_decision,
                              lime_approval_callback callback,
                              void *user_data,
                              lime_drop_user_data drop_user_data,
                              uint64_t *operation,
                              struct lime_error **error);

/**
 * Waits until an approval is decided, which includes that it expired. Rides out a broker that is away,
 * restarts or answers with errors. Blocks.
 *
 * @param sesame  the client.
 * @param approval_id  the approval.
 * @param timeout_ms  the longest wait, in milliseconds; LIME_WAIT_FOREVER for no limit.
 * @param poll_interval_ms  the least time from the beginning of one poll to the beginning of the next, 2000
 *   if in doubt; the broker holds a poll until there is a decision, so this only counts when it does not.
 * @param[out] approval  gets the result, to be freed with lime_approval_free(); look at
 *   lime_approval_is_approved().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_TIMEOUT when there is no decision in time; LIME_ERROR_NOT_FOUND at once when
 *   the broker does not know the approval or it is no approval id; LIME_ERROR_AUTHENTICATION at once when the
 *   broker refuses the key; another error of the broker that time does not mend; LIME_ERROR_CLOSED;
 *   LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_sesame_wait(const struct lime_sesame *sesame,
                         const char *approval_id,
                         uint64_t timeout_ms,
                         uint64_t poll_interval_ms,
                         struct lime_approval **approval,
                         struct lime_error **error);

/**
 * The started form of lime_sesame_wait(); see "Started calls" in the manual above. Any number of waits may
 * be under way at once, each takes a connection and no thread. Cancelling ends the wait at once; the
 * approval stays as it is.
 *
 * @param sesame  the client.
 * @param approval_id  copied.
 * @param timeout_ms,poll_interval_ms  as in lime_sesame_wait().
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_sesame_wait_start(const struct lime_sesame *sesame,
                               const char *approval_id,
                               uint64_t timeout_ms,
                               uint64_t poll_interval_ms,
                               lime_approval_callback callback,
                               void *user_data,
                               lime_drop_user_data drop_user_data,
                               uint64_t *operation,
                               struct lime_error **error);

/**
 * The whole gate: asks, waits, and succeeds only if a human granted it. Blocks. Run the operation when it
 * returns LIME_OK and in no other case, whatever the error is.
 *
 * @param sesame  the client.
 * @param request  what is asked for.
 * @param timeout_ms,poll_interval_ms  as in lime_sesame_wait(); the time is for asking and waiting together.
 * @param[out] approval  gets the approval that was granted, to be freed with lime_approval_free().
 * @param[out] error  NULL, or gets the error; lime_error_approval_id() tells which approval it is about, once
 *   there is one.
 *
 * @return LIME_OK when it was granted; LIME_ERROR_APPROVAL_DENIED when it was denied or expired, or lets this
 *   call not through (which of them is the error's code: "denied", "expired", "already_used",
 *   "args_changed"); LIME_ERROR_TIMEOUT when nobody decided in time (if the error has an approval's id, that
 *   is still pending, and lime_sesame_wait() can go on); else what lime_sesame_trigger() and
 *   lime_sesame_wait() return.
 */
int32_t lime_sesame_require_approval(const struct lime_sesame *sesame,
                                     const struct lime_approval_request *request,
                                     uint64_t timeout_ms,
                                     uint64_t poll_interval_ms,
                                     struct lime_approval **approval,
                                     struct lime_error **error);

/**
 * The started form of lime_sesame_require_approval(); see "Started calls" in the manual above. Cancelling
 * ends the wait at once and does not take back what was asked.
 *
 * @param sesame  the client.
 * @param request  copied.
 * @param timeout_ms,poll_interval_ms  as in lime_sesame_wait().
 * @param callback  gets the result; only LIME_OK means "go on".
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started (and nothing is approved yet); else `callback` is not called.
 */
int32_t lime_sesame_require_approval_start(const struct lime_sesame *sesame,
                                           const struct lime_approval_request *request,
                                           uint64_t timeout_ms,
                                           uint64_t poll_interval_ms,
                                           lime_approval_callback callback,
                                           void *user_data,
                                           lime_drop_user_data drop_user_data,
                                           uint64_t *operation,
                                           struct lime_error **error);

/**
 * Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on, waits too. Does not wait;
 * may be called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
 *
 * @param sesame  the client, or NULL.
 */
void lime_sesame_close(const struct lime_sesame *sesame);

/**
 * Closes and frees the client. Started calls still complete, waits too: cancel those that nobody needs.
 * May be called in a callback. NULL is allowed. No other thread may use the client during or after this
 * call.
 *
 * @param sesame  the client, or NULL.
 */
void lime_sesame_free(struct lime_sesame *sesame);

/**
 * A verifier without a secret, which refuses everything until it has one; with the machine's clock, a
 * tolerance of 300,000 ms and no replay guard.
 *
 * @return the verifier, to be freed with lime_webhook_verifier_free(); never NULL.
 */
struct lime_webhook_verifier *lime_webhook_verifier_new(void);

/**
 * Adds a secret: any of them may have signed, as while one replaces the other. An empty one, or one of
 * white space only, makes the verifier refuse everything with "empty_secret": anybody could sign with it.
 *
 * @param verifier  the verifier.
 * @param secret,length  bytes; copied, and wiped when the verifier is freed.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL, secret NULL with a length).
 */
int32_t lime_webhook_verifier_add_secret(struct lime_webhook_verifier *verifier,
                                         const void *secret,
                                         size_t length);

/**
 * Sets how far the timestamp may lie in the past or in the future. Default: 300,000 ms.
 *
 * @param verifier  the verifier.
 * @param tolerance_ms  milliseconds; with 0 the timestamp must be this very second.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL).
 */
int32_t lime_webhook_verifier_set_tolerance_ms(struct lime_webhook_verifier *verifier, uint64_t tolerance_ms);

/**
 * Lets every body in once only, in this process; see "Webhooks" in the manual above for what is better.
 * It remembers the hashes of bodies by their `decided_at`, which is signed, and refuses what was decided
 * too long ago to tell. Memory is bounded: when there are too many bodies the oldest are forgotten, and
 * everything as old as they are is refused. A forked child begins with an empty memory.
 *
 * @param verifier  the verifier.
 * @param horizon_ms  for how long a decision is remembered, for example 86,400,000 (a day).
 * @param capacity  for how many decisions there is room, for example 100,000 (some 15 MB when it is full); 0
 *   counts as 1. A guard that was set before is replaced, with its memory.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL).
 */
int32_t lime_webhook_verifier_set_replay_guard(struct lime_webhook_verifier *verifier,
                                               uint64_t horizon_ms,
                                               size_t capacity);

/**
 * Sets the time that counts as now from here on, instead of the machine's clock. For tests.
 *
 * @param verifier  the verifier.
 * @param now_unix_seconds  the time, with a fraction.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (verifier NULL; negative, infinite or no number).
 */
int32_t lime_webhook_verifier_set_now_unix_seconds(struct lime_webhook_verifier *verifier,
                                                   double now_unix_seconds);

/**
 * Lets a body in again that the replay guard has let in: for a receiver that could not handle it,
 * answers with an error and will be sent it once more. Any thread, several at once.
 *
 * @param verifier  the verifier, or NULL.
 * @param body,length  the raw body.
 *
 * @return 1 if the guard had let it in, else 0 (also for NULL, and without a guard).
 */
int32_t lime_webhook_verifier_forget(const struct lime_webhook_verifier *verifier,
                                     const void *body,
                                     size_t length);

/**
 * Frees a verifier. NULL is allowed. No other thread may use it during or after this call.
 *
 * @param verifier  the verifier, or NULL.
 */
void lime_webhook_verifier_free(struct lime_webhook_verifier *verifier);

/**
 * Verifies one delivery: that a secret signed it, and that it is fresh. Does not block; any thread,
 * several at once, in callbacks too. Read "Webhooks" in the manual above about replays.
 *
 * @param verifier  the verifier.
 * @param header_names,header_values,header_count  the request's headers as two arrays of that many
 *   NUL-terminated texts each, in any order; all of them or just LIME_WEBHOOK_SIGNATURE_HEADER and
 *   LIME_WEBHOOK_TIMESTAMP_HEADER. Names may be in any case, or those of a CGI environment
 *   ("HTTP_X_SESAME_SIGNATURE"). A value that is NULL is a header that is not there, which is what getenv()
 *   and the like give. Values need not be UTF-8: what is no signature or no timestamp is refused.
 * @param body,length  the raw bytes as they arrived, not what was parsed and written anew.
 * @param[out] webhook  gets the result, to be freed with lime_webhook_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT (NULL); LIME_ERROR_WEBHOOK whatever else is wrong. Then the
 *   error's code is one of these, the first that applies; for each there is a LIME_REFUSAL_ constant:
 *
 * - "empty_secret": the verifier has no secret, or one that is empty or white space
 * - "missing_header": one of the two headers is not there, or empty
 * - "malformed_header": a header is there twice, the signature is not 64 hexadecimal digits, or the
 * timestamp is not ASCII digits
 * - "too_old", "too_new": the timestamp is further from now than the tolerance allows
 * - "mismatch": no secret gives this signature
 * - "not_json", "not_an_object": the body is signed, but no JSON, or no JSON object
 * - "replayed": the replay guard has let this body in before
 * - "undatable": the replay guard cannot tell: the body has no `decided_at`, or one that lies further back
 * than the guard remembers
 */
int32_t lime_webhook_verify(const struct lime_webhook_verifier *verifier,
                            const char *const *header_names,
                            const char *const *header_values,
                            size_t header_count,
                            const void *body,
                            size_t length,
                            struct lime_webhook **webhook,
                            struct lime_error **error);

/**
 * The whole payload as a JSON object.
 *
 * @param webhook  the webhook, or NULL.
 *
 * @return text that is valid until the webhook is freed; NULL for NULL.
 */
const char *lime_webhook_payload_json(const struct lime_webhook *webhook);

/**
 * One field of the payload that is a text, such as "decided_at", "requester_label" or "dedup_key".
 *
 * @param webhook  the webhook, or NULL.
 * @param field  the field's name.
 *
 * @return text that is valid until the webhook is freed; NULL when there is no such field or it is no text.
 */
const char *lime_webhook_text(const struct lime_webhook *webhook, const char *field);

/**
 * The approval that was decided.
 *
 * @param webhook  the webhook, or NULL.
 *
 * @return text that is valid until the webhook is freed; NULL when the payload does not tell.
 */
const char *lime_webhook_approval_id(const struct lime_webhook *webhook);

/**
 * What was asked for, such as "payments.refund".
 *
 * @param webhook  the webhook, or NULL.
 *
 * @return text that is valid until the webhook is freed; NULL when the payload does not tell.
 */
const char *lime_webhook_action(const struct lime_webhook *webhook);

/**
 * The decision: "approved", "denied" or "expired". Nothing but "approved" means "go on".
 *
 * @param webhook  the webhook, or NULL.
 *
 * @return text that is valid until the webhook is freed; NULL when the payload does not tell.
 */
const char *lime_webhook_status_text(const struct lime_webhook *webhook);

/**
 * What the timestamp header said. It is not signed.
 *
 * @param webhook  the webhook, or NULL.
 *
 * @return Unix seconds; 0 for NULL.
 */
uint64_t lime_webhook_timestamp(const struct lime_webhook *webhook);

/**
 * Frees a webhook. NULL is allowed.
 *
 * @param webhook  the webhook, or NULL.
 */
void lime_webhook_free(struct lime_webhook *webhook);

/**
 * Signs a body as the broker does: for the tests of programs that receive webhooks.
 *
 * @param body,length  the raw body.
 * @param secret,secret_length  bytes.
 * @param timestamp  the time of sending in Unix seconds, to be sent as LIME_WEBHOOK_TIMESTAMP_HEADER in
 *   decimal digits (the broker does not sign it as yet).
 * @param[out] signature  gets the value of LIME_WEBHOOK_SIGNATURE_HEADER as text with a NUL.
 * @param capacity  the size of `signature`, at least LIME_WEBHOOK_SIGNATURE_SIZE.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_WEBHOOK with the code "empty_secret" when the secret is empty or white space;
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_webhook_sign(const void *body,
                          size_t length,
                          const void *secret,
                          size_t secret_length,
                          uint64_t timestamp,
                          char *signature,
                          size_t capacity,
                          struct lime_error **error);

/**
 * Finds the smallest nonce whose digest begins with `difficulty` zero bits. Runs on the calling thread
 * (and on `threads` - 1 more). An agent's login does this by itself; this function is for tests and
 * for programs that bring their own transport.
 *
 * @param challenge,length  UTF-8 bytes.
 * @param difficulty  zero bits; 0 or less is met by "0".
 * @param digest  LIME_POW_DIGEST_SEED or LIME_POW_DIGEST_TODAY.
 * @param timeout_ms  wall-clock budget.
 * @param threads  0 counts as 1.
 * @param[out] nonce  gets the nonce as decimal text with a NUL.
 * @param capacity  the size of `nonce`, at least LIME_POW_NONCE_SIZE.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_POW_TIMEOUT; LIME_ERROR_POW_DIFFICULTY at once for more than 256 bits;
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_pow_solve(const void *challenge,
                       size_t length,
                       int64_t difficulty,
                       int32_t digest,
                       uint64_t timeout_ms,
                       size_t threads,
                       char *nonce,
                       size_t capacity,
                       struct lime_error **error);

/**
 * The started form of lime_pow_solve(); see "Started calls" in the manual above. Runs on a thread of the library,
 * as soon as fewer searches than the machine has cores are running; cancelling ends it within a millisecond.
 *
 * @param challenge,length  UTF-8 bytes; copied.
 * @param difficulty,digest,timeout_ms,threads  as lime_pow_solve().
 * @param callback  gets the nonce.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_pow_solve_start(const void *challenge,
                             size_t length,
                             int64_t difficulty,
                             int32_t digest,
                             uint64_t timeout_ms,
                             size_t threads,
                             lime_pow_callback callback,
                             void *user_data,
                             lime_drop_user_data drop_user_data,
                             uint64_t *operation,
                             struct lime_error **error);

/**
 * The nonce, as decimal text.
 *
 * @param nonce  the nonce, or NULL.
 *
 * @return text that is valid until the nonce is freed; NULL for NULL.
 */
const char *lime_pow_nonce_text(const struct lime_pow_nonce *nonce);

/**
 * Frees a nonce. NULL is allowed.
 *
 * @param nonce  the nonce, or NULL.
 */
void lime_pow_nonce_free(struct lime_pow_nonce *nonce);

/**
 * A parser at the start of a stream.
 *
 * @return the parser, to be freed with lime_sse_parser_free(); never NULL.
 */
struct lime_sse_parser *lime_sse_parser_new(void);

/**
 * Takes in a chunk of the stream and hands over the events that it completes.
 *
 * @param parser  the parser.
 * @param chunk,length  the bytes.
 * @param callback  called on this thread, before this function returns, once for each event; it may use the
 *   parser.
 * @param user_data  given back in each call.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_BAD_RESPONSE when a line or an event is larger than 1 MiB (events before it
 *   were handed over, the stream cannot be read on); LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_sse_parser_feed(struct lime_sse_parser *parser,
                             const void *chunk,
                             size_t length,
                             lime_sse_callback callback,
                             void *user_data,
                             struct lime_error **error);

/**
 * The id to continue the stream from (`Last-Event-ID`).
 *
 * @param parser  the parser, or NULL.
 *
 * @return text that is valid until the parser is fed or freed; "" when there is none; NULL for NULL.
 */
const char *lime_sse_parser_last_event_id(const struct lime_sse_parser *parser);

/**
 * The last `retry:` of the stream.
 *
 * @param parser  the parser, or NULL.
 *
 * @return milliseconds, INT64_MAX at most; -1 when there was none.
 */
int64_t lime_sse_parser_retry_ms(const struct lime_sse_parser *parser);

/**
 * Frees a parser. NULL is allowed.
 *
 * @param parser  the parser, or NULL.
 */
void lime_sse_parser_free(struct lime_sse_parser *parser);

/**
 * Reads the data of one event of a site's stream. A site's client does this by itself.
 *
 * @param data,length  UTF-8 bytes.
 * @param[out] frame  gets the result, to be freed with lime_login_frame_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, also for LIME_FRAME_MALFORMED; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_login_frame_parse(const void *data,
                               size_t length,
                               struct lime_login_frame **frame,
                               struct lime_error **error);

/**
 * What the event says.
 *
 * @param frame  the frame, or NULL.
 *
 * @return a LIME_FRAME_ constant (a later version may know more of them); 0 for NULL.
 */
int32_t lime_login_frame_kind(const struct lime_login_frame *frame);

/**
 * The login request of an approved or expired event.
 *
 * @param frame  the frame, or NULL.
 *
 * @return text that is valid until the frame is freed, or NULL.
 */
const char *lime_login_frame_request_id(const struct lime_login_frame *frame);

/**
 * The passport of an approved event, not verified.
 *
 * @param frame  the frame, or NULL.
 *
 * @return text that is valid until the frame is freed, or NULL.
 */
const char *lime_login_frame_passport(const struct lime_login_frame *frame);

/**
 * The platform's code in an error event.
 *
 * @param frame  the frame, or NULL.
 *
 * @return text that is valid until the frame is freed, or NULL.
 */
const char *lime_login_frame_code(const struct lime_login_frame *frame);

/**
 * The message of an error event, or why an event is malformed.
 *
 * @param frame  the frame, or NULL.
 *
 * @return text that is valid until the frame is freed, or NULL.
 */
const char *lime_login_frame_message(const struct lime_login_frame *frame);

/**
 * Frees a frame. NULL is allowed.
 *
 * @param frame  the frame, or NULL.
 */
void lime_login_frame_free(struct lime_login_frame *frame);

/**
 * Takes the `data` out of an answer of the platform: `{"ok": true, "data": {...}}`. The clients do this
 * by themselves; this function is for tests and for programs that bring their own transport.
 *
 * @param http_status  of the answer.
 * @param body,length  its bytes.
 * @param[out] data_json  gets the `data` object as JSON text, to be freed with lime_string_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; the platform's own error as LIME_ERROR_RATE_LIMIT, LIME_ERROR_AUTHENTICATION or
 *   LIME_ERROR_API; LIME_ERROR_BAD_RESPONSE when the body is no such answer; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_envelope_open(int32_t http_status,
                           const void *body,
                           size_t length,
                           char **data_json,
                           struct lime_error **error);

/**
 * The host name that tokens for an MCP server are issued and kept for: in lower case, without scheme, port and
 * path. No name is resolved for it.
 *
 * @param target  a URL or a host name.
 * @param[out] domain  gets the host name, to be freed with lime_string_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT for anything but a public DNS name: user names, IP addresses
 *   in any spelling (127.1, 2130706433), localhost and other reserved names.
 */
int32_t lime_extract_and_normalize_domain(const char *target,
                                          char **domain,
                                          struct lime_error **error);

/**
 * The address of the MCP server that a target means: of a bare host name `https://.../mcp`, with the port if there is
 * one; a URL as it is, without white space around it and slashes at its end.
 *
 * @param target  a URL or a host name.
 * @param[out] url  gets the address, to be freed with lime_string_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT as lime_extract_and_normalize_domain().
 */
int32_t lime_resolve_mcp_http_url(const char *target,
                                  char **url,
                                  struct lime_error **error);

/**
 * A new set of options, with the defaults.
 *
 * @return the options, to be freed with lime_token_verifier_options_free(); never NULL.
 */
struct lime_token_verifier_options *lime_token_verifier_options_new(void);

/**
 * Sets the host name that the MCP server is reached by; tokens for any other are refused. Without it the
 * environment variable LIME_EXPECTED_DOMAIN counts, and without that there is no verifier.
 *
 * @param options  the options.
 * @param expected_domain  copied; NULL or "" goes back to the environment variable. A URL will do, a port
 *   will not. It is checked when the verifier is made.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_token_verifier_options_set_expected_domain(struct lime_token_verifier_options *options,
                                                        const char *expected_domain);

/**
 * Sets the platform's origin. Without it the environment variable LIME_BASE_URL counts, then
 * `https://lime.pics`.
 *
 * @param options  the options.
 * @param base_url  copied; NULL or "" goes back to the environment variable. An API root (with `/api/v1`)
 *   will do, too. It is checked when the verifier is made.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_token_verifier_options_set_base_url(struct lime_token_verifier_options *options,
                                                 const char *base_url);

/**
 * Sets whom tokens must be for. Without it the environment variable LIME_OAUTH_AUDIENCE counts, then `mcp`.
 *
 * @param options  the options.
 * @param audience  copied; NULL or "" goes back to the environment variable.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_token_verifier_options_set_audience(struct lime_token_verifier_options *options,
                                                 const char *audience);

/**
 * Sets how far clocks may be apart when a token's times are looked at. Default: the environment variable
 * LIME_JWT_VERIFY_LEEWAY_SECONDS, then 120,000 ms.
 *
 * @param options  the options.
 * @param leeway_ms  milliseconds; more than a day counts as a day.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_token_verifier_options_set_leeway_ms(struct lime_token_verifier_options *options,
                                                  uint64_t leeway_ms);

/**
 * Sets how long the platform's signing keys are used before they are fetched again. Default: the
 * environment variable LIME_JWKS_CACHE_TTL_SECONDS, then an hour.
 *
 * @param options  the options.
 * @param jwks_cache_ttl_ms  milliseconds; more than a day counts as a day.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_token_verifier_options_set_jwks_cache_ttl_ms(struct lime_token_verifier_options *options,
                                                          uint64_t jwks_cache_ttl_ms);

/**
 * Sets the least time between two fetches of the keys that a token with an unknown key, or a warm-up, can
 * cause. Default: the environment variable LIME_JWKS_MIN_REFRESH_SECONDS, then 60,000 ms.
 *
 * @param options  the options.
 * @param min_refresh_ms  milliseconds; more than a day counts as a day.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_token_verifier_options_set_min_refresh_ms(struct lime_token_verifier_options *options,
                                                       uint64_t min_refresh_ms);

/**
 * Sets what the library calls itself when it fetches keys. Without it the environment variable
 * LIME_VERIFY_USER_AGENT counts, then what the HTTP client calls itself.
 *
 * @param options  the options.
 * @param user_agent  copied; NULL or "" goes back to the environment variable.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
 */
int32_t lime_token_verifier_options_set_user_agent(struct lime_token_verifier_options *options,
                                                   const char *user_agent);

/**
 * Bounds one attempt of a request, from connecting to the last byte. Default: 30,000 ms.
 *
 * @param options  the options.
 * @param timeout_ms  milliseconds, at least 1.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
 */
int32_t lime_token_verifier_options_set_timeout_ms(struct lime_token_verifier_options *options,
                                                   uint64_t timeout_ms);

/**
 * Adds a public key that the platform's server may have. Once there is one, a server with another key is
 * refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
 * LIME_TLS_PINS counts (several with commas between), and without that every key will do.
 *
 * @param options  the options.
 * @param pin  SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in
 *   front; copied, and checked when the client is made, which fails if there is a transport or if `base_url`
 *   is not `https://`.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
 */
int32_t lime_token_verifier_options_add_tls_pin(struct lime_token_verifier_options *options,
                                                const char *pin);

/**
 * Sets where log records go. Default: nowhere; the library never writes to stdout or stderr.
 *
 * @param options  the options.
 * @param level  the least level that is of interest, a LIME_LOG_ constant.
 * @param callback  see lime_log_callback.
 * @param user_data  given back in each call.
 * @param drop_user_data  NULL, or called once when these options and every verifier made with them are gone,
 *   when another callback is set, or before this function returns an error.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
 */
int32_t lime_token_verifier_options_set_log_callback(struct lime_token_verifier_options *options,
                                                     int32_t level,
                                                     lime_log_callback callback,
                                                     void *user_data,
                                                     lime_drop_user_data drop_user_data);

/**
 * Sets the host's own HTTP client; every byte of the verifiers made with these options goes through it.
 *
 * @param options  the options.
 * @param transport  kept; NULL goes back to the library's own client.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_token_verifier_options_set_transport(struct lime_token_verifier_options *options,
                                                  const struct lime_transport *transport);

/**
 * Sets where the time comes from, for tests.
 *
 * @param options  the options.
 * @param clock  kept; NULL goes back to the machine's clock.
 *
 * @return LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
 */
int32_t lime_token_verifier_options_set_clock(struct lime_token_verifier_options *options,
                                              const struct lime_clock *clock);

/**
 * Frees options. NULL is allowed. Verifiers that were made with them live on.
 *
 * @param options  the options, or NULL.
 */
void lime_token_verifier_options_free(struct lime_token_verifier_options *options);

/**
 * Makes a verifier. Starts no thread and sends nothing: the first call that needs the platform's keys fetches
 * them.
 *
 * @param options  copied; NULL for the defaults and the environment.
 * @param[out] verifier  gets the verifier, to be freed with lime_token_verifier_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT, also when no host name is given or it is none.
 */
int32_t lime_token_verifier_new(const struct lime_token_verifier_options *options,
                                struct lime_token_verifier **verifier,
                                struct lime_error **error);

/**
 * Verifies a token: its signature with the platform's keys, which are fetched if they are not at hand (that
 * blocks), its times, its issuer and audience, and that it is for this host name.
 *
 * @param verifier  the verifier.
 * @param token  the JWT alone, without "Bearer", see lime_bearer_token().
 * @param[out] result  gets the result, to be freed with lime_verified_token_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_TOKEN, the error's code says why (LIME_TOKEN_WRONG_DOMAIN and its
 *   like); an error of the platform or the network when the keys cannot be had, which says nothing of the
 *   token; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback (start it there);
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_token_verifier_verify(const struct lime_token_verifier *verifier,
                                   const char *token,
                                   struct lime_verified_token **result,
                                   struct lime_error **error);

/**
 * Verifies a token with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
 *
 * @param verifier  the verifier.
 * @param token  as in lime_token_verifier_verify().
 * @param[out] result  gets the result, to be freed with lime_verified_token_free(); NULL when the platform's
 *   keys are not at hand, which lime_token_verifier_verify_start() fetches.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_TOKEN; LIME_ERROR_CLOSED;
 *   LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_token_verifier_verify_cached(const struct lime_token_verifier *verifier,
                                          const char *token,
                                          struct lime_verified_token **result,
                                          struct lime_error **error);

/**
 * The started form of lime_token_verifier_verify(); see "Started calls" in the manual above.
 *
 * @param verifier  the verifier.
 * @param token  copied.
 * @param callback  gets the result.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called. A token that cannot be right whatever
 *   the keys are is refused at once.
 */
int32_t lime_token_verifier_verify_start(const struct lime_token_verifier *verifier,
                                         const char *token,
                                         lime_verified_token_callback callback,
                                         void *user_data,
                                         lime_drop_user_data drop_user_data,
                                         uint64_t *operation,
                                         struct lime_error **error);

/**
 * Fetches the platform's keys ahead of the first token, unless that was done less than the option min_refresh ago.
 * Blocks.
 *
 * @param verifier  the verifier.
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; an error of the platform or the network (keys that are held stay); LIME_ERROR_CLOSED;
 *   LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_token_verifier_warm_up(const struct lime_token_verifier *verifier,
                                    struct lime_error **error);

/**
 * The started form of lime_token_verifier_warm_up(); see "Started calls" in the manual above.
 *
 * @param verifier  the verifier.
 * @param callback  is told how it ended.
 * @param user_data,drop_user_data  see the manual.
 * @param[out] operation  NULL, or gets the number for lime_operation_cancel().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK when it was started; else `callback` is not called.
 */
int32_t lime_token_verifier_warm_up_start(const struct lime_token_verifier *verifier,
                                          lime_warm_up_callback callback,
                                          void *user_data,
                                          lime_drop_user_data drop_user_data,
                                          uint64_t *operation,
                                          struct lime_error **error);

/**
 * Forgets the platform's keys; the next call that needs them fetches them. NULL is allowed.
 *
 * @param verifier  the verifier, or NULL.
 */
void lime_token_verifier_forget_keys(const struct lime_token_verifier *verifier);

/**
 * How many fetches have brought keys.
 *
 * @param verifier  the verifier, or NULL.
 *
 * @return the number; 0 for NULL.
 */
uint64_t lime_token_verifier_fetches(const struct lime_token_verifier *verifier);

/**
 * The host name that tokens must be for, in canonical form.
 *
 * @param verifier  the verifier, or NULL.
 *
 * @return text that is valid until the verifier is freed; NULL for NULL.
 */
const char *lime_token_verifier_expected_domain(const struct lime_token_verifier *verifier);

/**
 * Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on. Does not wait; may be called in a
 * callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
 *
 * @param verifier  the verifier, or NULL.
 */
void lime_token_verifier_close(const struct lime_token_verifier *verifier);

/**
 * Closes and frees the verifier. Started calls still complete. May be called in a callback. NULL is allowed. No
 * other thread may use the verifier during or after this call.
 *
 * @param verifier  the verifier, or NULL.
 */
void lime_token_verifier_free(struct lime_token_verifier *verifier);

/**
 * Verifies an access token with keys that are at hand, without any verifier and at any time.
 *
 * @param token  the JWT.
 * @param jwks_json,jwks_length  the platform's key document, bare or in an envelope.
 * @param issuer  what `iss` must be, letter by letter, such as "https://lime.pics".
 * @param expected_domain  the host name that it must be for, in canonical form, see
 *   lime_mcp_domain_normalize().
 * @param audience  whom it must be for; NULL for "mcp".
 * @param leeway_ms  how far clocks may be apart, in milliseconds; 120000 if in doubt.
 * @param now_unix_seconds  the time that counts as now.
 * @param[out] result  gets the result, to be freed with lime_verified_token_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_TOKEN, see lime_token_verifier_verify(); LIME_ERROR_INVALID_PASSPORT
 *   when `jwks_json` is no key document; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_access_token_verify(const char *token,
                                 const void *jwks_json,
                                 size_t jwks_length,
                                 const char *issuer,
                                 const char *expected_domain,
                                 const char *audience,
                                 uint64_t leeway_ms,
                                 double now_unix_seconds,
                                 struct lime_verified_token **result,
                                 struct lime_error **error);

/**
 * All claims as a JSON object.
 *
 * @param token  the token, or NULL.
 *
 * @return text that is valid until the token is freed; NULL for NULL.
 */
const char *lime_verified_token_claims_json(const struct lime_verified_token *token);

/**
 * The agent that shows the token (its claim `sub`).
 *
 * @param token  the token, or NULL.
 *
 * @return text that is valid until the token is freed; NULL for NULL.
 */
const char *lime_verified_token_agent_id(const struct lime_verified_token *token);

/**
 * The host name that the token is for.
 *
 * @param token  the token, or NULL.
 *
 * @return text that is valid until the token is freed; NULL for NULL.
 */
const char *lime_verified_token_domain(const struct lime_verified_token *token);

/**
 * One claim that is a text, such as "jti".
 *
 * @param token  the token, or NULL.
 * @param name  the claim's name.
 *
 * @return text that is valid until the token is freed; NULL when there is no such claim or it is no text.
 */
const char *lime_verified_token_text_claim(const struct lime_verified_token *token, const char *name);

/**
 * Frees a token. NULL is allowed.
 *
 * @param token  the token, or NULL.
 */
void lime_verified_token_free(struct lime_verified_token *token);

/**
 * The canonical form of a host name, as tokens have it: in lower case, without scheme and path. Ports, user names,
 * addresses and reserved names are refused.
 *
 * @param domain  a host name or a URL.
 * @param[out] canonical  gets the host name, to be freed with lime_string_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_mcp_domain_normalize(const char *domain,
                                  char **canonical,
                                  struct lime_error **error);

/**
 * The token in a request's Authorization headers ("Bearer ..."), of which there should be one.
 *
 * @param authorization,count  the values of all such headers; NULL and 0 when there is none.
 * @param[out] token  gets the token, to be freed with lime_string_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_TOKEN with the code "missing_token", or "ambiguous_token" for several
 *   headers, since what stands before the server may have looked at another one; LIME_ERROR_INVALID_ARGUMENT.
 */
int32_t lime_bearer_token(const char *const *authorization,
                          size_t count,
                          char **token,
                          struct lime_error **error);

/**
 * The HTTP answer to a request that is not let in: 401 for a token that is missing or refused, 400 for several, 503
 * when it cannot be told, 500 for a fault of the server's own.
 *
 * @param failure_status,message,retry_after_ms  the failure of lime_bearer_token() or of a verification, as
 *   lime_error_status(), lime_error_message() and lime_error_retry_after_ms() tell it.
 * @param code  its code, as lime_error_code() tells it; or NULL.
 * @param resource_metadata  the URL of the server's own metadata (RFC 9728), which tells clients whom to ask
 *   for a token; or NULL.
 * @param[out] refusal  gets the answer, to be freed with lime_token_refusal_free().
 * @param[out] error  NULL, or gets the error.
 *
 * @return LIME_OK; LIME_ERROR_INVALID_ARGUMENT, also when `failure_status` is that of no error.
 */
int32_t lime_token_refusal_new(int32_t failure_status,
                               const char *code,
                               const char *message,
                               int64_t retry_after_ms,
                               const char *resource_metadata,
                               struct lime_token_refusal **refusal,
                               struct lime_error **error);

/**
 * The answer's status.
 *
 * @param refusal  the refusal, or NULL.
 *
 * @return 400, 401, 500 or 503; 0 for NULL.
 */
int32_t lime_token_refusal_http_status(const struct lime_token_refusal *refusal);

/**
 * The answer's header WWW-Authenticate.
 *
 * @param refusal  the refusal, or NULL.
 *
 * @return text that is valid until the answer is freed; NULL when the header is not to be sent.
 */
const char *lime_token_refusal_www_authenticate(const struct lime_token_refusal *refusal);

/**
 * The answer's header Retry-After.
 *
 * @param refusal  the refusal, or NULL.
 *
 * @return seconds; -1 when the header is not to be sent, and for NULL.
 */
int64_t lime_token_refusal_retry_after_seconds(const struct lime_token_refusal *refusal);

/**
 * The answer's body, to be sent as application/json.
 *
 * @param refusal  the refusal, or NULL.
 *
 * @return text that is valid until the answer is freed; NULL for NULL.
 */
const char *lime_token_refusal_body_json(const struct lime_token_refusal *refusal);

/**
 * Frees an answer. NULL is allowed.
 *
 * @param refusal  the refusal, or NULL.
 */
void lime_token_refusal_free(struct lime_token_refusal *refusal);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LIME_H */
