export {
  type AgentProfile,
  type ApprovalResult,
  LimeAgent,
  type LimeAgentOptions,
  type LoginOptions,
  type McpAccessToken,
  type McpTokenOptions,
} from './agent.js';
export type { ClientOptions, Logger, RequestOptions } from './client.js';
export * from './errors.js';
export type { Fetch, FetchInit, FetchResponse } from './fetch.js';
export { type Gate, type Gated, type OfCall, type RequireApprovalOptions, requireApproval } from './gate.js';
export type {
  McpContent,
  McpLoggingLevel,
  McpPrompt,
  McpPromptResult,
  McpReadResult,
  McpResource,
  McpResourceContents,
  McpResourceTemplate,
  McpSchema,
  McpServerCapabilities,
  McpTool,
  McpToolResult,
} from './mcp.js';
export { McpSession } from './mcp_session.js';
export { extractAndNormalizeDomain, resolveMcpHttpUrl } from './mcp_target.js';
export {
  type VerifyBindingPassportWithKeysOptions,
  type VerifyPassportWithKeysOptions,
  verifyBindingPassport,
  verifyPassport,
} from './passport.js';
export { type SolvePowOptions, solvePow } from './pow.js';
export type { LoginProgress, WaitProgress } from './progress.js';
export {
  Approval,
  type ApprovalRequest,
  type ApprovalStatus,
  Approvals,
  type GetApprovalOptions,
  Sesame,
  type SesameOptions,
  type WaitOptions,
} from './sesame.js';
export {
  type BindingRequest,
  type CreateBindingRequestOptions,
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
  type VerifyBindingPassportOptions,
  type VerifyPassportOptions,
  type WaitForLoginOptions,
} from './site.js';
export {
  type AccessTokenClaims,
  normalizeMcpDomain,
  TokenVerifier,
  type TokenVerifierOptions,
  type VerifiedToken,
  type VerifyAccessTokenOptions,
  verifyAccessToken,
} from './token_verifier.js';
export {
  ReplayGuard,
  type ReplayGuardOptions,
  SIGNATURE_HEADER,
  type SignWebhookOptions,
  signWebhook,
  TIMESTAMP_HEADER,
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookHeaders,
  type WebhookPayload,
  type WebhookSecret,
} from './webhook.js';
