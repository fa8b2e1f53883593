/** `lime-sdk/protocol`: the pure functions, for programs that do their own I/O. */

import { InvalidArgumentError } from './errors.js';
import { type NativeEventParser, native } from './native.js';
import { guarded } from './raw_errors.js';

/** One server-sent event. */
export interface ServerSentEvent {
  /** Its type; `message` where none is given. */
  readonly event: string;
  /** Its data, lines joined by line feeds. */
  readonly data: string;
  /** The last event id, which stays until there is another one. */
  readonly id: string;
}

/**
 * What the data of an event says: a login request was `approved` or has `expired`, the platform reports an `error`, or
 * nothing that concerns a site (`keepalive`, `ignored`); `malformed` is what the protocol does not allow.
 */
export type Frame =
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'approved'; readonly requestId: string; readonly passport: string }
  | { readonly kind: 'expired'; readonly requestId: string }
  | { readonly kind: 'error'; readonly code: string; readonly message: string }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'malformed'; readonly reason: string };

/** Bytes to server-sent events; any cut into pieces gives the same. */
export class EventParser {
  readonly #native: NativeEventParser;

  /** @param lastEventId The last event id of the connection before. */
  constructor(lastEventId = '') {
    this.#native = guarded(() => new (native().EventParser)(lastEventId));
  }

  /**
   * The events that this piece completes.
   *
   * @throws BadResponseError An event is larger than an event may be.
   */
  feed(chunk: Uint8Array): ServerSentEvent[] {
    const events = JSON.parse(guarded(() => this.#native.feed(chunk))) as [string, string, string][];
    return events.map(([event, data, id]) => ({ event, data, id }));
  }

  /** The last event id. */
  get lastEventId(): string {
    return this.#native.lastEventId;
  }

  /** Milliseconds that the server asked to wait before a reconnect. */
  get retryMillis(): number | undefined {
    return this.#native.retryMillis ?? undefined;
  }
}

/**
 * The `data` of the platform's wrapping, `{"ok": true, "data": {…}}`.
 *
 * @throws LimeError The platform's own error, or `BadResponseError` where it is no such wrapping.
 */
export function openEnvelope(httpStatus: number, body: Uint8Array | string): Record<string, unknown> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return JSON.parse(guarded(() => native().openEnvelope(httpStatus, bytes))) as Record<string, unknown>;
}

/**
 * A time as the platform writes it, ISO 8601; without an offset it is UTC.
 *
 * @returns The moment (a `Date` counts milliseconds), the same in microseconds, and the offset in seconds if one was written.
 * @throws BadResponseError It is none.
 */
export function parseTimestamp(text: string): { date: Date; micros: number; offsetSeconds: number | undefined } {
  if (typeof text !== 'string') throw new InvalidArgumentError('text must be a string');
  const [micros, offset] = JSON.parse(guarded(() => native().parseTimestamp(text))) as [number, number | null];
  return { date: new Date(Math.floor(micros / 1000)), micros, offsetSeconds: offset ?? undefined };
}

/** What the data of one event says. */
export function parseFrame(data: string): Frame {
  const [kind, first, second] = JSON.parse(guarded(() => native().parseFrame(data))) as [string, string, string];
  switch (kind) {
    case 'approved':
      return { kind, requestId: first, passport: second };
    case 'expired':
      return { kind, requestId: first };
    case 'error':
      return { kind, code: first, message: second };
    case 'malformed':
      return { kind, reason: first };
    default:
      return { kind: kind as 'keepalive' | 'ignored' };
  }
}
