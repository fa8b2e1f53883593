/** What the functions given as `onProgress` are called with, and when. */

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

/** Calls a function at once and five times a second while a call runs. What it throws ends the call. */
export class Reporter {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #tell: () => void;
  #thrown: { error: unknown } | undefined;

  constructor(tell: () => void, signal: AbortSignal | undefined) {
    this.#tell = tell;
    this.#outer = signal;
    tell();
  }

  /** What the call is to be made with. */
  get signal(): AbortSignal {
    const { signal } = this.#controller;
    return this.#outer ? AbortSignal.any([signal, this.#outer]) : signal;
  }

  async around<T>(call: Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      try {
        this.#tell();
      } catch (error) {
        this.#thrown = { error };
        clearInterval(timer);
        this.#controller.abort();
      }
    }, INTERVAL);
    // The call itself keeps the process alive.
    timer.unref();
    try {
      return await call;
    } catch (error) {
      throw this.#thrown ? this.#thrown.error : error;
    } finally {
      clearInterval(timer);
    }
  }
}

export class WaitReporter extends Reporter {
  constructor(tell: (progress: WaitProgress) => void, timeout: number, signal: AbortSignal | undefined) {
    const began = performance.now();
    super(() => {
      const elapsed = performance.now() - began;
      tell({ elapsed, left: Math.max(0, timeout - elapsed) });
    }, signal);
  }
}
