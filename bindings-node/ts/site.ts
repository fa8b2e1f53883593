/** The client of a site's backend. */

import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { aborted, checkNotAborted, checkSignal, onAbort } from './abort.js';
import { bridge, type RawStreamStatus, warn } from './bridge.js';
import {
  type ClientOptions,
  date,
  isThenable,
  Link,
  number,
  ownEnvironment,
  type RequestOptions,
  settings,
  text,
  tlsPins,
} from './client.js';
import type { LimeError } from './errors.js';
import { type NativeSite, native } from './native.js';
import { type WaitProgress, WaitReporter } from './progress.js';
import { fromRaw, guarded } from './raw_errors.js';

/** A login request that was just created. */
export interface LoginRequest {
  /** To be handed to the agent. */
  readonly requestId: string;
  /** `PENDING`. */
  readonly status: string;
  /** When it expires. */
  readonly expiresAt: Date;
}

/** Where a login request stands. */
export interface LoginRequestStatus {
  /** The login request. */
  readonly requestId: string;
  /** `PENDING`, `APPROVED`, `DELIVERED` or `EXPIRED`. */
  readonly status: string;
  /** When it expires, where the platform says so. */
  readonly expiresAt: Date | undefined;
}

/** How a login request ended. */
export interface LoginEvent {
  /** The login request. */
  readonly requestId: string;
  /** The agent's passport, not verified yet; `null`: nobody signed in in time. */
  readonly passport: string | null;
}

/** A binding that was just asked for. */
export interface BindingRequest {
  /** To be kept beside the person's session before their browser is sent on. */
  readonly bindingId: string;
  /** Where the browser is to be sent, as it is. */
  readonly connectUrl: string;
  /** `PENDING`. */
  readonly status: string;
  /** When it expires, unless the person has picked an agent. */
  readonly expiresAt: Date;
}

/** A passport's claims, of a passport that was verified. */
export interface PassportClaims {
  /** The agent. */
  readonly agent_id: string;
  /** The login request that the passport was made for, where it says so. */
  readonly request_id?: string;
  /** The binding that the passport was made for, where it says so. */
  readonly binding_id?: string;
  readonly [claim: string]: unknown;
}

/** A verified passport. */
export interface Passport {
  /** The agent: the claim `agent_id`. */
  readonly agentId: string;
  /** All of its claims. */
  readonly claims: PassportClaims;
}

/** Where an event stream stands. */
export type StreamState = 'idle' | 'connecting' | 'open' | 'backing_off' | 'refused' | 'closed' | 'unknown';

/** Where an event stream stands, and what it has been through. */
export interface StreamStatus {
  /** `refused` is for longer: the platform does not take the token. It goes on trying, about once a minute. */
  readonly state: StreamState;
  /** What ended the last connection or attempt. */
  readonly lastError: LimeError | undefined;
  /** Connections that came about so far. */
  readonly connections: number;
  /** Events received so far. */
  readonly events: number;
  /** Frames that were not what the protocol allows, and were skipped. */
  readonly malformedFrames: number;
}

/**
 * Login requests of which the platform says that they have ended, and of which neither the stream nor the platform tells
 * how; a passport that there was is lost. Should such an event come all the same, it is handed on.
 */
export interface Gap {
  /** The login requests; each is named once. */
  readonly requestIds: readonly string[];
}

/** Settings of a {@link LimeSite}. */
export interface LimeSiteOptions extends ClientOptions {
  /** The site's secret, `st_…`; else `LIME_SITE_TOKEN`. */
  siteToken?: string | undefined;
  /** The API root with `/api/v1`; else `LIME_API_BASE`, else `https://lime.pics/api/v1`. */
  baseUrl?: string | undefined;
  /** Milliseconds before the event stream reconnects for the first time; doubles to 8,000. Default 500. */
  sseBackoffBase?: number | undefined;
  /** Events that may wait for handlers before the stream is read no further; nothing is dropped. Default 1024. */
  eventQueueLimit?: number | undefined;
  /** Milliseconds that signing keys are kept; else `LIME_JWKS_CACHE_TTL_SECONDS`, else 300,000. */
  jwksCacheTtl?: number | undefined;
  /**
   * What differs between the platform's times, all at once; the next three change it. Default `'auto'`, which works with
   * all of them.
   */
  platform?: 'auto' | 'seed' | 'today' | undefined;
  /** Refuse passports without an `iss` claim. One that is there is checked always. */
  requireIssuer?: boolean | undefined;
  /**
   * `'today'` never repeats a POST after 500, 502 or 504; `'seed'` does, with an idempotency key; `'auto'` does so for the
   * calls that the first releases had.
   */
  postRetry?: 'auto' | 'seed' | 'today' | undefined;
  /** Which key documents are taken. */
  jwksForm?: 'auto' | 'envelope' | 'bare' | undefined;
}

/** The events of a {@link LimeSite}, and what their handlers are called with. */
export interface LimeSiteEvents {
  /** A login request has ended: signed in, or expired (`passport` is `null`). */
  login: [event: LoginEvent];
  /** The event stream's state has changed. */
  state: [status: StreamStatus];
  /** Events are lost. */
  gap: [gap: Gap];
  /**
   * Something went wrong that has no caller: a handler that threw or whose promise was rejected (`event` is what
   * it was called with), or the platform refuses the token for the event stream.
   */
  error: [error: unknown, event?: LoginEvent];
}

/** A function for an event of a {@link LimeSite}. It may be async. */
export type LimeSiteListener<E extends keyof LimeSiteEvents> = (...args: LimeSiteEvents[E]) => unknown;

/** Settings of {@link LimeSite.waitForLogin}. */
export interface WaitForLoginOptions extends RequestOptions {
  /** Milliseconds to wait. Default 120,000. */
  timeout?: number | undefined;
  /** Called at once and a few times a second while it waits. What it throws, or rejects with, ends the wait. */
  onProgress?: ((progress: WaitProgress) => unknown) | undefined;
}

/** Settings of {@link LimeSite.verifyPassport}. */
export interface VerifyPassportOptions extends RequestOptions {
  /** The login request that the passport must be for. Always pass it. */
  expectedRequestId?: string | undefined;
}

/** Settings of {@link LimeSite.createBindingRequest}. */
export interface CreateBindingRequestOptions extends RequestOptions {
  /** An absolute `https` URL of the site; the person comes back to it with `?binding_code=`. */
  redirectUri: string;
}

/** Settings of {@link LimeSite.verifyBindingPassport}. */
export interface VerifyBindingPassportOptions extends RequestOptions {
  /**
   * The binding that the passport must be for, which was kept beside the session of the person who came back. Always
   * pass it, or compare the claim yourself: a person could be sent back with a stranger's code.
   */
  expectedBindingId?: string | undefined;
}

const SETTINGS = {
  siteToken: 'string',
  baseUrl: 'string',
  timeout: 'number',
  maxRetries: 'number',
  sseBackoffBase: 'number',
  eventQueueLimit: 'number',
  jwksCacheTtl: 'number',
  platform: 'string',
  requireIssuer: 'boolean',
  postRetry: 'string',
  jwksForm: 'string',
} as const;

/** The site whose handler is running, if one is. */
const handling = new AsyncLocalStorage<LimeSite>();

interface Arrived {
  readonly delivery: number;
  readonly event: LoginEvent;
  /** Who has not handled it yet. */
  open: number;
}

export declare interface LimeSite {
  /**
   * Adds a handler. The first one of `login` starts the event stream; see {@link LimeSite} for when handlers are called, and
   * what becomes of those that fail.
   */
  on<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** As {@link on}. */
  addListener<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** As {@link on}, for the next event only. */
  once<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** As {@link on}, before the handlers that are there. */
  prependListener<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** As {@link once}, before the handlers that are there. */
  prependOnceListener<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** Removes a handler. Without handlers of `login` and iterators the site keeps the process alive no longer. */
  off<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** As {@link off}. */
  removeListener<E extends keyof LimeSiteEvents>(event: E, listener: LimeSiteListener<E>): this;
  /** Removes all handlers, or those of one event. */
  removeAllListeners(event?: keyof LimeSiteEvents): this;
}

/**
 * Creates login requests, receives passports on an event stream, verifies them. Make one per site token
 * and process (or worker), when the server starts.
 *
 * Nothing is started by making one. The event stream starts with the first `login` handler, the first
 * {@link events} or the first {@link waitForLogin}, and reconnects for ever.
 *
 * **Handlers** of `login` run one after the other, in order; the next one is called when the promise of the
 * one before has settled, and meanwhile the stream goes on being read. One that throws or rejects is reported on
 * `error` and the next one still runs. Without a handler for `error` it goes to `logger.error`, and without that
 * it is a process warning: it never ends the process. Handlers run in the asynchronous context (`AsyncLocalStorage`) that
 * the site was made in.
 *
 * **The process** stays alive while a call is awaited, and while there is a `login` handler or an
 * iterator, until {@link close} – or {@link unref}.
 *
 * @example
 * ```js
 * const site = new LimeSite(); // LIME_SITE_TOKEN
 * site.on('login', async ({ requestId, passport }) => {
 *   if (passport === null) return; // expired
 *   const { agentId } = await site.verifyPassport(passport, { expectedRequestId: requestId });
 *   console.log('signed in:', agentId);
 * });
 * const { requestId } = await site.createLoginRequest();
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see above
export class LimeSite extends EventEmitter {
  readonly #link: Link;
  readonly #native: NativeSite;
  readonly #context = new AsyncResource('LimeSite');
  readonly #iterators = new Set<EventIterator>();
  readonly #arrived: Arrived[] = [];
  #started = false;
  #closed = false;
  #refed = true;
  #held = false;
  /** Handlers are being called. Not the same as a promise that is there: they may be done before there is one. */
  #busy = false;
  /** Ends when the handlers have nothing to do. */
  #running: Promise<void> | undefined;

  /**
   * Makes the client. Starts nothing and sends nothing.
   *
   * @throws AuthenticationError There is no site token.
   * @throws InvalidArgumentError A setting makes no sense.
   */
  constructor(options: LimeSiteOptions = {}) {
    super();
    const link = new Link(options);
    const given = {
      ...settings(options, SETTINGS),
      tlsPins: tlsPins(options),
      environment: ownEnvironment(),
      logLevel: link.logLevel,
    };
    this.#native = guarded(() => new (native().Site)(bridge().queue, link.number, given, link.transport));
    this.#link = link;
    link.owner = this;
    link.onEvent = (delivery, requestId, passport) => this.#onEvent(delivery, { requestId, passport });
    link.onState = (status) => this.#onState(status);
    link.onGap = (requestIds) => this.#onGap({ requestIds });
  }

  /**
   * Creates a login request, to be handed to the agent by its `requestId`.
   *
   * @throws AuthenticationError The platform does not take the token.
   * @throws RateLimitError Too many requests.
   * @throws ApiError Any other error that the platform reports.
   * @throws TransportError The platform could not be reached.
   */
  async createLoginRequest(options: RequestOptions = {}): Promise<LoginRequest> {
    const [requestId, status, expiresAt] = await this.#link.call<[string, string, number]>(
      (call) => this.#native.createLoginRequest(call),
      { signal: options.signal },
    );
    return { requestId, status, expiresAt: date(expiresAt) };
  }

  /**
   * Reads where a login request of this site stands.
   *
   * @throws ApiError It is not a request of this site, or another error that the platform reports.
   */
  async readLoginRequest(requestId: string, options: RequestOptions = {}): Promise<LoginRequestStatus> {
    text('requestId', requestId);
    const [found, status, expiresAt] = await this.#link.call<[string, string, number | null]>(
      (call) => this.#native.readLoginRequest(call, requestId),
      { signal: options.signal, about: { requestId } },
    );
    return { requestId: found, status, expiresAt: date(expiresAt) };
  }

  /**
   * Waits until this login request ends. An event that came in the last two minutes counts. Any number of
   * waits share one event stream.
   *
   * @returns The passport, not verified yet; `null` when the request expired.
   * @throws TimeoutError Nothing happened in time.
   * @throws OutcomeUnknownError It has ended, and the event that told how is lost, with its passport. Create a new one.
   * @throws AuthenticationError The platform does not take the token.
   */
  async waitForLogin(requestId: string, options: WaitForLoginOptions = {}): Promise<string | null> {
    text('requestId', requestId);
    const timeout = number('timeout', options.timeout ?? 120_000);
    const reporter = options.onProgress && new WaitReporter(options.onProgress, timeout, options.signal);
    this.#watch();
    const waiting = this.#link.call<[string, string | null]>(
      (call) => this.#native.waitForLogin(call, requestId, timeout),
      { signal: reporter?.signal ?? options.signal, about: { requestId } },
    );
    const [, passport] = await (reporter ? reporter.around(waiting) : waiting);
    return passport;
  }

  /**
   * Verifies an agent's passport with the platform's signing keys. With the keys at hand it is done at once,
   * on this thread, in tens of microseconds.
   *
   * @throws InvalidPassportError It must not be trusted; a `PassportExpiredError` of them: it has expired.
   * @throws LimeError The signing keys could not be had.
   */
  async verifyPassport(jwt: string, options: VerifyPassportOptions = {}): Promise<Passport> {
    text('jwt', jwt);
    const { expectedRequestId, signal } = options;
    if (expectedRequestId !== undefined) text('expectedRequestId', expectedRequestId);
    return this.#verified(
      signal,
      () => this.#native.verifyPassportCached(jwt, expectedRequestId),
      (call) => this.#native.verifyPassport(call, jwt, expectedRequestId),
    );
  }

  /**
   * Asks for a binding: a person is to connect one of their agents with their account at this site. Keep its `bindingId`
   * beside the person's session, then send their browser to its `connectUrl`. They come back to `redirectUri` with
   * `?binding_code=` in the query.
   *
   * @throws ApiError The platform does not take the `redirectUri`, or another error that it reports.
   * @throws AuthenticationError The platform does not take the token.
   *
   * @example
   * ```js
   * const { bindingId, connectUrl } = await site.createBindingRequest({ redirectUri: 'https://shop.example/bind' });
   * session.bindingId = bindingId;
   * response.redirect(connectUrl);
   *
   * // the page at https://shop.example/bind
   * const passport = await site.exchangeBindingCode(request.query.binding_code);
   * const { agentId } = await site.verifyBindingPassport(passport, { expectedBindingId: session.bindingId });
   * ```
   */
  async createBindingRequest(options: CreateBindingRequestOptions): Promise<BindingRequest> {
    const { redirectUri, signal } = options;
    text('redirectUri', redirectUri);
    const [bindingId, connectUrl, status, expiresAt] = await this.#link.call<[string, string, string, number]>(
      (call) => this.#native.createBindingRequest(call, redirectUri),
      { signal },
    );
    return { bindingId, connectUrl, status, expiresAt: date(expiresAt) };
  }

  /**
   * Exchanges the code that a person came back with for the binding passport. A code can be exchanged once.
   *
   * @param code The value of `binding_code` in the query that the person came back with.
   * @returns The passport, not verified yet: give it to {@link verifyBindingPassport}.
   * @throws ApiError The code is unknown, used or expired, or another error that the platform reports.
   * @throws OutcomeUnknownError The code was sent and the answer got lost. It may be used up: let the person start again.
   */
  async exchangeBindingCode(code: string, options: RequestOptions = {}): Promise<string> {
    text('code', code);
    return this.#link.call<string>((call) => this.#native.exchangeBindingCode(call, code), { signal: options.signal });
  }

  /**
   * Verifies a binding passport with the platform's signing keys. Its claims `binding_id` and `agent_id` say which agent is
   * the person's.
   *
   * @throws InvalidPassportError It must not be trusted; a `PassportExpiredError` of them: it has expired.
   * @throws LimeError The signing keys could not be had.
   */
  async verifyBindingPassport(jwt: string, options: VerifyBindingPassportOptions = {}): Promise<Passport> {
    text('jwt', jwt);
    const { expectedBindingId, signal } = options;
    if (expectedBindingId !== undefined) text('expectedBindingId', expectedBindingId);
    return this.#verified(
      signal,
      () => this.#native.verifyBindingPassportCached(jwt, expectedBindingId),
      (call) => this.#native.verifyBindingPassport(call, jwt, expectedBindingId),
    );
  }

  /** With the keys that are at hand, else with those that are fetched. */
  async #verified(
    signal: AbortSignal | undefined,
    atHand: () => string | null,
    fetching: (call: number) => number,
  ): Promise<Passport> {
    checkNotAborted(signal);
    const cached = guarded(atHand);
    const claims =
      cached === null
        ? await this.#link.call<PassportClaims>(fetching, { signal })
        : (JSON.parse(cached) as PassportClaims);
    return { agentId: claims.agent_id, claims };
  }

  /**
   * The ends of this site's login requests, from this call on: `for await (const { requestId, passport } of
   * site.events())`. An event counts as handled when the loop asks for the next one; until then it has its
   * place in the queue, so that a slow loop holds the platform back and loses nothing. Ends when the site is closed.
   *
   * @param options Aborting the `signal` ends the loop with an `AbortError`.
   */
  events(options: RequestOptions = {}): AsyncIterableIterator<LoginEvent> & AsyncDisposable {
    checkSignal(options.signal);
    const iterator = new EventIterator(
      options.signal,
      (arrived) => this.#handled(arrived),
      () => {
        this.#iterators.delete(iterator);
        this.#changed();
      },
    );
    if (this.#closed) {
      iterator.end();
    } else if (!options.signal?.aborted) {
      this.#iterators.add(iterator);
      this.#changed();
    }
    return iterator;
  }

  /** Where the event stream stands. */
  get streamStatus(): StreamStatus {
    return streamStatus(JSON.parse(this.#native.streamStatus()) as RawStreamStatus);
  }

  /** Handlers and iterators of this site keep the process alive. That is so from the beginning. */
  ref(): this {
    this.#refed = true;
    this.#changed();
    return this;
  }

  /** Handlers and iterators of this site do not keep the process alive. A call that is awaited does all the same. */
  unref(): this {
    this.#refed = false;
    this.#changed();
    return this;
  }

  /**
   * Ends the event stream and refuses further calls; those under way go on. No handler is called any more. The promise
   * is fulfilled when the handler that is running has ended, unless it is the one that calls this. Closing twice does
   * nothing.
   */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#native.close();
      for (const iterator of [...this.#iterators]) iterator.end();
      for (const arrived of this.#arrived.splice(0)) bridge().queue.handled(arrived.delivery);
      this.#changed();
      await this.#link.closeStreams();
    }
    if (handling.getStore() !== this) await this.#running;
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  static {
    // A handler that is added starts the stream; one that is removed may let the process end.
    const add = ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener'] as const;
    const remove = ['off', 'removeListener', 'removeAllListeners'] as const;
    for (const name of [...add, ...remove]) {
      const inherited = EventEmitter.prototype[name] as (...args: unknown[]) => unknown;
      const own = function (this: LimeSite, ...args: unknown[]): LimeSite {
        inherited.apply(this, args);
        // The constructor of EventEmitter may call these before there is anything of ours.
        if (#link in this) this.#changed();
        return this;
      };
      Object.defineProperty(own, 'name', { value: name });
      Object.defineProperty(LimeSite.prototype, name, { value: own, writable: true, configurable: true });
    }
  }

  /** Handlers or iterators have come or gone. */
  #changed(): void {
    const listened = !this.#closed && (this.listenerCount('login') > 0 || this.#iterators.size > 0);
    const hold = listened && this.#refed;
    if (hold !== this.#held) {
      this.#held = hold;
      if (hold) bridge().hold();
      else bridge().release();
    }
    // It works as long as somebody listens, also when the program keeps no hold on it.
    bridge().keep(this.#link, listened);
    if (listened) this.#start();
  }

  #watch(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    guarded(() => {
      this.#native.watchState();
      this.#native.watchGaps();
    });
  }

  #start(): void {
    if (this.#started) {
      // A wait may have been first.
      if (this.#streaming) return;
    }
    this.#watch();
    this.#streaming = true;
    guarded(() => this.#native.startEvents());
  }

  #streaming = false;

  #onEvent(delivery: number, event: LoginEvent): void {
    const handlers = this.listenerCount('login') > 0 ? 1 : 0;
    const arrived: Arrived = { delivery, event, open: handlers + this.#iterators.size };
    if (arrived.open === 0 || this.#closed) {
      bridge().queue.handled(delivery);
      return;
    }
    for (const iterator of [...this.#iterators]) iterator.push(arrived);
    if (handlers === 0) return;
    this.#arrived.push(arrived);
    if (this.#busy) return;
    this.#busy = true;
    this.#running = this.#context.runInAsyncScope(() => this.#runHandlers());
  }

  async #runHandlers(): Promise<void> {
    try {
      for (let next = this.#arrived.shift(); next; next = this.#arrived.shift()) {
        for (const listener of this.rawListeners('login')) {
          if (this.#closed) break;
          try {
            await handling.run(this, () => listener.call(this, (next as Arrived).event) as unknown);
          } catch (error) {
            this.#report(error, next.event, `A login handler failed for requestId=${next.event.requestId}`);
          }
        }
        this.#handled(next);
      }
    } finally {
      this.#busy = false;
    }
  }

  #handled(arrived: Arrived): void {
    arrived.open -= 1;
    if (arrived.open === 0) bridge().queue.handled(arrived.delivery);
  }

  #onState(raw: RawStreamStatus): void {
    if (this.#closed) return;
    const status = streamStatus(raw);
    this.#context.runInAsyncScope(() => {
      this.#tell('state', status);
      if (status.state === 'refused') this.#report(status.lastError);
    });
  }

  #onGap(gap: Gap): void {
    if (!this.#closed) this.#context.runInAsyncScope(() => this.#tell('gap', gap));
  }

  #tell(name: 'state' | 'gap', told: unknown): void {
    for (const listener of this.rawListeners(name)) this.#call(name, listener, told);
  }

  /** Calls a handler that nobody waits for. */
  // biome-ignore lint/complexity/noBannedTypes: as EventEmitter has them
  #call(name: string, listener: Function, told: unknown): void {
    const failed = (error: unknown) => this.#report(error, undefined, `A ${name} handler failed`);
    try {
      const result: unknown = listener.call(this, told);
      if (isThenable(result)) Promise.resolve(result).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** @param about What has failed; nothing for what the core has logged itself. */
  #report(error: unknown, event?: LoginEvent, about?: string): void {
    const listeners = this.rawListeners('error');
    if (listeners.length === 0) {
      try {
        if (about ? this.#link.logError(`${about}: ${shown(error)}`) : this.#link.logLevel !== undefined) return;
      } catch (fault) {
        warn(fault);
      }
      warn(error);
      return;
    }
    for (const listener of listeners) {
      try {
        const result: unknown = listener.call(this, error, event);
        if (isThenable(result)) Promise.resolve(result).catch(warn);
      } catch (fault) {
        warn(fault);
      }
    }
  }
}

function shown(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function streamStatus(raw: RawStreamStatus): StreamStatus {
  const { lastError, ...rest } = raw;
  return { ...rest, state: raw.state as StreamState, lastError: lastError ? fromRaw(lastError) : undefined };
}

class EventIterator implements AsyncIterableIterator<LoginEvent>, AsyncDisposable {
  readonly #waiting: Arrived[] = [];
  readonly #asked: { resolve(result: IteratorResult<LoginEvent>): void; reject(error: unknown): void }[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #handled: (arrived: Arrived) => void;
  readonly #gone: () => void;
  readonly #unwatch: (() => void) | undefined;
  /** What the loop is busy with; more than one if it has asked for several at once. */
  #current: Arrived[] = [];
  #ended = false;

  constructor(signal: AbortSignal | undefined, handled: (arrived: Arrived) => void, gone: () => void) {
    this.#signal = signal;
    this.#handled = handled;
    this.#gone = gone;
    if (signal?.aborted) this.#ended = true;
    else this.#unwatch = signal && onAbort(signal, () => this.#finish());
  }

  push(arrived: Arrived): void {
    const asked = this.#asked.shift();
    if (asked) {
      this.#current.push(arrived);
      asked.resolve({ done: false, value: arrived.event });
    } else {
      this.#waiting.push(arrived);
    }
  }

  end(): void {
    this.#finish();
  }

  next(): Promise<IteratorResult<LoginEvent>> {
    this.#settle();
    const arrived = this.#waiting.shift();
    if (arrived) {
      this.#current.push(arrived);
      return Promise.resolve({ done: false, value: arrived.event });
    }
    if (this.#ended) return this.#last();
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<LoginEvent>> {
    this.#finish();
    this.#settle();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #settle(): void {
    for (const current of this.#current.splice(0)) this.#handled(current);
  }

  #last(): Promise<IteratorResult<LoginEvent>> {
    const signal = this.#signal;
    if (signal?.aborted) return Promise.reject(aborted(signal));
    return Promise.resolve({ done: true, value: undefined });
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unwatch?.();
    for (const arrived of this.#waiting.splice(0)) this.#handled(arrived);
    for (const asked of this.#asked.splice(0)) this.#last().then(asked.resolve, asked.reject);
    this.#gone();
  }
}
