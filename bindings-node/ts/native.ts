/**
 * The native module: where it is, and what it has. Its functions take and give text, numbers and bytes;
 * structured results are JSON (see `bindings-node/src`).
 */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface NativeQueue {
  take(): string;
  handled(delivery: number): void;
  keepAlive(alive: boolean): void;
}

export interface NativeTransport {
  head(exchange: number, status: number, headers: string[]): void;
  chunk(exchange: number, chunk: Uint8Array): boolean;
  end(exchange: number): void;
  fail(exchange: number, message: string, reach: 'not_sent' | 'maybe_sent' | 'host_fault', timedOut: boolean): void;
}

export interface NativeSite {
  startEvents(): void;
  watchState(): void;
  watchGaps(): void;
  streamStatus(): string;
  createLoginRequest(call: number): number;
  readLoginRequest(call: number, requestId: string): number;
  waitForLogin(call: number, requestId: string, timeout: number): number;
  verifyPassportCached(jwt: string, expected?: string): string | null;
  verifyPassport(call: number, jwt: string, expected?: string): number;
  createBindingRequest(call: number, redirectUri: string): number;
  exchangeBindingCode(call: number, code: string): number;
  verifyBindingPassportCached(jwt: string, expected?: string): string | null;
  verifyBindingPassport(call: number, jwt: string, expected?: string): number;
  close(): void;
}

export interface NativeProgress {
  read(): string;
}

export interface NativeAgent {
  progress(): NativeProgress;
  login(call: number, requestId: string, progress?: NativeProgress): number;
  getProfile(call: number): number;
  getMcpAccessToken(call: number, target: string, forceRefresh: boolean): number;
  mcp(call: number, target: string, method: string, params: string, whole: boolean): number;
  close(): void;
}

export interface NativeApprovalRequest {
  action: string;
  summary: string;
  reason?: string | undefined;
  dedupKey?: string | undefined;
  callbackUrl?: string | undefined;
  severity?: string | undefined;
  context?: string | undefined;
}

export interface NativeSesame {
  trigger(call: number, request: NativeApprovalRequest): number;
  get(call: number, approvalId: string, wait: boolean): number;
  wait(call: number, approvalId: string, timeout: number, pollInterval: number): number;
  close(): void;
}

export interface NativeTokenVerifier {
  readonly expectedDomain: string;
  readonly fetches: number;
  verifyCached(jwt: string): string | null;
  verify(call: number, jwt: string): number;
  warmUp(call: number): number;
  forgetKeys(): void;
  close(): void;
}

export interface NativeReplayGuard {
  forget(body: Uint8Array): boolean;
}

export interface NativeEventParser {
  feed(chunk: Uint8Array): string;
  readonly lastEventId: string;
  readonly retryMillis: number | null;
}

type Settings = Record<string, unknown>;

export interface Native {
  version(): string;
  /** The API root of whoever was told none. */
  defaultApiRoot(): string;
  errorKinds(): string;
  /** The error of a panic that was caught on this thread just now, as JSON; null, if there was none. */
  caughtFault(): string | null;
  cancel(operation: number): boolean;
  extractAndNormalizeDomain(target: string): string;
  resolveMcpHttpUrl(target: string): string;
  solvePow(
    queue: NativeQueue,
    call: number,
    challenge: string,
    difficulty: number,
    digest: string,
    timeout: number,
    threads: number,
  ): number;
  openEnvelope(httpStatus: number, body: Uint8Array): string;
  parseTimestamp(text: string): string;
  parseFrame(data: string): string;
  verifyPassport(
    jwt: string,
    jwks: Uint8Array,
    apiRoot: string,
    expectedRequestId: string | undefined,
    requireIssuer: boolean,
    now: number,
  ): string;
  verifyBindingPassport(
    jwt: string,
    jwks: Uint8Array,
    apiRoot: string,
    expectedBindingId: string | undefined,
    requireIssuer: boolean,
    now: number,
  ): string;
  verifyAccessToken(
    jwt: string,
    jwks: Uint8Array,
    issuer: string,
    expectedDomain: string,
    audience: string,
    leeway: number,
    now: number,
  ): string;
  normalizeMcpDomain(domain: string): string;
  bearerToken(authorization: string[]): string;
  tokenRefusal(
    kind: string,
    code: string,
    message: string,
    retryAfter: number | undefined,
    resourceMetadata: string | undefined,
  ): string;
  webhookConcerns(name: string): boolean;
  verifyWebhook(
    headers: Uint8Array[],
    body: Uint8Array,
    secrets: Uint8Array[],
    tolerance: number,
    now: number,
    guard: NativeReplayGuard | undefined,
  ): string;
  signWebhook(body: Uint8Array, secret: Uint8Array, timestamp: string): string[];
  Queue: new (wake: () => void) => NativeQueue;
  HostTransport: new (queue: NativeQueue, number: number) => NativeTransport;
  Site: new (queue: NativeQueue, number: number, settings: Settings, transport?: NativeTransport) => NativeSite;
  Agent: new (queue: NativeQueue, number: number, settings: Settings, transport?: NativeTransport) => NativeAgent;
  Sesame: new (queue: NativeQueue, number: number, settings: Settings, transport?: NativeTransport) => NativeSesame;
  TokenVerifier: new (
    queue: NativeQueue,
    number: number,
    settings: Settings,
    transport?: NativeTransport,
  ) => NativeTokenVerifier;
  ReplayGuard: new (horizon: number, capacity: number) => NativeReplayGuard;
  EventParser: new (lastEventId: string) => NativeEventParser;
}

/** `linux-x64-gnu`: what this process can load. */
function platform(): string {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`;
  // What Node itself runs on; musl's loader is no glibc.
  return `linux-${process.arch}-${glibc() === undefined ? 'musl' : 'gnu'}`;
}

function glibc(): string | undefined {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (!report) return undefined;
  const before = report.excludeNetwork;
  // Or it asks for the name of whoever this process is connected to, and waits for the answers.
  report.excludeNetwork = true;
  try {
    return (report.getReport() as { header?: { glibcVersionRuntime?: string } }).header?.glibcVersionRuntime;
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

function version(): string {
  const manifest = readFileSync(path.join(__dirname, '../package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function load(): Native {
  const tried: string[] = [];
  let cause: unknown;
  const attempt = (name: string): Native | undefined => {
    try {
      return require(name) as Native;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      tried.push(`  ${name}: ${code === 'MODULE_NOT_FOUND' ? 'not installed' : (error as Error).message}`);
      if (code !== 'MODULE_NOT_FOUND') cause = error;
      return undefined;
    }
  };

  // A binary that somebody names, or the one that `make build` leaves in the checkout.
  const named = process.env.LIME_NODE_BINARY;
  if (named) {
    const found = attempt(path.resolve(named));
    if (found) return found;
  } else {
    const own = path.join(__dirname, '../lime.node');
    if (existsSync(own)) {
      const found = attempt(own);
      if (found) return found;
    }
    const wanted = `@lime-sdk/${platform()}`;
    const found = attempt(wanted);
    if (found) {
      const [ours, theirs] = [version(), found.version()];
      if (ours === theirs) return found;
      tried.push(`  ${wanted}: is of version ${theirs}, and this is lime-sdk ${ours}`);
    }
  }
  throw new Error(
    `lime-sdk has no native module for ${platform()}, Node ${process.versions.node} (Node-API ${process.versions.napi}). Tried:\n` +
      `${tried.join('\n')}\n` +
      `If @lime-sdk/${platform()} exists, it is an optional dependency that was not installed: remove ` +
      'node_modules and the lock file and install again without --omit=optional (https://github.com/npm/cli/issues/4828).',
    { cause },
  );
}

let loaded: Native | undefined;

/** The native module, loaded when it is first used. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}
