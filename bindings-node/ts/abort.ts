/** One listener for each signal, however many calls are made with it: Node warns of more than ten as of a leak. */

import { AbortError, InvalidArgumentError, type LimeErrorOptions } from './errors.js';

interface Watched {
  readonly waiting: Set<() => void>;
  readonly listener: () => void;
}

const watched = new WeakMap<AbortSignal, Watched>();

/** Whether it can be listened to as a signal, of whatever realm or library it is. */
export function isSignal(value: unknown): value is AbortSignal {
  const found = value as Partial<AbortSignal> | null | undefined;
  return typeof found?.aborted === 'boolean' && typeof found.addEventListener === 'function';
}

/** Refuses what is no signal where there may be one: a call that cannot be given up must not begin. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal === null || isSignal(signal)) return;
  const hint = signal instanceof AbortController ? '; pass the signal of the AbortController' : '';
  throw new InvalidArgumentError(`signal must be an AbortSignal${hint}`);
}

/** The error of what was given up with this signal. */
export function aborted(signal: AbortSignal, about: LimeErrorOptions = {}): AbortError {
  return new AbortError(undefined, { cause: signal.reason, ...about });
}

/** Refuses what is no signal, and one that is aborted already: for whatever then begins. */
export function checkNotAborted(signal: AbortSignal | undefined, about?: LimeErrorOptions): void {
  checkSignal(signal);
  if (signal?.aborted) throw aborted(signal, about);
}

/** Calls a function when the signal is aborted, until what this gives is called. */
export function onAbort(signal: AbortSignal, work: () => void): () => void {
  let found = watched.get(signal);
  if (!found) {
    const waiting = new Set<() => void>();
    found = {
      waiting,
      listener: () => {
        for (const each of [...waiting]) each();
      },
    };
    watched.set(signal, found);
  }
  const { waiting, listener } = found;
  if (waiting.size === 0) signal.addEventListener('abort', listener, { once: true });
  // A function of its own for each: the same one may be given twice.
  const own = () => work();
  waiting.add(own);
  return () => {
    waiting.delete(own);
    if (waiting.size === 0) signal.removeEventListener('abort', listener);
  };
}
