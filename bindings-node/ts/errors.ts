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
  | 'invalid_passport'
  | 'passport_expired'
  | 'pow_timeout'
  | 'pow_difficulty'
  | 'approval_denied'
  | 'webhook';

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
  NotFoundError,
  InvalidPassportError,
  PassportExpiredError,
  PowTimeoutError,
  PowDifficultyError,
  ApprovalDeniedError,
  WebhookVerificationError,
};
for (const [value, { prototype }] of Object.entries(NAMED)) {
  Object.defineProperty(prototype, 'name', { value, configurable: true, writable: true });
}

/** The class of each kind. A test compares it with the core's own table. */
export const CLASSES: Readonly<Record<ErrorKind, typeof LimeError>> = {
  invalid_argument: InvalidArgumentError,
  closed: ClosedError,
  cancelled: AbortError as typeof LimeError,
  timeout: TimeoutError,
  would_deadlock: WouldDeadlockError,
  internal: InternalError,
  transport: TransportError,
  transport_timeout: TransportTimeoutError,
  bad_response: BadResponseError,
  outcome_unknown: OutcomeUnknownError,
  rate_limit: RateLimitError,
  authentication: AuthenticationError,
  api: ApiError,
  not_found: NotFoundError,
  invalid_passport: InvalidPassportError,
  passport_expired: PassportExpiredError,
  pow_timeout: PowTimeoutError,
  pow_difficulty: PowDifficultyError,
  approval_denied: ApprovalDeniedError,
  webhook: WebhookVerificationError,
};

/** An error as the native module writes it. */
export interface RawError {
  kind: ErrorKind;
  message: string;
  code: string | null;
  httpStatus: number | null;
  detail: Record<string, unknown> | null;
  requestId: string | null;
  approvalId: string | null;
  retryAfter: number | null;
}

/** The error object for a native error. */
export function fromRaw(raw: RawError, cause?: unknown): LimeError {
  // A kind that a newer core has and this does not is an error all the same.
  const found = (CLASSES as Record<string, typeof LimeError | undefined>)[raw.kind];
  const options: LimeErrorOptions & { kind?: ErrorKind } = {
    code: raw.code ?? undefined,
    httpStatus: raw.httpStatus ?? undefined,
    detail: raw.detail ?? undefined,
    requestId: raw.requestId ?? undefined,
    approvalId: raw.approvalId ?? undefined,
    retryAfter: raw.retryAfter ?? undefined,
    cause,
  };
  if (found === undefined) return new LimeError(raw.message, { ...options, kind: raw.kind });
  if (raw.kind === 'cancelled') delete options.code;
  return new found(raw.message, options);
}

/** Calls a native function; what it throws becomes an error of this library. */
export function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromThrown(error);
  }
}

const ARGUMENT_CODES = /Expected$|^InvalidArg$/;

/** The error object for what a native function has thrown. */
export function fromThrown(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  if (code === 'LIME') {
    const raw = JSON.parse(error.message) as RawError;
    // The core names settings as most languages do: `Pass site_token= or set LIME_SITE_TOKEN.`
    const camel = (_: string, name: string) => name.replace(/_(\w)/g, (__, letter: string) => letter.toUpperCase());
    return fromRaw({ ...raw, message: raw.message.replace(/\b([a-z_]+)=(?:\.\.\.)?(?= or )/g, camel) });
  }
  if (typeof code !== 'string' || error instanceof LimeError) return error;
  // Of napi itself: an argument of the wrong type, or a panic that was caught.
  if (ARGUMENT_CODES.test(code)) return new InvalidArgumentError(error.message, { cause: error });
  return new InternalError(`A fault of lime-sdk: ${error.message}`, { cause: error });
}
