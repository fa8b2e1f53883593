/** The client of an agent worker. */

import { bridge } from './bridge.js';
import {
  type ClientOptions,
  date,
  Link,
  NO_TOKEN,
  ownEnvironment,
  type RequestOptions,
  settings,
  text,
} from './client.js';
import { defaultAddresses, type NativeAgent, type NativeProgress, native } from './native.js';
import { type LoginProgress, Reporter } from './progress.js';
import { guarded } from './raw_errors.js';

/** How a login was confirmed. */
export interface ApprovalResult {
  /** The login request. */
  readonly requestId: string;
  /** The site that created it. */
  readonly siteId: string;
  /** `APPROVED` or `DELIVERED`. */
  readonly status: string;
  /** When the request expires. */
  readonly expiresAt: Date;
  /** The agent that approved it. */
  readonly approvedAgentId: string | undefined;
}

/** The agent as the platform knows it. */
export interface AgentProfile {
  /** The agent. */
  readonly agentId: string;
  /** The LIME user who owns it. */
  readonly ownerId: string;
  /** Its public name. */
  readonly displayName: string | undefined;
  /** Its picture. */
  readonly avatarUrl: string | undefined;
  /** Its public description. */
  readonly description: string | undefined;
  /** The owner's verification level; today's platform does not tell. */
  readonly ownerKycLevel: number | undefined;
  /** A score; today's platform does not tell. */
  readonly agentReputation: number | undefined;
  /** The platform's `data` as it came, with whatever this version does not know. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Settings of a {@link LimeAgent}. */
export interface LimeAgentOptions extends ClientOptions {
  /** The agent's secret, `at_…`; else `LIME_AGENT_TOKEN`. */
  agentToken?: string | undefined;
  /** The API root with `/api/v1`; else `LIME_API_BASE`, else `https://lime.pics/api/v1`. */
  baseUrl?: string | undefined;
  /** Milliseconds that one proof of work may take. Default 10,000. */
  powTimeout?: number | undefined;
  /**
   * What differs between the platform's times, all at once; `powDigest` and `postRetry` change it. Default `'auto'`, which
   * works with all of them.
   */
  platform?: 'auto' | 'seed' | 'today' | undefined;
  /** The proof of work's digest. Default `'auto'`: the seed's, then today's, remembered for each API root. */
  powDigest?: 'auto' | 'seed' | 'today' | undefined;
  /** Threads of one proof of work; never this one. Default 1. */
  powThreads?: number | undefined;
  /**
   * `'today'` never repeats a POST after 500, 502 or 504; `'seed'` does, with an idempotency key; `'auto'` does so for the
   * calls that the first releases had.
   */
  postRetry?: 'auto' | 'seed' | 'today' | undefined;
}

/** Settings of {@link LimeAgent.login}. */
export interface LoginOptions extends RequestOptions {
  /** Called at once, five times a second, and at the end. What it throws, or rejects with, ends the login. */
  onProgress?: ((progress: LoginProgress) => unknown) | undefined;
}

const SETTINGS = {
  agentToken: 'string',
  baseUrl: 'string',
  timeout: 'number',
  maxRetries: 'number',
  powTimeout: 'number',
  platform: 'string',
  powDigest: 'string',
  powThreads: 'number',
  postRetry: 'string',
} as const;

type RawProfile = { [name in keyof AgentProfile]: AgentProfile[name] | null };

/**
 * Confirms login requests and reads the agent's profile. Make one per agent token and process (or worker).
 *
 * @example
 * ```js
 * const agent = new LimeAgent(); // LIME_AGENT_TOKEN
 * const { status } = await agent.login(requestId); // fetches the challenge, solves it, approves
 * ```
 */
export class LimeAgent {
  readonly #link: Link;
  readonly #native: NativeAgent;

  /**
   * Makes the client. Starts nothing and sends nothing.
   *
   * @throws AuthenticationError There is no agent token.
   * @throws InvalidArgumentError A setting makes no sense.
   */
  constructor(options: LimeAgentOptions = {}) {
    const link = new Link(options);
    const given: Record<string, unknown> = { ...settings(options, SETTINGS), logLevel: link.logLevel };
    ownEnvironment(given, {
      agentToken: ['LIME_AGENT_TOKEN', NO_TOKEN],
      baseUrl: ['LIME_API_BASE', defaultAddresses().apiRoot],
    });
    this.#native = guarded(() => new (native().Agent)(bridge().queue, link.number, given, link.transport));
    this.#link = link;
    link.owner = this;
  }

  /**
   * Confirms a site's login request: fetches its challenge, solves it, sends the approval. The proof of work runs on
   * a thread of the library; the event loop stays free.
   *
   * @throws PowTimeoutError The challenge was not solved in time.
   * @throws OutcomeUnknownError An approval was sent and its answer got lost: the site may have let the agent in.
   * @throws AuthenticationError The platform does not take the token.
   * @throws ApiError Any other error that the platform reports.
   */
  async login(requestId: string, options: LoginOptions = {}): Promise<ApprovalResult> {
    text('requestId', requestId);
    const { onProgress, signal } = options;
    const about = { requestId };
    let result: [string, string, string, number, string | null];
    if (onProgress) {
      const progress = this.#native.progress();
      const reporter = new Reporter(() => onProgress(read(progress)), signal);
      result = await reporter.around(
        this.#link.call((call) => this.#native.login(call, requestId, progress), { signal: reporter.signal, about }),
      );
      await onProgress({ ...read(progress), stage: 'done' });
    } else {
      result = await this.#link.call((call) => this.#native.login(call, requestId), { signal, about });
    }
    const [confirmed, siteId, status, expiresAt, approvedAgentId] = result;
    return {
      requestId: confirmed,
      siteId,
      status,
      expiresAt: date(expiresAt),
      approvedAgentId: approvedAgentId ?? undefined,
    };
  }

  /** Reads the agent's own profile. */
  async getProfile(options: RequestOptions = {}): Promise<AgentProfile> {
    const raw = await this.#link.call<RawProfile>((call) => this.#native.getProfile(call), { signal: options.signal });
    const { data, ...members } = raw;
    const known = Object.entries(members).map(([name, value]) => [name, value ?? undefined]);
    return { ...(Object.fromEntries(known) as AgentProfile), data: data ?? {} };
  }

  /** Refuses further calls; those under way go on. Closing twice does nothing. */
  async close(): Promise<void> {
    this.#native.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function read(progress: NativeProgress): LoginProgress {
  const [stage, hashes, difficulty, elapsed, left] = JSON.parse(progress.read()) as [
    'challenge' | 'pow' | 'approve',
    number,
    number | null,
    number,
    number,
  ];
  // No difficulty that a search can meet is outside of this.
  const expected = difficulty === null ? undefined : 2 ** Math.min(Math.max(difficulty, 0), 256);
  return { stage, hashes, expected, elapsed, left };
}
