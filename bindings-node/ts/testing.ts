/**
 * `lime-sdk/testing`: both platforms on a local port, for the tests of programs. With `node:test`, vitest, jest or without
 * any: it needs nothing of them.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import http from 'node:http';
import { isIP } from 'node:net';
import path from 'node:path';
import { LimeAgent, type LimeAgentOptions } from './agent.js';
import { forgetDefaultClient } from './gate.js';
import { type ApprovalStatus, Sesame, type SesameOptions } from './sesame.js';
import { LimeSite, type LimeSiteOptions } from './site.js';

/** The sandbox could not be found or started, or refused what it was asked. */
export class SandboxError extends Error {
  override readonly name: string = 'SandboxError';
  /** What the control API answered, where it did. */
  readonly httpStatus: number | undefined;

  constructor(message: string, options: { httpStatus?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.httpStatus = options.httpStatus;
  }
}

/** Less has come about than was waited for. */
export class SandboxTimeoutError extends SandboxError {
  override readonly name = 'SandboxTimeoutError';
}

/** Settings of {@link LimeSandbox.start}. What is left out is as `lime-sandbox --help` says. */
export interface LimeSandboxOptions {
  /** Leading zero bits that a proof of work needs. Default 8, which costs nothing: tests are not about them. */
  difficulty?: number | undefined;
  /** Wire forms: the seed releases', today's, or forms that both understand. */
  platform?: 'seed' | 'today' | 'both' | undefined;
  /** Milliseconds that a login request lives. */
  requestTtl?: number | undefined;
  /** Milliseconds between two keepalives of an event stream. */
  keepalive?: number | undefined;
  /** Milliseconds that an approval lives. */
  approvalTtl?: number | undefined;
  /** Milliseconds that a long poll is held at most. */
  longPoll?: number | undefined;
  /** On 127.0.0.1; 0 takes a free one. Default 0. */
  port?: number | undefined;
  /** A file that keeps approvals over restarts. */
  state?: string | undefined;
  /** Made up, not a real one; random when left out. */
  siteToken?: string | undefined;
  /** Likewise. */
  agentToken?: string | undefined;
  /** Likewise. */
  sesameApiKey?: string | undefined;
  /** Likewise. */
  webhookSecret?: string | undefined;
  /** The program; else as {@link findSandbox} finds it. */
  binary?: string | undefined;
}

/** How a rule decides. */
export interface DecisionOptions {
  /** Milliseconds that the human takes. */
  delay?: number | undefined;
  /** How many approvals; 0, the default, is all of them. */
  count?: number | undefined;
  /** What the human writes. */
  note?: string | undefined;
}

/** How long something is waited for. */
export interface AtLeast {
  /** Wait until there are so many. */
  atLeast?: number | undefined;
  /** For so many milliseconds. Default 30,000. */
  timeout?: number | undefined;
}

/** An approval as the control API lists it. */
export interface SandboxApproval {
  /** Its id. */
  readonly approval_id: string;
  /** What kind of operation it is. */
  readonly action: string;
  /** The line for the human. */
  readonly summary: string;
  /** `pending`, `approved`, `denied` or `expired`. */
  readonly status: string;
  readonly [field: string]: unknown;
}

/** A request that has arrived. */
export interface ReceivedRequest {
  /** As {@link LimeSandbox.fault} names routes. */
  readonly route: string;
  /** The HTTP status that it was answered with. */
  readonly status: number;
  readonly [field: string]: unknown;
}

/** An attempt to deliver a webhook. */
export interface WebhookDelivery {
  /** The approval that was decided. */
  readonly approval_id: string;
  /** Where it was sent to. */
  readonly url: string;
  /** Whether it was answered with success. */
  readonly delivered: boolean;
  /** What was sent and signed. */
  readonly body: string;
  readonly [field: string]: unknown;
}

/** The variables that point every client at a sandbox. */
export interface SandboxEnvironment extends Record<string, string> {
  /** The API root. */
  LIME_API_BASE: string;
  /** The platform's origin, for `TokenVerifier`. */
  LIME_BASE_URL: string;
  /** The first site's token. */
  LIME_SITE_TOKEN: string;
  /** The first agent's token. */
  LIME_AGENT_TOKEN: string;
  /** The broker. */
  SESAME_BROKER_URL: string;
  /** The broker's first API key. */
  SESAME_API_KEY: string;
  /** What webhooks are signed with. */
  SESAME_WEBHOOK_SECRET: string;
}

interface Info {
  lime_api_base: string;
  lime_base_url: string;
  site_token: string;
  agent_token: string;
  sesame_url: string;
  sesame_api_key: string;
  webhook_secret: string;
  control_url: string;
}

const TIMEOUT = 30_000;
const NOT_FOUND =
  'there is no lime-sandbox here: npm install --save-dev lime-sandbox, or name a binary with LIME_SANDBOX_BINARY';

/**
 * The path of the program `lime-sandbox`: `LIME_SANDBOX_BINARY`, else the installed package's, else on `PATH`.
 *
 * @throws SandboxError There is none; the message says how to get it.
 */
export function findSandbox(): string {
  const named = process.env.LIME_SANDBOX_BINARY;
  if (named) {
    if (!isProgram(named)) throw new SandboxError(`LIME_SANDBOX_BINARY names ${named}, which is no program`);
    return named;
  }
  try {
    // From where the program's tests are, too: with some package managers this file cannot see it.
    const found = require.resolve('lime-sandbox', { paths: [__dirname, process.cwd()] });
    return (require(found) as { binary(): string }).binary();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') {
      throw new SandboxError((error as Error).message, { cause: error });
    }
  }
  // The checkout's own.
  const built = path.join(__dirname, '../../target/debug/lime-sandbox');
  if (existsSync(path.join(__dirname, '../Cargo.toml')) && isProgram(built)) return built;
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const candidate = path.join(folder, 'lime-sandbox');
    if (folder && isProgram(candidate)) return candidate;
  }
  throw new SandboxError(NOT_FOUND);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A rule that the sandbox goes by until it is removed; `await using` removes it at the end of a block. */
export class Rule {
  readonly #sandbox: LimeSandbox;
  readonly #kind: 'rules' | 'faults';
  /** Its number in the control API. */
  readonly id: number;

  /** @internal */
  constructor(sandbox: LimeSandbox, kind: 'rules' | 'faults', id: number) {
    this.#sandbox = sandbox;
    this.#kind = kind;
    this.id = id;
  }

  /** Takes it away; one that is gone already stays gone. */
  async remove(): Promise<void> {
    try {
      await this.#sandbox.control('DELETE', `/${this.#kind}/${this.id}`);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.httpStatus !== 404) throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

/**
 * A running sandbox: both platforms on a local port, in a process of its own, which ends with this one at the latest.
 *
 * @example
 * ```js
 * import { after, before, test } from 'node:test';
 * import { LimeSandbox } from 'lime-sdk/testing';
 *
 * let sandbox;
 * before(async () => {
 *   sandbox = await LimeSandbox.start();
 *   sandbox.useEnvironment(); // LIME_* and SESAME_* point at it
 * });
 * after(() => sandbox.close());
 *
 * test('a refund is made when it is approved', async () => {
 *   await sandbox.autoApprove('payments.*');
 *   await issueRefund(4_200, 'cus_123'); // your code, with its requireApproval
 * });
 * ```
 */
export class LimeSandbox {
  readonly #process: SandboxProcess | undefined;
  #restore: (() => void) | undefined;
  /** For `baseUrl` of `LimeSite` and `LimeAgent`. */
  readonly apiBase: string;
  /** For `baseUrl` of `TokenVerifier`: the same without `/api/v1`. */
  readonly baseUrl: string;
  /** The first site's token. */
  readonly siteToken: string;
  /** The first agent's token. */
  readonly agentToken: string;
  /** For `baseUrl` of `Sesame`; in a browser, the inbox. */
  readonly sesameUrl: string;
  /** The broker's first API key. */
  readonly sesameApiKey: string;
  /** What webhooks are signed with. */
  readonly webhookSecret: string;
  /** The control API. */
  readonly controlUrl: string;

  private constructor(info: Info, running: SandboxProcess | undefined) {
    this.#process = running;
    this.apiBase = info.lime_api_base;
    this.baseUrl = info.lime_base_url;
    this.siteToken = info.site_token;
    this.agentToken = info.agent_token;
    this.sesameUrl = info.sesame_url;
    this.sesameApiKey = info.sesame_api_key;
    this.webhookSecret = info.webhook_secret;
    this.controlUrl = info.control_url;
  }

  /**
   * Starts one; it is ready when the promise is fulfilled, some milliseconds later.
   *
   * @throws SandboxError There is no `lime-sandbox`, or it did not start.
   */
  static async start(options: LimeSandboxOptions = {}): Promise<LimeSandbox> {
    const seconds = (millis: number | undefined) => (millis === undefined ? undefined : millis / 1000);
    const given: Record<string, string | number | undefined> = {
      '--difficulty': options.difficulty ?? 8,
      '--platform': options.platform,
      '--request-ttl': seconds(options.requestTtl),
      '--keepalive': seconds(options.keepalive),
      '--approval-ttl': seconds(options.approvalTtl),
      '--long-poll': seconds(options.longPoll),
      '--port': options.port ?? 0,
      '--state': options.state,
      '--site-token': options.siteToken,
      '--agent-token': options.agentToken,
      '--sesame-api-key': options.sesameApiKey,
      '--webhook-secret': options.webhookSecret,
    };
    const set = Object.entries(given).filter(([, value]) => value !== undefined);
    const running = new SandboxProcess(
      options.binary ?? findSandbox(),
      set.map(([name, value]) => `${name}=${value}`),
    );
    return new LimeSandbox(await running.info(), running);
  }

  /**
   * Uses a sandbox that runs already, as in `npx lime-sandbox` in another terminal.
   *
   * @param controlUrl As it prints it, `http://127.0.0.1:PORT/_sandbox`.
   * @throws SandboxError What answers there is not a sandbox on this machine.
   */
  static async connect(controlUrl: string): Promise<LimeSandbox> {
    return new LimeSandbox(await identify(controlUrl), undefined);
  }

  /** Ends it, and puts the environment back. One that was only connected to goes on. */
  async close(): Promise<void> {
    this.#restore?.();
    await this.#process?.end('SIGTERM');
  }

  /** Ends it as a crash would, to see what your code does then. */
  async kill(): Promise<void> {
    if (!this.#process) throw new SandboxError("this sandbox is somebody else's process");
    await this.#process.end('SIGKILL');
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whether it is there. One that was only connected to is taken at its word. */
  get running(): boolean {
    return this.#process?.running ?? true;
  }

  /**
   * Back to the start: no requests, approvals, rules or faults, the first settings, the real clock. Addresses, first tokens
   * and the webhook secret stay. Open streams and long polls end. Takes a millisecond: do it before each test.
   */
  async reset(): Promise<void> {
    await this.control('POST', '/reset');
  }

  /** The variables that point every client at it, for `env` of a child process. */
  get environment(): SandboxEnvironment {
    return {
      LIME_API_BASE: this.apiBase,
      LIME_BASE_URL: this.baseUrl,
      LIME_SITE_TOKEN: this.siteToken,
      LIME_AGENT_TOKEN: this.agentToken,
      SESAME_BROKER_URL: this.sesameUrl,
      SESAME_API_KEY: this.sesameApiKey,
      SESAME_WEBHOOK_SECRET: this.webhookSecret,
    };
  }

  /**
   * Points this process at it, and the client that `requireApproval` shares: until the function that it gives is called, or
   * until {@link close}. In a worker, only that worker.
   */
  useEnvironment(): () => void {
    this.#restore?.();
    const names = Object.keys(this.environment);
    const before = names.map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, this.environment);
    // It was made from the environment as it was.
    forgetDefaultClient();
    this.#restore = () => {
      this.#restore = undefined;
      forgetDefaultClient();
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    };
    return this.#restore;
  }

  /** A `LimeSite` of the first site. */
  site(options: LimeSiteOptions = {}): LimeSite {
    return new LimeSite({ siteToken: this.siteToken, baseUrl: this.apiBase, ...options });
  }

  /** A `LimeAgent` of the first agent. */
  agent(options: LimeAgentOptions = {}): LimeAgent {
    return new LimeAgent({ agentToken: this.agentToken, baseUrl: this.apiBase, ...options });
  }

  /** A `Sesame` with the first API key. */
  sesame(options: SesameOptions = {}): Sesame {
    return new Sesame({ apiKey: this.sesameApiKey, baseUrl: this.sesameUrl, ...options });
  }

  /**
   * Approves what is asked for from now on, and what is pending, until the rule is removed.
   *
   * @param pattern Which actions; `*` is any text, `?` one character.
   * @throws SandboxError This is not, or no longer, a sandbox; or the environment is such that real people would be asked:
   * `SESAME_BROKER_URL` is a broker on another machine, or is not set beside a `SESAME_API_KEY` that is not the sandbox's.
   */
  autoApprove(pattern = '*', options: DecisionOptions = {}): Promise<Rule> {
    return this.#rule('approved', pattern, options);
  }

  /** Denies instead, as {@link autoApprove} approves. The first rule that fits an action decides. */
  deny(pattern = '*', options: DecisionOptions = {}): Promise<Rule> {
    return this.#rule('denied', pattern, options);
  }

  async #rule(decision: string, action: string, options: DecisionOptions): Promise<Rule> {
    await this.#onlyASandbox();
    const { delay = 0, count = 0, note } = options;
    const rule = { action, decision, delay_ms: Math.round(delay), count, ...(note === undefined ? {} : { note }) };
    const { ids } = (await this.control('POST', '/rules', rule)) as { ids: [number] };
    return new Rule(this, 'rules', ids[0]);
  }

  /**
   * Decides one approval.
   *
   * @param approval It, or its id.
   * @throws SandboxError There is no such approval, or it is not pending.
   */
  async decide(
    approval: string | { readonly approvalId: string },
    decision: 'approved' | 'denied' = 'approved',
    options: { note?: string | undefined } = {},
  ): Promise<void> {
    await this.#onlyASandbox();
    await this.control('POST', `/approvals/${id(approval)}/decision`, { decision, ...options });
  }

  /** Signs the first agent in, without a proof of work. */
  async approveLogin(request: string | { readonly requestId: string }): Promise<void> {
    await this.#onlyASandbox();
    await this.control('POST', `/login-requests/${id(request)}/approve`, {});
  }

  /** Lets an approval or a login request expire ahead of time. */
  async expire(what: string | { readonly approvalId: string } | { readonly requestId: string }): Promise<void> {
    try {
      await this.control('POST', `/approvals/${id(what)}/expire`);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.httpStatus !== 404) throw error;
      await this.control('POST', `/login-requests/${id(what)}/expire`, {});
    }
  }

  /**
   * The approvals that were asked for, oldest first.
   *
   * @throws SandboxTimeoutError There are fewer than `atLeast`.
   */
  approvals(options: AtLeast & { status?: ApprovalStatus | undefined } = {}): Promise<SandboxApproval[]> {
    return this.#listing('approvals', options.timeout, { status: options.status, min: options.atLeast ?? 0 });
  }

  /**
   * Makes requests fail: once, `count` times, or until the rule is removed (`count: 0`).
   *
   * @param route `create_request`, `read_request`, `events`, `jwks`, `challenge`, `approve`, `profile`, `trigger_approval`,
   * `read_approval` or `*`.
   * @param rule `action`, `status`, `body`, `headers`, `location`, `delay_ms`, `skip`, `count`, `reset` …: the sandbox's
   * README lists them.
   */
  async fault(route: string, rule: Readonly<Record<string, unknown>> = {}): Promise<Rule> {
    const { ids } = (await this.control('POST', '/faults', { route, ...rule })) as { ids: [number] };
    return new Rule(this, 'faults', ids[0]);
  }

  /** Ends all event streams: as complete responses, or with `abort` in the middle of them. */
  async disconnect(options: { abort?: boolean | undefined } = {}): Promise<void> {
    await this.control('POST', '/streams/disconnect', { abort: options.abort === true });
  }

  /** Signs passports with a new key from now on. */
  async rotateKeys(options: { keepOld?: boolean | undefined } = {}): Promise<void> {
    await this.control('POST', '/keys/rotate', { keep_old: options.keepOld === true });
  }

  /**
   * Issues an access token for MCP servers, past the platform's rules: to test a server with.
   *
   * @param domain The host name that it is for, as it is.
   * @param options Whose it is (the first agent's if left out), and claims over the usual ones; `null` leaves one out.
   * @returns The JWT.
   */
  async mcpToken(
    domain: string,
    options: { agentId?: string | undefined; claims?: Readonly<Record<string, unknown>> | undefined } = {},
  ): Promise<string> {
    const body = { domain, agent_id: options.agentId, claims: options.claims ?? {} };
    return ((await this.control('POST', '/mcp-tokens', body)) as { access_token: string }).access_token;
  }

  /** Puts the platforms' clock forward by so many milliseconds: what is due by then expires at once. */
  async advance(millis: number): Promise<void> {
    await this.control('POST', '/clock', { advance_seconds: millis / 1000 });
  }

  /** Changes settings (`pow_difficulty`, `request_ttl_seconds`, `platform` …); gives all of them. */
  async settings(changes: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    return (await this.control('PATCH', '/settings', changes)) as Record<string, unknown>;
  }

  /**
   * The requests that arrived, with `route`, `headers`, `body`, `status` …, oldest first.
   *
   * @param route Only those for this route, named as for {@link fault}.
   * @throws SandboxTimeoutError There are fewer than `atLeast`.
   */
  received(route?: string, options: AtLeast = {}): Promise<ReceivedRequest[]> {
    return this.#listing('received', options.timeout, { route, min: options.atLeast ?? 0 });
  }

  /**
   * The attempts to deliver webhooks.
   *
   * @param approval Only those about this one, or its id.
   * @throws SandboxTimeoutError There are fewer than `atLeast`.
   */
  webhooks(approval?: string | { readonly approvalId: string }, options: AtLeast = {}): Promise<WebhookDelivery[]> {
    const about = approval === undefined ? undefined : decodeURIComponent(id(approval));
    return this.#listing('webhooks', options.timeout, { approval_id: about, min: options.atLeast ?? 0 });
  }

  /**
   * Is fulfilled when so many event streams are open: from then on each gets every event.
   *
   * @throws SandboxTimeoutError There are fewer.
   */
  async waitForStreams(count = 1, options: { timeout?: number | undefined } = {}): Promise<void> {
    await this.#listing('streams', options.timeout, { min_open: count });
  }

  async #listing<T>(
    what: string,
    timeout: number = TIMEOUT,
    query: Record<string, string | number | undefined> = {},
  ): Promise<T[]> {
    const set = Object.entries({ ...query, wait_ms: Math.round(timeout) }).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(set.map(([name, value]): [string, string] => [name, String(value)]));
    try {
      const found = await this.control('GET', `/${what}?${search}`, undefined, { timeout: timeout + TIMEOUT });
      return (found as Record<string, T[]>)[what] ?? [];
    } catch (error) {
      if (!(error instanceof SandboxError) || error.httpStatus !== 504) throw error;
      throw new SandboxTimeoutError(`fewer ${what} than wanted after ${timeout} ms`, { httpStatus: 504 });
    }
  }

  /**
   * Any call of the control API, as the sandbox's README lists them.
   *
   * @param path Below the control URL, as `/clock`.
   * @param body Sent as JSON.
   * @throws SandboxError It refused, or is not there.
   */
  control(
    method: string,
    path: string,
    body?: unknown,
    options: { timeout?: number | undefined } = {},
  ): Promise<unknown> {
    return send(this.controlUrl, method, path, body, options.timeout ?? TIMEOUT);
  }

  /** Refuses to decide anything for anybody but a sandbox. */
  async #onlyASandbox(): Promise<void> {
    if ((await identify(this.controlUrl)).site_token !== this.siteToken) {
      throw new SandboxError(`what answers at ${this.controlUrl} is not this sandbox any more`);
    }
    const [broker = '', key = ''] = ['SESAME_BROKER_URL', 'SESAME_API_KEY'].map((name) => process.env[name]?.trim());
    if (broker === '' ? key === '' || key === this.sesameApiKey : isLocal(broker)) return;
    // Without a URL a client asks the broker that everybody uses.
    const found = broker === '' ? 'is not set and SESAME_API_KEY is no key of this sandbox' : `is ${broker}`;
    throw new SandboxError(
      `SESAME_BROKER_URL ${found}: code under test would ask real people. Use sandbox.useEnvironment()`,
    );
  }
}

function id(what: string | { readonly approvalId?: string; readonly requestId?: string }): string {
  return encodeURIComponent(typeof what === 'string' ? what : String(what.approvalId ?? what.requestId));
}

function isLocal(url: string): boolean {
  let host: string;
  try {
    host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  } catch {
    return false;
  }
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** What the sandbox there says of itself; an error when it is none. */
async function identify(controlUrl: string): Promise<Info> {
  if (!controlUrl.startsWith('http://') || !isLocal(controlUrl)) {
    throw new SandboxError(`${controlUrl} is not a sandbox: those are http://127.0.0.1:PORT/_sandbox`);
  }
  const info = (await send(controlUrl, 'GET', '/info', undefined, TIMEOUT)) as Info | null;
  if (info?.control_url !== controlUrl) throw new SandboxError(`what answers at ${controlUrl} is not a sandbox`);
  return info;
}

/** One call. Not `fetch`, which tests replace, and which may go through a proxy. */
function send(controlUrl: string, method: string, route: string, body: unknown, timeout: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = content ? { 'content-type': 'application/json', 'content-length': content.length } : {};
    const fail = (cause: Error) =>
      reject(new SandboxError(`no sandbox answers at ${controlUrl}: ${cause.message}`, { cause }));
    // Without an agent: no connection is left behind that would keep a test's process alive.
    const request = http.request(controlUrl + route, { method, headers, timeout, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const httpStatus = response.statusCode ?? 0;
        let answer: unknown;
        try {
          answer = text === '' ? null : JSON.parse(text);
        } catch (cause) {
          reject(new SandboxError(`what answers at ${controlUrl} is not a sandbox`, { httpStatus, cause }));
          return;
        }
        if (httpStatus >= 400) {
          const reason = (answer as { error?: string } | null)?.error ?? text;
          reject(new SandboxError(`${method} ${route}: ${reason}`, { httpStatus }));
        } else {
          resolve(answer);
        }
      });
    });
    request.on('error', fail);
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeout} ms`)));
    request.end(content);
  });
}

/** One running `lime-sandbox`. It ends when its standard input does, so with this process at the latest. */
class SandboxProcess {
  readonly #child: ChildProcess;
  readonly #binary: string;
  readonly #ended: Promise<void>;
  #said = '';

  constructor(binary: string, options: string[]) {
    this.#binary = binary;
    this.#child = spawn(binary, ['--json', '--quiet', '--exit-with-parent', ...options], { stdio: 'pipe' });
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-4096);
    });
  }

  /** Its first line: it is ready then. */
  async info(): Promise<Info> {
    const child = this.#child;
    const line = await new Promise<string>((resolve, reject) => {
      let read = '';
      const timer = setTimeout(() => reject(this.#fault('it said nothing in time')), TIMEOUT);
      const done = (settle: () => void) => {
        clearTimeout(timer);
        settle();
      };
      child.once('error', (error) => done(() => reject(this.#fault(error.message))));
      child.once('exit', () => done(() => reject(this.#fault(this.#said.trim() || 'it said nothing'))));
      child.stdout?.on('data', (chunk: Buffer) => {
        read += chunk.toString();
        const end = read.indexOf('\n');
        if (end >= 0) done(() => resolve(read.slice(0, end)));
      });
    }).catch(async (error: unknown) => {
      await this.end('SIGKILL');
      throw error;
    });
    // A test that forgets it must not hang: from here on it does not keep this process alive.
    child.unref();
    for (const pipe of [child.stdin, child.stdout, child.stderr])
      (pipe as unknown as { unref?(): void } | null)?.unref?.();
    try {
      return JSON.parse(line) as Info;
    } catch {
      await this.end('SIGKILL');
      throw this.#fault(line);
    }
  }

  #fault(why: string): SandboxError {
    return new SandboxError(`${this.#binary} did not start: ${why}`);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.ref();
    if (this.running && this.#child.pid !== undefined) this.#child.kill(signal);
    await this.#ended;
  }
}
