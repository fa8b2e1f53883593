/** Proof of work on its own. */

import { bridge } from './bridge.js';
import { number, type RequestOptions, text } from './client.js';
import { InvalidArgumentError } from './errors.js';
import { native } from './native.js';

/** Settings of {@link solvePow}. */
export interface SolvePowOptions extends RequestOptions {
  /** `'seed'`: SHA-256 of challenge and nonce; `'today'`: with a prefix and separators. Default `'today'`. */
  digest?: 'seed' | 'today' | undefined;
  /** Milliseconds that it may take. Default 10,000. */
  timeout?: number | undefined;
  /** How many threads search; the result is the same for any number. Default 1. */
  threads?: number | undefined;
}

/**
 * Finds the smallest nonce with which the challenge's digest begins with so many zero bits. It is searched for on
 * threads of the library; the event loop stays free. `LimeAgent.login` does this by itself.
 *
 * @returns The nonce as decimal text.
 * @throws PowTimeoutError It was not found in time; a `PowDifficultyError` of them: it cannot be.
 */
export async function solvePow(challenge: string, difficulty: number, options: SolvePowOptions = {}): Promise<string> {
  const { digest = 'today', timeout = 10_000, threads = 1, signal } = options;
  text('challenge', challenge);
  if (!Number.isSafeInteger(difficulty)) throw new InvalidArgumentError('difficulty must be an integer');
  number('timeout', timeout);
  number('threads', threads);
  return bridge().call<string>(
    (call) => native().solvePow(bridge().queue, call, challenge, difficulty, digest, timeout, threads),
    { signal },
  );
}
