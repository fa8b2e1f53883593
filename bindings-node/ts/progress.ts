/** What the functions given as `onProgress` are called with, and when. */

import { checkSignal, onAbort } from './abort.js';

/** How far a login has come. */
export interface LoginProgress {
  /**
   * `challenge`: the platform is asked for it; `pow`: the proof of work is searched for; `approve`: the approval is
   * sent; `done`: the last report, of a login that succeeded.
   */
  readonly stage: 'challenge' | 'pow' | 'approve' | 'done';
  /** Hashes tried so far. It begins at 0 again if a second digest has to be tried. */
  readonly hashes: number;
  /** Hashes that it takes on average; it may well take three times as many. `undefined` before the challenge is there. */
  readonly expected: number | undefined;
  /** Milliseconds since the login began. */
  readonly elapsed: number;
  /** Milliseconds that the search may still take of `powTimeout`. */
  readonly left: number;
}

/** How long something has been waited for. */
export interface WaitProgress {
  /** Milliseconds waited so far. */
  readonly elapsed: number;
  /** Milliseconds until the wait gives up; `Infinity` if it never does. */
  readonly left: number;
}

/** Milliseconds between two reports. */
const INTERVAL = 200;

/** Calls a function at once and five times a second while a call runs. What it throws, or rejects with, ends the call. */
export class Reporter {
  readonly #controller = new AbortController();
  #unwatch: (() => void) | undefined;
  readonly #tell: () => unknown;
  #failure: { error: unknown } | undefined;

  constructor(tell: () => unknown, signal: AbortSignal | undefined) {
    checkSignal(signal);
    this.#tell = tell;
    // AbortSignal.any would take no other library's signal, and say nothing.
    const abort = () => this.#controller.abort(signal?.reason);
    if (signal?.aborted) abort();
    else if (signal) this.#unwatch = onAbort(signal, abort);
    this.#report();
  }

  /** What the call is to be made with. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async around<T>(call: Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      if (this.#failure) clearInterval(timer);
      else this.#report();
    }, INTERVAL);
    // The call itself keeps the process alive.
    timer.unref();
    try {
      return await call;
    } catch (error) {
      throw this.#failure ? this.#failure.error : error;
    } finally {
      clearInterval(timer);
      this.#unwatch?.();
    }
  }

  #report(): void {
    try {
      const told: unknown = this.#tell();
      if (typeof (told as { then?: unknown } | null | undefined)?.then === 'function') {
        Promise.resolve(told).catch((error: unknown) => this.#fail(error));
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#controller.abort();
  }
}

export class WaitReporter extends Reporter {
  constructor(tell: (progress: WaitProgress) => unknown, timeout: number, signal: AbortSignal | undefined) {
    const began = performance.now();
    super(() => {
      const elapsed = performance.now() - began;
      return tell({ elapsed, left: Math.max(0, timeout - elapsed) });
    }, signal);
  }
}
