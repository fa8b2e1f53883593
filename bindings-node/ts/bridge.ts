/**
 * Between this thread's event loop and the native library: one queue, one wake-up for many results.
 *
 * Each worker has a bridge of its own, since each has a module instance of its own.
 */

import { aborted, checkNotAborted, onAbort } from './abort.js';
import { type Native, type NativeQueue, native } from './native.js';
import { fromRaw, guarded, type RawError } from './raw_errors.js';

// First member of the arrays that Queue.take gives; bindings-node/src/queue.rs has the same numbers.
const DONE = 0;
const EVENT = 1;
const STATE = 2;
const HTTP_BEGIN = 3;
const HTTP_RESUME = 4;
const HTTP_ABORT = 5;
const LOG = 6;
const GAP = 7;

/** A client, or what carries its requests, as the bridge sees it. */
export interface Receiver {
  onEvent?(delivery: number, requestId: string, passport: string | null): void;
  onState?(status: RawStreamStatus): void;
  onGap?(requestIds: string[]): void;
  onHttpBegin?(operation: number | null, request: HttpRequest): void;
  onHttpResume?(exchange: number): void;
  onHttpAbort?(exchange: number): void;
  onLog?(level: number, message: string): void;
}

/** How the native module writes the state of an event stream. */
export interface RawStreamStatus {
  state: string;
  lastError: RawError | null;
  connections: number;
  events: number;
  malformedFrames: number;
}

/** A request for the host's own client. */
export interface HttpRequest {
  exchange: number;
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
  stream: boolean;
}

interface Pending {
  /** Kept while the call runs, and with it the client. */
  readonly owner: object | undefined;
  settle(outcome: Outcome): void;
}

type Outcome = { value: unknown; error: RawError | null } | { aborted: AbortSignal };

/** How a call is made. */
export interface CallOptions {
  /** Whose call it is; it is not collected as garbage before the call has ended. */
  owner?: object;
  signal?: AbortSignal | undefined;
  /** Told the core's number of the call as soon as there is one. */
  started?(operation: number): void;
  /** The call has ended. */
  ended?(): void;
  /** What lies behind an error of the transport. */
  cause?(error: RawError): unknown;
  /** For errors that do not say by themselves what the call was about. */
  about?: { requestId?: string; approvalId?: string } | undefined;
}

let lastNumber = 0;

/** A number that was not given before on this thread. */
export function newNumber(): number {
  lastNumber += 1;
  return lastNumber;
}

/** Something that went wrong and has no caller. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : new Error(String(error)));
}

class Bridge {
  readonly queue: NativeQueue;
  readonly #native: Native;
  readonly #pending = new Map<number, Pending>();
  // Weak: a client that nobody holds, and that nobody listens to, ends.
  readonly #clients = new Map<number, WeakRef<Receiver>>();
  readonly #kept = new Set<Receiver>();
  readonly #forgotten = new FinalizationRegistry<number>((number) => this.#clients.delete(number));
  #holds = 0;

  constructor() {
    this.#native = native();
    // Whatever it calls is guarded: what a native callback throws would end the process.
    this.queue = new this.#native.Queue(() => this.#drain());
  }

  /** Delivers what is for this client to it. */
  add(number: number, client: Receiver): void {
    this.#clients.set(number, new WeakRef(client));
    this.#forgotten.register(client, number);
  }

  /** Keeps a client that nobody else may hold, since somebody listens to it. */
  keep(client: Receiver, kept: boolean): void {
    if (kept) this.#kept.add(client);
    else this.#kept.delete(client);
  }

  /** Keeps the process alive until the same number of releases. */
  hold(): void {
    this.#holds += 1;
    if (this.#holds === 1) this.queue.keepAlive(true);
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0) this.queue.keepAlive(false);
  }

  /** Starts a native call and waits for its result; aborting the signal gives the call up. */
  async call<T>(start: (call: number) => number, options: CallOptions = {}): Promise<T> {
    const { signal } = options;
    checkNotAborted(signal, options.about);
    const number = newNumber();
    let unwatch: (() => void) | undefined;
    this.hold();
    let outcome: Outcome;
    try {
      outcome = await new Promise<Outcome>((resolve) => {
        this.#pending.set(number, { owner: options.owner, settle: resolve });
        const operation = guarded(() => start(number));
        options.started?.(operation);
        if (signal) {
          unwatch = onAbort(signal, () => {
            resolve({ aborted: signal });
            this.#native.cancel(operation);
          });
        }
      });
    } finally {
      this.#pending.delete(number);
      unwatch?.();
      this.release();
      options.ended?.();
    }
    // Errors are made here, not where results arrive: their stack shows who has awaited the call.
    if ('aborted' in outcome) throw aborted(outcome.aborted, options.about);
    if (outcome.error) throw fromRaw(outcome.error, options.cause?.(outcome.error));
    return outcome.value as T;
  }

  #drain(): void {
    let items: unknown[][];
    try {
      items = JSON.parse(guarded(() => this.queue.take())) as unknown[][];
    } catch (error) {
      warn(error);
      return;
    }
    for (const item of items) {
      try {
        this.#handle(item);
      } catch (error) {
        // A logger of the program's, say: it must not cost the items behind it.
        warn(error);
      }
    }
  }

  #handle(item: unknown[]): void {
    const number = item[1] as number;
    if (item[0] === DONE) {
      this.#pending.get(number)?.settle({ value: item[2], error: item[3] as RawError | null });
      return;
    }
    const client = this.#clients.get(number)?.deref();
    switch (item[0]) {
      case EVENT:
        if (client?.onEvent) client.onEvent(item[2] as number, item[3] as string, item[4] as string | null);
        else this.queue.handled(item[2] as number);
        break;
      case STATE:
        client?.onState?.(item[2] as RawStreamStatus);
        break;
      case GAP:
        client?.onGap?.(item[2] as string[]);
        break;
      case HTTP_BEGIN: {
        const [, , exchange, operation, method, url, headers, body, stream] = item as [
          number,
          number,
          number,
          number | null,
          string,
          string,
          [string, string][],
          string,
          boolean,
        ];
        client?.onHttpBegin?.(operation, { exchange, method, url, headers, body, stream });
        break;
      }
      case HTTP_RESUME:
        client?.onHttpResume?.(item[2] as number);
        break;
      case HTTP_ABORT:
        client?.onHttpAbort?.(item[2] as number);
        break;
      case LOG:
        client?.onLog?.(item[2] as number, item[3] as string);
        break;
    }
  }
}

let current: Bridge | undefined;

/** This thread's bridge. */
export function bridge(): Bridge {
  current ??= new Bridge();
  return current;
}

export type { Bridge };
