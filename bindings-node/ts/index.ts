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
