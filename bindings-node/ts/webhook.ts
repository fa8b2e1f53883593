/**
 * Webhooks: the broker reports a decision by a POST that is signed with a shared secret. Verified and signed on
 * the calling thread, in microseconds.
 *
 * The signature covers the raw body and nothing else. **The timestamp is not signed**: whoever has once seen a
 * delivery can send it again, at any later time, with a fresh timestamp; `tolerance` does not stop that.
 */

import { types } from 'node:util';
import { InvalidArgumentError, LimeError, WebhookVerificationError } from './errors.js';
import { type NativeReplayGuard, native } from './native.js';
import { fromThrown, guarded } from './raw_errors.js';

/** The header with the hexadecimal HMAC-SHA256 of the raw body. */
export const SIGNATURE_HEADER = 'X-Sesame-Signature';
/** The header with the Unix seconds at which the broker sent it. */
export const TIMESTAMP_HEADER = 'X-Sesame-Timestamp';

/** A request's headers: those of Node, a `Headers`, a `Map`, or pairs. Names in any case. */
export type WebhookHeaders =
  | Readonly<Record<string, string | readonly string[] | Uint8Array | number | undefined>>
  | Iterable<readonly [string, string | readonly string[] | Uint8Array | number | undefined]>;

/** A webhook secret. */
export type WebhookSecret = string | Uint8Array;

/** What a webhook says. */
export interface WebhookPayload {
  /** The approval that was decided. */
  readonly approval_id?: string;
  /** What kind of operation it is. */
  readonly action?: string;
  /** The decision: `approved`, `denied` or `expired`. */
  readonly status?: string;
  /** When it was decided, ISO 8601. */
  readonly decided_at?: string;
  readonly [field: string]: unknown;
}

/** Settings of {@link verifyWebhook}. */
export interface VerifyWebhookOptions {
  /** Milliseconds that the timestamp may lie in the past or in the future. Default 300,000. */
  tolerance?: number | undefined;
  /** The time, as a `Date` or in milliseconds; the machine's if left out. */
  now?: Date | number | undefined;
  /** Refuses what it has let in before. */
  replayGuard?: ReplayGuard | undefined;
}

/** Settings of {@link signWebhook}. */
export interface SignWebhookOptions {
  /** When it is sent: a `Date`, or Unix time in **seconds** as the header has it; now if left out. */
  timestamp?: Date | number | bigint | undefined;
}

/** Settings of {@link ReplayGuard}. */
export interface ReplayGuardOptions {
  /** Milliseconds that a decision may lie back. Default 86,400,000, a day. */
  horizon?: number | undefined;
  /** How many bodies to remember at most. Default 100,000. */
  capacity?: number | undefined;
}

/**
 * Lets each webhook body in once. Make one per process and pass it to every `verifyWebhook`.
 *
 * Bodies whose signed `decided_at` lies further back than `horizon` are refused, so that it need not remember for
 * ever. It knows one thread of one process only.
 *
 * @example
 * ```js
 * const replayGuard = new ReplayGuard();
 * const payload = verifyWebhook(headers, raw, secret, { replayGuard });
 * try {
 *   await handle(payload);
 * } catch (error) {
 *   replayGuard.forget(raw); // the broker will send it once more
 *   throw error;
 * }
 * ```
 */
export class ReplayGuard {
  /** @internal */
  readonly native: NativeReplayGuard;

  /** @throws InvalidArgumentError `horizon` is no time. */
  constructor(options: ReplayGuardOptions = {}) {
    const { horizon = 86_400_000, capacity = 100_000 } = options;
    this.native = guarded(() => new (native().ReplayGuard)(horizon, capacity));
    Object.defineProperty(this, 'native', { enumerable: false });
  }

  /**
   * Lets a body in again, since it could not be handled.
   *
   * @returns Whether it had been let in.
   */
  forget(body: string | Uint8Array): boolean {
    return this.native.forget(rawBody(body));
  }
}

/** Seconds are what the native side counts in, up to beyond any clock. */
const LONGEST = 1e18;

/**
 * Verifies a webhook and gives its payload.
 *
 * Best treated as a hint: read the approval with `sesame.approvals.get(payload.approval_id)` and act on that, once for
 * each `approval_id`; or record each `approval_id` where its decision takes effect; or pass a {@link ReplayGuard}.
 *
 * @param headers The request's headers.
 * @param body The raw body, exactly as it arrived: bytes, or their text. Not what a framework has made of it.
 * @param secret The webhook secret, or several while one replaces another.
 * @throws WebhookVerificationError Whatever is wrong; its `reason` says what. No other error comes out of it, but for an
 * installation without a native module, which is no verdict.
 *
 * @example
 * ```js
 * const payload = verifyWebhook(request.headers, rawBody, process.env.SESAME_WEBHOOK_SECRET);
 * ```
 */
export function verifyWebhook(
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secret: WebhookSecret | readonly WebhookSecret[],
  options: VerifyWebhookOptions = {},
): WebhookPayload {
  const library = native();
  try {
    const { tolerance = 300_000, now = Date.now(), replayGuard } = options;
    const moment = Number(now);
    if (!(typeof tolerance === 'number' && tolerance >= 0 && Number.isFinite(moment))) {
      throw new InvalidArgumentError('tolerance must be a number of milliseconds, and now a time');
    }
    const payload = library.verifyWebhook(
      headerBytes(headers),
      rawBody(body),
      secretBytes(secret),
      Math.min(tolerance, LONGEST),
      // A clock before 1970 makes everything "in the future".
      Math.min(Math.max(0, moment), LONGEST),
      replayGuard?.native,
    );
    return JSON.parse(payload) as WebhookPayload;
  } catch (thrown) {
    const error = fromThrown(thrown);
    if (error instanceof WebhookVerificationError) throw error;
    // Headers that cannot be read are no headers: whoever calls this must be able to rely on there being one error.
    const why = error instanceof LimeError ? error.message : `Webhook could not be verified: ${String(error)}`;
    throw new WebhookVerificationError(why, { code: 'invalid_argument', cause: error });
  }
}

/**
 * Signs a body as the broker does: for the tests of programs that receive webhooks.
 *
 * @returns The two headers.
 * @throws WebhookVerificationError The secret is empty.
 *
 * @example
 * ```js
 * const raw = JSON.stringify({ approval_id: 'ap_1', action: 'db.delete', status: 'approved' });
 * await fetch(url, { method: 'POST', body: raw, headers: signWebhook(raw, secret) });
 * ```
 */
export function signWebhook(
  body: string | Uint8Array,
  secret: WebhookSecret,
  options: SignWebhookOptions = {},
): { 'X-Sesame-Signature': string; 'X-Sesame-Timestamp': string } {
  const { timestamp = new Date() } = options;
  let seconds: string;
  try {
    const whole = types.isDate(timestamp) ? Math.floor(timestamp.getTime() / 1000) : timestamp;
    seconds = String(typeof whole === 'bigint' ? whole : BigInt(Math.max(0, Math.trunc(whole))));
  } catch (cause) {
    throw new InvalidArgumentError('timestamp must be a Date or a number of seconds', { cause });
  }
  const raw = rawBody(body);
  const [signature = '', sent = ''] = guarded(() => native().signWebhook(raw, bytes(secret), seconds));
  return { [SIGNATURE_HEADER]: signature, [TIMESTAMP_HEADER]: sent };
}

/** Bytes of the raw body. Everything else is what a framework has made of it. */
export function rawBody(body: unknown): Uint8Array {
  if (typeof body === 'string') return Buffer.from(body);
  if (types.isUint8Array(body)) return body;
  const kind = body === null ? 'null' : typeof body === 'object' ? (body.constructor?.name ?? 'object') : typeof body;
  throw new WebhookVerificationError(
    `The body must be the raw bytes of the request, not ${kind}: the signature covers them exactly (lime-sdk/express and ` +
      'lime-sdk/fastify read them; Express: express.raw({ type: "*/*" }), Fetch: await request.text())',
    { code: 'invalid_argument' },
  );
}

/** Whatever else a secret is, nobody has agreed on it: it counts as none and is refused. */
function bytes(secret: unknown): Uint8Array {
  if (typeof secret === 'string') return Buffer.from(secret);
  return types.isUint8Array(secret) ? secret : new Uint8Array();
}

function secretBytes(secret: unknown): Uint8Array[] {
  return Array.isArray(secret) ? secret.map(bytes) : [bytes(secret)];
}

/** The headers that matter, names and values in turn, in whatever shape they came. */
function headerBytes(headers: unknown): Uint8Array[] {
  if (headers === null || typeof headers !== 'object') throw new InvalidArgumentError('headers must be an object');
  const iterable = typeof (headers as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
  const pairs = iterable ? (headers as Iterable<unknown>) : Object.entries(headers);
  const found: Uint8Array[] = [];
  for (const pair of pairs) {
    const [name, value] = pair as [unknown, unknown];
    if (typeof name !== 'string' || !native().webhookConcerns(name)) continue;
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      // A timestamp that a program has set as a number is one; what else is no text belongs to no header.
      if (typeof one === 'string' || typeof one === 'number') found.push(Buffer.from(name), Buffer.from(String(one)));
      else if (types.isUint8Array(one)) found.push(Buffer.from(name), one);
    }
  }
  return found;
}
