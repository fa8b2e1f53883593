/** The host's own `fetch` as the way that every request takes. */

import { AsyncResource } from 'node:async_hooks';
import { types } from 'node:util';
import { bridge, type CallOptions, type HttpRequest, newNumber, type Receiver } from './bridge.js';
import { type NativeTransport, native } from './native.js';
import type { RawError } from './raw_errors.js';

/** A function like the global `fetch`. It is called with a URL as text. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

/** What the given `fetch` is called with. */
export interface FetchInit {
  /** `GET` or `POST`. */
  method: string;
  /** Names in lower case, and values of which each character is a byte. */
  headers: [string, string][];
  /** JSON, of a `POST`. */
  body?: string;
  /** Redirects would take the token along to wherever they point. */
  redirect: 'manual';
  /** Aborted when the answer is not wanted any more: the call was given up or took too long, the client is closed. */
  signal: AbortSignal;
}

/** What the given `fetch` has to give; a `Response` is one. */
export interface FetchResponse {
  /** The HTTP status. */
  readonly status: number;
  /** Names and values: a `Headers`, a `Map`, or pairs. */
  readonly headers: Iterable<[string, string]>;
  /** The body as it arrives; an event stream's never ends. */
  readonly body: AsyncIterable<Uint8Array> | ReadableStreamLike | null;
}

interface ReadableStreamLike {
  getReader(): {
    read(): Promise<{ done: boolean; value?: unknown }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

interface Exchange {
  readonly controller: AbortController;
  /** The call that it is for. */
  readonly caller: Caller | undefined;
  readonly stream: boolean;
  resume: (() => void) | undefined;
  ended: Promise<void>;
}

interface Caller {
  readonly context: AsyncResource;
  failure: unknown;
}

/** Errors that stand for the client's own. */
const OF_TRANSPORT = new Set(['transport', 'transport_timeout', 'outcome_unknown']);

/** After these no request has left. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Pieces of a body after which the event loop has a turn. */
const TURN = 16;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * What carries the requests of one client. The bridge knows it apart from the client: that one was forgotten has to reach
 * the requests that were under way, which keep this and not the client.
 */
export class FetchTransport implements Receiver {
  readonly native: NativeTransport;
  readonly #fetch: Fetch;
  readonly #exchanges = new Map<number, Exchange>();
  /** Calls of the program, by the core's numbers of them. */
  readonly #callers = new Map<number, Caller>();
  /** Where requests run that no call of the program asked for: the event stream, signing keys. */
  readonly #context = new AsyncResource('lime.client');

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
    const number = newNumber();
    this.native = new (native().HostTransport)(bridge().queue, number);
    bridge().add(number, this);
  }

  /** For one call: its requests run in its own asynchronous context, and its error has the client's as its cause. */
  callOptions(): Pick<CallOptions, 'started' | 'ended' | 'cause'> {
    const caller: Caller = { context: new AsyncResource('lime.call'), failure: undefined };
    let number: number | undefined;
    return {
      started: (operation) => {
        number = operation;
        this.#callers.set(operation, caller);
      },
      ended: () => {
        if (number !== undefined) this.#callers.delete(number);
        // The core says so too, but only when the loop has come round, which it may not.
        for (const exchange of this.#exchanges.values()) if (exchange.caller === caller) giveUp(exchange);
      },
      cause: (error: RawError) => (OF_TRANSPORT.has(error.kind) ? caller.failure : undefined),
    };
  }

  onHttpBegin(operation: number | null, request: HttpRequest): void {
    const caller = operation === null ? undefined : this.#callers.get(operation);
    const exchange: Exchange = {
      controller: new AbortController(),
      caller,
      stream: request.stream,
      resume: undefined,
      ended: Promise.resolve(),
    };
    this.#exchanges.set(request.exchange, exchange);
    const carry = () => this.#carry(request, exchange, caller);
    exchange.ended = (caller?.context ?? this.#context).runInAsyncScope(carry);
  }

  onHttpResume(number: number): void {
    this.#exchanges.get(number)?.resume?.();
  }

  onHttpAbort(number: number): void {
    const exchange = this.#exchanges.get(number);
    if (exchange) giveUp(exchange);
  }

  /** Ends the event stream's request and waits until the client has let go of it. */
  async closeStreams(): Promise<void> {
    const streams = [...this.#exchanges.values()].filter((exchange) => exchange.stream);
    for (const exchange of streams) giveUp(exchange);
    await Promise.all(streams.map((exchange) => exchange.ended));
  }

  async #carry(request: HttpRequest, exchange: Exchange, caller: Caller | undefined): Promise<void> {
    const { native } = this;
    const { signal } = exchange.controller;
    const number = request.exchange;
    try {
      const init: FetchInit = { method: request.method, headers: request.headers, redirect: 'manual', signal };
      if (request.method === 'POST') init.body = request.body;
      const response = await unlessAborted(this.#fetch(request.url, init), signal, discard);
      native.head(number, response.status, [...response.headers].flat().map(String));
      if (response.body) {
        let pieces = 0;
        await pump(response.body, signal, async (chunk) => {
          if (!native.chunk(number, chunk)) {
            await new Promise<void>((resume) => {
              exchange.resume = resume;
            });
            exchange.resume = undefined;
          }
          pieces += 1;
          // A stream that always has more at hand would leave the loop no turn, not even one to abort it in.
          if (pieces % TURN === 0) await nextTurn();
        });
      }
      native.end(number);
    } catch (error) {
      if (caller) caller.failure = error;
      native.fail(number, describe(error), reach(error), isTimeout(error));
    } finally {
      this.#exchanges.delete(number);
    }
  }
}

function giveUp(exchange: Exchange): void {
  exchange.controller.abort();
  exchange.resume?.();
}

/** What a promise gives, unless the signal is aborted first: not every client heeds it. What comes too late goes to `late`. */
function unlessAborted<T>(given: T | PromiseLike<T>, signal: AbortSignal, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    Promise.resolve(given)
      .then((value) => {
        if (signal.aborted) late(value);
        else resolve(value);
      }, reject)
      .finally(() => signal.removeEventListener('abort', abort))
      .catch(ignore);
  });
}

/** Lets go of an answer that nobody wants. */
function discard(response: FetchResponse | undefined): void {
  const body = response?.body;
  if (!body) return;
  if ('getReader' in body) body.getReader().cancel().catch(ignore);
  else ended(body[Symbol.asyncIterator]());
}

/** Ends an iterator; one that is busy ends when it is not any more. */
function ended(iterator: AsyncIterator<Uint8Array>): void {
  void iterator.return?.().then(ignore, ignore);
}

function ignore(): void {}

/** Hands a body on piece by piece; after an abort it is cancelled, so that its connection closes. */
async function pump(
  body: NonNullable<FetchResponse['body']>,
  signal: AbortSignal,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  if ('getReader' in body) {
    const reader = body.getReader();
    const cancel = () => void reader.cancel(signal.reason).catch(ignore);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for (;;) {
        const { done, value } = await reader.read();
        signal.throwIfAborted();
        if (done) return;
        await take(bytes(value));
        signal.throwIfAborted();
      }
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }
  const iterator = body[Symbol.asyncIterator]();
  let done = false;
  try {
    for (;;) {
      const result = await unlessAborted(iterator.next(), signal, ignore);
      signal.throwIfAborted();
      done = result.done === true;
      if (done) return;
      await take(bytes(result.value));
      signal.throwIfAborted();
    }
  } finally {
    if (!done) ended(iterator);
  }
}

function bytes(chunk: unknown): Uint8Array {
  if (types.isUint8Array(chunk)) return chunk;
  if (typeof chunk === 'string') return Buffer.from(chunk);
  throw new TypeError('The body that fetch gave is not a stream of bytes');
}

/** The error behind one of `fetch`, which says no more than "fetch failed". */
function origin(error: unknown): unknown {
  let found = error;
  while (found instanceof Error && found.cause instanceof Error) found = found.cause;
  return found;
}

function code(error: unknown): string | undefined {
  const found: unknown = (origin(error) as { code?: unknown } | undefined)?.code;
  return typeof found === 'string' ? found : undefined;
}

function describe(error: unknown): string {
  const found = origin(error);
  if (!(found instanceof Error)) return String(found);
  return found.message || code(found) || found.name;
}

function isTimeout(error: unknown): boolean {
  const name = (error as { name?: unknown } | undefined)?.name;
  return name === 'TimeoutError' || /TIMEOUT|ETIMEDOUT/.test(code(error) ?? '');
}

/** A failure of the network may be mended by trying again; a bug of the program's is not. */
function reach(error: unknown): 'not_sent' | 'maybe_sent' | 'host_fault' {
  const found = code(error);
  if (found !== undefined && NOT_SENT.has(found)) return 'not_sent';
  const name = (error as { name?: unknown } | undefined)?.name;
  if (name === 'AbortError' || name === 'TimeoutError' || found !== undefined) return 'maybe_sent';
  // As `fetch` reports every failure of the network.
  return error instanceof TypeError && /fetch|network|terminated/i.test(error.message) ? 'maybe_sent' : 'host_fault';
}
