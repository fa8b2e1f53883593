/** What the clients of both platforms have in common. */

import { bridge, type CallOptions, newNumber, type Receiver, warn } from './bridge.js';
import { InvalidArgumentError } from './errors.js';
import { type Fetch, FetchTransport } from './fetch.js';
import type { NativeTransport } from './native.js';

/**
 * Where log records go: `console`, a pino logger, or any object with some of these functions. Records never
 * contain a token, a passport, a challenge or a nonce.
 */
export interface Logger {
  /** Each request: method and URL. */
  debug?(message: string): void;
  /** Changes of state. */
  info?(message: string): void;
  /** Retries and reconnects. */
  warn?(message: string): void;
  /** What someone has to look at: a refused token, a malformed frame, a handler that failed. */
  error?(message: string): void;
}

/** Settings that every client has. */
export interface ClientOptions {
  /** Milliseconds that one attempt of a request may take, from connecting to the last byte. Default 30,000. */
  timeout?: number | undefined;
  /** Further attempts after a failed one. Default 3. */
  maxRetries?: number | undefined;
  /**
   * Public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of the
   * certificate's SubjectPublicKeyInfo in base64, `sha256/` in front or not; else `LIME_TLS_PINS`, with commas
   * between, for `Sesame` `SESAME_TLS_PINS`. Name the next key before it comes. Not with a `fetch` of your own.
   */
  tlsPins?: readonly string[] | undefined;
  /**
   * Your own `fetch`: every byte goes through it, the event stream too. Redirects are not followed;
   * `timeout` and retries stay the library's. It is called with an `AbortSignal`.
   */
  fetch?: Fetch | undefined;
  /** Where log records go. Default: nowhere. Levels that it has no function for are not even made. */
  logger?: Logger | undefined;
}

/** What every call takes. */
export interface RequestOptions {
  /** Aborting it gives the call up: its promise is rejected with an `AbortError`, its connection closed. */
  signal?: AbortSignal | undefined;
}

const LEVELS: readonly [number, keyof Logger][] = [
  [10, 'debug'],
  [20, 'info'],
  [30, 'warn'],
  [40, 'error'],
];

export interface ClosableNative {
  close(): void;
}

/** What one client has to do with the bridge. Not public: the clients have it, they are not it. */
export class Link implements Receiver {
  readonly number = newNumber();
  readonly #logger: Logger | undefined;
  readonly #transport: FetchTransport | undefined;
  /** The client that it belongs to; kept while a call runs. */
  owner: object | undefined;
  onEvent?: (delivery: number, requestId: string, passport: string | null) => void;
  onState?: Receiver['onState'] & {};
  onGap?: Receiver['onGap'] & {};

  constructor(options: ClientOptions) {
    for (const name of ['fetch', 'logger'] as const) {
      const value: unknown = options[name];
      if (value !== undefined && typeof value !== (name === 'fetch' ? 'function' : 'object')) {
        throw new InvalidArgumentError(`${name} must be ${name === 'fetch' ? 'a function' : 'an object'}`);
      }
    }
    this.#logger = options.logger;
    this.#transport = options.fetch && new FetchTransport(options.fetch);
    bridge().add(this.number, this);
  }

  get transport(): NativeTransport | undefined {
    return this.#transport?.native;
  }

  /** The least level that somebody wants. */
  get logLevel(): number | undefined {
    return LEVELS.find(([, name]) => typeof this.#logger?.[name] === 'function')?.[0];
  }

  call<T>(start: (call: number) => number, options: CallOptions): Promise<T> {
    return bridge().call<T>(start, { owner: this.owner ?? this, ...options, ...this.#transport?.callOptions() });
  }

  closeStreams(): Promise<void> {
    return this.#transport?.closeStreams() ?? Promise.resolve();
  }

  /** Whether there is a logger for errors; it is told. */
  logError(message: string): boolean {
    if (typeof this.#logger?.error !== 'function') return false;
    this.onLog(40, message);
    return true;
  }

  onLog(level: number, message: string): void {
    const name = LEVELS.find(([number]) => number === level)?.[1];
    const told: unknown = name && this.#logger?.[name]?.(message);
    if (isThenable(told)) Promise.resolve(told).catch(warn);
  }
}

/** Whether it may be rejected some time. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** Refuses what is no text where there has to be one. */
export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw new InvalidArgumentError(`${name} must be a string, not ${value === null ? 'null' : typeof value}`);
  }
  return value;
}

/** Refuses what is no number, which NaN says of itself. */
export function number(name: string, value: unknown): number {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    const found = value === null || typeof value === 'number' ? String(value) : typeof value;
    throw new InvalidArgumentError(`${name} must be a number, not ${found}`);
  }
  return value;
}

/** A copy of some members of the options, checked, without those that are not there. */
export function settings(
  options: object,
  members: Readonly<Record<string, 'string' | 'number' | 'boolean'>>,
): Record<string, unknown> {
  const copied: Record<string, unknown> = {};
  for (const [name, type] of Object.entries(members)) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined) continue;
    if (typeof value !== type) {
      throw new InvalidArgumentError(`${name} must be a ${type}, not ${value === null ? 'null' : typeof value}`);
    }
    copied[name] = value;
  }
  return copied;
}

/** The public keys that a server may have. */
export function tlsPins(options: ClientOptions): string[] {
  const given: unknown = options.tlsPins ?? [];
  if (!Array.isArray(given)) throw new InvalidArgumentError(`tlsPins must be an array, not ${typeof given}`);
  return given.map((pin) => text('tlsPins', pin));
}

/**
 * This thread's own `process.env`, as far as it is about us. The native side would read the environment of the process: a
 * worker has a copy, and may have been given another; and not in every runtime does what a program sets in it reach the
 * process.
 */
export function ownEnvironment(): Record<string, string> {
  const ours = Object.entries(process.env).filter(([name]) => /^(LIME|SESAME)_/.test(name));
  return Object.fromEntries(ours) as Record<string, string>;
}

/** Microseconds since the epoch as a `Date`. */
export function date(micros: number): Date;
export function date(micros: number | null): Date | undefined;
export function date(micros: number | null): Date | undefined {
  return micros === null ? undefined : new Date(Math.floor(micros / 1000));
}
