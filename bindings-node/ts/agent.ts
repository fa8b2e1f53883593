/** The client of an agent worker. */

import { bridge } from './bridge.js';
import {
  type ClientOptions,
  date,
  Link,
  ownEnvironment,
  type RequestOptions,
  settings,
  text,
  tlsPins,
} from './client.js';
import { InvalidArgumentError } from './errors.js';
import type {
  McpLoggingLevel,
  McpPrompt,
  McpPromptResult,
  McpReadResult,
  McpResource,
  McpResourceTemplate,
  McpServerCapabilities,
  McpTool,
  McpToolResult,
} from './mcp.js';
import { McpSession } from './mcp_session.js';
import { type NativeAgent, type NativeProgress, native } from './native.js';
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

/** A token for the MCP servers of one host name. */
export interface McpAccessToken {
  /** The JWT, for `Authorization: Bearer …`; not shown when the object is printed. */
  readonly accessToken: string;
  /** What kind of token it is. */
  readonly tokenType: 'Bearer';
  /** Seconds that it lives from `issuedAt` on. */
  readonly expiresIn: number;
  /** When it was fetched. */
  readonly issuedAt: Date;
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
  /** Milliseconds before its end from which on a token for MCP servers is renewed. Default 30,000. */
  mcpTokenRefreshSkew?: number | undefined;
  /** Milliseconds that an MCP server may take to answer, and between two pieces of its answer. Default 300,000. */
  mcpReadTimeout?: number | undefined;
  /** Call each MCP server for one thing after the other. Default true. */
  serializeMcpPerUrl?: boolean | undefined;
  /**
   * IP addresses of MCP servers by their host names, in place of the name system; else `LIME_MCP_ADDRESSES`
   * (`tools.example.com=127.0.0.1,…`). For tests, and for networks with names of their own.
   */
  mcpAddresses?: Readonly<Record<string, string>> | undefined;
}

/** Settings of {@link LimeAgent.login}. */
export interface LoginOptions extends RequestOptions {
  /** Called at once, five times a second, and at the end. What it throws, or rejects with, ends the login. */
  onProgress?: ((progress: LoginProgress) => unknown) | undefined;
}

/** Settings of {@link LimeAgent.getMcpAccessToken}. */
export interface McpTokenOptions extends RequestOptions {
  /** Fetch a new one, whatever is held. Default false. */
  forceRefresh?: boolean | undefined;
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
  mcpTokenRefreshSkew: 'number',
  mcpReadTimeout: 'number',
  serializeMcpPerUrl: 'boolean',
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
    const given: Record<string, unknown> = {
      ...settings(options, SETTINGS),
      tlsPins: tlsPins(options),
      environment: ownEnvironment(),
      logLevel: link.logLevel,
    };
    if (options.mcpAddresses !== undefined) given.mcpAddresses = { ...options.mcpAddresses };
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

  /**
   * A token for the MCP servers of a host name; the one that is held, as long as it lives. Tokens are kept for each host
   * name and fetched by one call at a time.
   *
   * @param target A URL or a host name: {@link extractAndNormalizeDomain}.
   * @throws InvalidArgumentError The target is no public DNS name.
   * @throws OAuthCapabilityError The agent lacks the grant `oauth:mcp`.
   * @throws AuthenticationError The platform does not take the agent's token.
   * @throws ApiError Any other error that the platform reports.
   */
  async getMcpAccessToken(target: string, options: McpTokenOptions = {}): Promise<McpAccessToken> {
    text('target', target);
    const [accessToken, expiresIn, issuedAt] = await this.#link.call<[string, number, number]>(
      (call) => this.#native.getMcpAccessToken(call, target, options.forceRefresh === true),
      { signal: options.signal },
    );
    const token = { accessToken, tokenType: 'Bearer', expiresIn, issuedAt: new Date(issuedAt) } as const;
    // Programs print objects.
    const shown = () => ({ ...token, accessToken: '***' });
    return Object.defineProperty(token, Symbol.for('nodejs.util.inspect.custom'), { value: shown });
  }

  /**
   * The tools of an MCP server, of all pages.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async listTools(target: string, options: RequestOptions = {}): Promise<readonly McpTool[]> {
    const result = await this.#mcp<{ tools?: McpTool[] }>(target, 'tools/list', {}, true, options);
    return result.tools ?? [];
  }

  /**
   * Calls a tool of an MCP server. That the tool itself failed is a result, too: `isError`.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   * @param name The tool.
   * @param args Its arguments, which JSON can hold.
   * @throws InvalidArgumentError The target is no public DNS name, or the arguments are not for JSON.
   * @throws McpError The server reports an error.
   * @throws McpAuthenticationError It refuses the token, also a new one.
   * @throws OAuthCapabilityError The platform gives this agent no tokens for MCP servers.
   * @throws OutcomeUnknownError The tool was called and the answer got lost: it may have run.
   *
   * @example
   * ```js
   * const { content } = await agent.callTool('https://tools.example.com/mcp', 'echo', { text: 'hi' });
   * ```
   */
  async callTool(
    target: string,
    name: string,
    args: object = {},
    options: RequestOptions = {},
  ): Promise<McpToolResult> {
    const params = { name: text('name', name), arguments: args };
    const result = await this.#mcp<McpToolResult>(target, 'tools/call', params, true, options);
    return { ...result, isError: result.isError === true };
  }

  /**
   * The resources of an MCP server, of all pages.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async listResources(target: string, options: RequestOptions = {}): Promise<readonly McpResource[]> {
    const result = await this.#mcp<{ resources?: McpResource[] }>(target, 'resources/list', {}, true, options);
    return result.resources ?? [];
  }

  /**
   * The templates of resources of an MCP server, of all pages.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async listResourceTemplates(target: string, options: RequestOptions = {}): Promise<readonly McpResourceTemplate[]> {
    const result = await this.#mcp<{ resourceTemplates?: McpResourceTemplate[] }>(
      target,
      'resources/templates/list',
      {},
      true,
      options,
    );
    return result.resourceTemplates ?? [];
  }

  /**
   * Reads a resource of an MCP server.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   * @param uri The resource.
   */
  async readResource(target: string, uri: string, options: RequestOptions = {}): Promise<McpReadResult> {
    return this.#mcp<McpReadResult>(target, 'resources/read', { uri: String(uri) }, true, options);
  }

  /**
   * The prompts of an MCP server, of all pages.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async listPrompts(target: string, options: RequestOptions = {}): Promise<readonly McpPrompt[]> {
    const result = await this.#mcp<{ prompts?: McpPrompt[] }>(target, 'prompts/list', {}, true, options);
    return result.prompts ?? [];
  }

  /**
   * Fills in a prompt of an MCP server.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   * @param name The prompt.
   * @param args Its arguments.
   */
  async getPrompt(
    target: string,
    name: string,
    args: Record<string, string> = {},
    options: RequestOptions = {},
  ): Promise<McpPromptResult> {
    const params = { name: text('name', name), arguments: args };
    return this.#mcp<McpPromptResult>(target, 'prompts/get', params, true, options);
  }

  /**
   * Asks whether an MCP server is there.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async sendPing(target: string, options: RequestOptions = {}): Promise<void> {
    await this.#mcp(target, 'ping', {}, true, options);
  }

  /**
   * Says from which level on an MCP server is to send log records.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   * @param level `debug` to `emergency`.
   */
  async setLoggingLevel(target: string, level: McpLoggingLevel, options: RequestOptions = {}): Promise<void> {
    await this.#mcp(target, 'logging/setLevel', { level: text('level', level) }, true, options);
  }

  /**
   * What an MCP server can do, as it said when the session with it began.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async getServerCapabilities(target: string, options: RequestOptions = {}): Promise<McpServerCapabilities> {
    return this.#mcp<McpServerCapabilities>(target, 'initialize', {}, true, options);
  }

  /**
   * Tells an MCP server how far something has come that it asked for.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   * @param progressToken The server's token for it.
   * @param progress How far it has come.
   * @param total How far it has to come, if that is known.
   */
  async sendProgressNotification(
    target: string,
    progressToken: string | number,
    progress: number,
    total?: number,
    options: RequestOptions = {},
  ): Promise<void> {
    const params = { progressToken, progress, ...(total === undefined ? {} : { total }) };
    await this.#mcp(target, 'notifications/progress', params, true, options);
  }

  /**
   * The session with an MCP server, for what the methods above do not offer. It begins with this if there is none yet.
   *
   * @param target The server: its URL, or a host name, which stands for `https://<host>/mcp`.
   */
  async mcpSession(target: string, options: RequestOptions = {}): Promise<McpSession> {
    const capabilities = await this.getServerCapabilities(target, options);
    return new McpSession(
      (method, params, whole, rest) => this.#mcp(target, method, params, whole, rest),
      capabilities,
    );
  }

  async #mcp<T>(target: string, method: string, params: object, whole: boolean, options: RequestOptions): Promise<T> {
    text('target', target);
    const written = json(params);
    const result = await this.#link.call<string>((call) => this.#native.mcp(call, target, method, written, whole), {
      signal: options.signal,
    });
    return JSON.parse(result) as T;
  }

  /**
   * Refuses further calls; those under way go on. MCP servers are told that their sessions are over, without waiting for
   * it. Closing twice does nothing.
   */
  async close(): Promise<void> {
    this.#native.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The arguments as JSON; what JSON has no word for is refused rather than left out. */
function json(params: object): string {
  try {
    return JSON.stringify(params, (_, value: unknown) => {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
      return value;
    });
  } catch (error) {
    throw new InvalidArgumentError(`The arguments are not for JSON: ${(error as Error).message}`, { cause: error });
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
