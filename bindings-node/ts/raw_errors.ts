/** Errors on their way from the native module: not public. */

import {
  AbortError,
  AgentInactiveError,
  AgentUserSuspendedError,
  ApiError,
  ApprovalDeniedError,
  AuthenticationError,
  AuthUnavailableError,
  BadResponseError,
  ClosedError,
  type ErrorKind,
  InternalError,
  InvalidArgumentError,
  InvalidPassportError,
  InvalidTokenError,
  LimeError,
  type LimeErrorOptions,
  McpAuthenticationError,
  McpError,
  NotFoundError,
  OAuthCapabilityError,
  OutcomeUnknownError,
  PassportExpiredError,
  PowDifficultyError,
  PowTimeoutError,
  RateLimitError,
  SiteAuthUnavailableError,
  TimeoutError,
  TransportError,
  TransportTimeoutError,
  WebhookVerificationError,
  WouldDeadlockError,
} from './errors.js';
import { native } from './native.js';

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
  agent_inactive: AgentInactiveError,
  agent_user_suspended: AgentUserSuspendedError,
  auth_unavailable: AuthUnavailableError,
  site_auth_unavailable: SiteAuthUnavailableError,
  invalid_passport: InvalidPassportError,
  passport_expired: PassportExpiredError,
  invalid_token: InvalidTokenError,
  pow_timeout: PowTimeoutError,
  pow_difficulty: PowDifficultyError,
  approval_denied: ApprovalDeniedError,
  webhook: WebhookVerificationError,
  oauth_capability: OAuthCapabilityError,
  mcp_authentication: McpAuthenticationError,
  mcp: McpError,
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
  // Of napi itself: an argument of the wrong type, or a panic that was caught. Its text may be a secret: not even the
  // cause is told.
  if (ARGUMENT_CODES.test(code)) return new InvalidArgumentError(error.message, { cause: error });
  const fault = native().caughtFault();
  if (fault !== null) return fromRaw(JSON.parse(fault) as RawError);
  return new InternalError(`A fault of lime-sdk: ${error.message}`, { cause: error });
}
