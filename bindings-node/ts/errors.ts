/** What went wrong, as the same word in every language of the library. */
export type ErrorKind =
  | 'invalid_argument'
  | 'closed'
  | 'cancelled'
  | 'timeout'
  | 'would_deadlock'
  | 'internal'
  | 'transport'
  | 'transport_timeout'
  | 'bad_response'
  | 'outcome_unknown'
  | 'rate_limit'
  | 'authentication'
  | 'api'
  | 'not_found'
  | 'agent_inactive'
  | 'agent_user_suspended'
  | 'auth_unavailable'
  | 'site_auth_unavailable'
  | 'invalid_passport'
  | 'passport_expired'
  | 'invalid_token'
  | 'pow_timeout'
  | 'pow_difficulty'
  | 'approval_denied'
  | 'webhook'
  | 'oauth_capability'
  | 'mcp_authentication'
  | 'mcp';

/** What an error is made from; every member may be left out. */
export interface LimeErrorOptions {
  /** The platform's own code; the error's kind in capitals if left out. */
  code?: string | undefined;
  /** Status of the answer that the error was read from. */
  httpStatus?: number | undefined;
  /** The platform's `detail` object. */
  detail?: Record<string, unknown> | undefined;
  /** The login request that the failed call was about. */
  requestId?: string | undefined;
  /** The approval that the failed call was about. */
  approvalId?: string | undefined;
  /** Milliseconds that the platform asked to wait before the next try. */
  retryAfter?: number | undefined;
  /** What it came from. */
  cause?: unknown;
}

/**
 * Base class of every error of the library.
 *
 * `instanceof` works however the package was loaded: `import` and `require` give the same classes.
 */
export class LimeError extends Error {
  /** What went wrong, as the same word in every language of the library. */
  readonly kind: ErrorKind;
  /** The platform's own code (`SITE_TOKEN_INVALID`) if it gave one, else the kind in capitals (`TRANSPORT_TIMEOUT`). */
  readonly code: string;
  /** Status of the HTTP answer that the error was read from. */
  readonly httpStatus: number | undefined;
  /** The platform's `detail` object. */
  readonly detail: Record<string, unknown> | undefined;
  /** The login request that the failed call was about. */
  readonly requestId: string | undefined;
  /** The approval that the failed call was about. */
  readonly approvalId: string | undefined;
  /** Milliseconds that the platform asked to wait before the next try. */
  readonly retryAfter: number | undefined;

  /** Made by the library, and by tests of programs. */
  constructor(message: string, options: LimeErrorOptions & { kind?: ErrorKind } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind ?? (new.target as typeof LimeError).kind;
    this.code = options.code ?? this.kind.toUpperCase();
    this.httpStatus = options.httpStatus;
    this.detail = options.detail;
    this.requestId = options.requestId;
    this.approvalId = options.approvalId;
    this.retryAfter = options.retryAfter;
  }

  /** The kind that errors of this very class have. */
  static readonly kind: ErrorKind = 'internal';
}

/** An argument is missing, out of range or malformed; nothing was sent. */
export class InvalidArgumentError extends LimeError {
  static override readonly kind: ErrorKind = 'invalid_argument';
}

/** The client was closed before or during the call. */
export class ClosedError extends LimeError {
  static override readonly kind: ErrorKind = 'closed';
}

/**
 * The call was given up through its `AbortSignal`, whose reason is the `cause`. What it had already sent
 * may still take effect. Its `name` is `AbortError` and its `code` `ABORT_ERR`, as in Node's own modules.
 */
export class AbortError extends LimeError {
  static override readonly kind: ErrorKind = 'cancelled';

  constructor(message = 'The operation was aborted', options: LimeErrorOptions = {}) {
    super(message, { code: 'ABORT_ERR', ...options });
  }
}

/** The caller's own `timeout` passed while waiting: no agent signed in, or no human decided. */
export class TimeoutError extends LimeError {
  static override readonly kind: ErrorKind = 'timeout';
}

/** A blocking call was made where it cannot end. Does not occur in Node, where nothing blocks. */
export class WouldDeadlockError extends LimeError {
  static override readonly kind: ErrorKind = 'would_deadlock';
}

/** A fault of this library; the process and the client live on. */
export class InternalError extends LimeError {
  static override readonly kind: ErrorKind = 'internal';
}

/** No usable HTTP answer: connection refused or reset, TLS failure, unknown host. */
export class TransportError extends LimeError {
  static override readonly kind: ErrorKind = 'transport';
}

/** No HTTP answer within the client's `timeout`, in the last of all attempts. */
export class TransportTimeoutError extends TransportError {
  static override readonly kind: ErrorKind = 'transport_timeout';
}

/** An HTTP answer that is not what the protocol says: not JSON, wrong shape, too large, a redirect. */
export class BadResponseError extends LimeError {
  static override readonly kind: ErrorKind = 'bad_response';
}

/**
 * A request that changes something was sent, and whether it took effect is not known: a site may have let
 * the agent in (`requestId`), a human may have been asked. Do not count it as failed.
 */
export class OutcomeUnknownError extends LimeError {
  static override readonly kind: ErrorKind = 'outcome_unknown';
}

/** HTTP 429: too many requests. `retryAfter` says how long to wait, if the platform does. */
export class RateLimitError extends LimeError {
  static override readonly kind: ErrorKind = 'rate_limit';
}

/** A missing or refused token or key. */
export class AuthenticationError extends LimeError {
  static override readonly kind: ErrorKind = 'authentication';
}

/** Any other error that the platform reports. */
export class ApiError extends LimeError {
  static override readonly kind: ErrorKind = 'api';
}

/** The agent was switched off by its owner (`AGENT_INACTIVE`). */
export class AgentInactiveError extends AuthenticationError {
  static override readonly kind: ErrorKind = 'agent_inactive';
}

/** The account of the agent's owner is suspended (`AGENT_USER_SUSPENDED`). */
export class AgentUserSuspendedError extends AuthenticationError {
  static override readonly kind: ErrorKind = 'agent_user_suspended';
}

/** The platform cannot look at agents' tokens at the moment (`AUTH_UNAVAILABLE`); nothing is wrong with this one. */
export class AuthUnavailableError extends ApiError {
  static override readonly kind: ErrorKind = 'auth_unavailable';
}

/**
 * The platform cannot look at sites' tokens at the moment (`SITE_TOKEN_AUTH_UNAVAILABLE`); nothing is wrong with this
 * one.
 */
export class SiteAuthUnavailableError extends ApiError {
  static override readonly kind: ErrorKind = 'site_auth_unavailable';
}

/** The broker does not know this approval. */
export class NotFoundError extends LimeError {
  static override readonly kind: ErrorKind = 'not_found';
}

/** A passport that must not be trusted: signature, key, audience, issuer or claims. */
export class InvalidPassportError extends LimeError {
  static override readonly kind: ErrorKind = 'invalid_passport';
}

/** A passport that was good once and has expired. */
export class PassportExpiredError extends InvalidPassportError {
  static override readonly kind: ErrorKind = 'passport_expired';
}

/** Why an access token is refused; a later version may know more. */
export type TokenRefusal =
  | 'missing_token'
  | 'ambiguous_token'
  | 'malformed'
  | 'unknown_key'
  | 'bad_signature'
  | 'invalid_claim'
  | 'not_yet_valid'
  | 'expired'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'forbidden_claim'
  | 'missing_subject'
  | 'missing_domain'
  | 'invalid_domain'
  | 'wrong_domain'
  | (string & {});

/** An access token that an MCP server must not trust; `reason` (and `code`) says why. */
export class InvalidTokenError extends LimeError {
  static override readonly kind: ErrorKind = 'invalid_token';

  /** `missing_token` and `ambiguous_token` are of the request rather than of a token. */
  get reason(): TokenRefusal {
    return this.code;
  }
}

/** The proof of work was not solved within its budget. */
export class PowTimeoutError extends LimeError {
  static override readonly kind: ErrorKind = 'pow_timeout';
}

/** The platform asked for a proof of work that nobody can solve. */
export class PowDifficultyError extends PowTimeoutError {
  static override readonly kind: ErrorKind = 'pow_difficulty';
}

/** Why an approval lets nothing through. */
export type ApprovalDeniedReason = 'denied' | 'expired' | 'args_changed' | 'already_used' | (string & {});

/** The operation must not run. */
export class ApprovalDeniedError extends LimeError {
  static override readonly kind: ErrorKind = 'approval_denied';
  /** Where the approval stands: `denied` or `expired`; `approved` where `reason` says why that does not count. */
  readonly status: string | undefined;
  /**
   * `denied` or `expired` by the decision; `args_changed`: the call's arguments are not those that were
   * approved; `already_used`: the approval has let a call through before, or may have.
   */
  readonly reason: ApprovalDeniedReason | undefined;
  /** What the human wrote beside the decision. */
  readonly note: string | undefined;

  constructor(
    message: string,
    options: LimeErrorOptions & {
      status?: string | undefined;
      reason?: ApprovalDeniedReason | undefined;
      note?: string | undefined;
    } = {},
  ) {
    const reason = options.reason ?? options.status ?? options.code;
    super(message, { code: reason, ...options });
    this.status = options.status;
    this.reason = reason;
    this.note = options.note;
  }
}

/** Why a webhook is refused. */
export type WebhookRefusal =
  | 'empty_secret'
  | 'missing_header'
  | 'malformed_header'
  | 'too_old'
  | 'too_new'
  | 'mismatch'
  | 'not_json'
  | 'not_an_object'
  | 'replayed'
  | 'undatable'
  | 'invalid_argument'
  | (string & {});

/** A webhook that must not be trusted; `reason` (and `code`) says why. */
export class WebhookVerificationError extends LimeError {
  static override readonly kind: ErrorKind = 'webhook';

  /**
   * `replayed` and `undatable` are by a `ReplayGuard`; `invalid_argument` by the caller: a body that is not
   * the raw bytes, a tolerance that is no time, headers that cannot be read.
   */
  get reason(): WebhookRefusal {
    return this.code;
  }
}

/** The platform gives this agent no tokens for MCP servers: it lacks the grant `oauth:mcp`. */
export class OAuthCapabilityError extends ApiError {
  static override readonly kind: ErrorKind = 'oauth_capability';
}

/** An MCP server refuses the token, also the new one that was fetched when it refused the first. */
export class McpAuthenticationError extends LimeError {
  static override readonly kind: ErrorKind = 'mcp_authentication';
}

/** An MCP server reports an error: `code` is the number of its JSON-RPC error as a text, or `HTTP_<status>`. */
export class McpError extends LimeError {
  static override readonly kind: ErrorKind = 'mcp';
}

// On the prototypes: an error shows its own members when it is printed, and its name is in front anyway. As keys, which
// no minifier changes.
const NAMED = {
  LimeError,
  InvalidArgumentError,
  ClosedError,
  AbortError,
  TimeoutError,
  WouldDeadlockError,
  InternalError,
  TransportError,
  TransportTimeoutError,
  BadResponseError,
  OutcomeUnknownError,
  RateLimitError,
  AuthenticationError,
  ApiError,
  AgentInactiveError,
  AgentUserSuspendedError,
  AuthUnavailableError,
  SiteAuthUnavailableError,
  NotFoundError,
  InvalidPassportError,
  PassportExpiredError,
  InvalidTokenError,
  PowTimeoutError,
  PowDifficultyError,
  ApprovalDeniedError,
  WebhookVerificationError,
  OAuthCapabilityError,
  McpAuthenticationError,
  McpError,
};
for (const [value, { prototype }] of Object.entries(NAMED)) {
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true });
}
