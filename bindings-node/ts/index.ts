export { type AgentProfile, type ApprovalResult, LimeAgent, type LimeAgentOptions, type LoginOptions } from './agent.js';
export type { ClientOptions, Logger, RequestOptions } from './client.js';
export * from './errors.js';
export type { Fetch, FetchInit, FetchResponse } from './fetch.js';
export type { LoginProgress, WaitProgress } from './progress.js';
export {
  LimeSite,
  type LimeSiteEvents,
  type LimeSiteListener,
  type LimeSiteOptions,
  type LoginEvent,
  type LoginRequest,
  type LoginRequestStatus,
  type Passport,
  type PassportClaims,
  type StreamState,
  type StreamStatus,
  type VerifyPassportOptions,
  type WaitForLoginOptions,
} from './site.js';
export { type Gate, type Gated, type OfCall, requireApproval, type RequireApprovalOptions } from './gate.js';
export { verifyPassport, type VerifyPassportWithKeysOptions } from './passport.js';
export { solvePow, type SolvePowOptions } from './pow.js';
export {
  Approval,
  type ApprovalRequest,
  Approvals,
  type ApprovalStatus,
  type GetApprovalOptions,
  Sesame,
  type SesameOptions,
  type WaitOptions,
} from './sesame.js';
export {
  ReplayGuard,
  type ReplayGuardOptions,
  SIGNATURE_HEADER,
  signWebhook,
  TIMESTAMP_HEADER,
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookHeaders,
  type WebhookPayload,
  type WebhookSecret,
} from './webhook.js';
