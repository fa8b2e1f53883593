/** The client of the Sesame broker: approvals. */

import { inspect } from 'node:util';
import { bridge } from './bridge.js';
import {
  type ClientOptions,
  date,
  Link,
  number,
  ownEnvironment,
  type RequestOptions,
  settings,
  text,
  tlsPins,
} from './client.js';
import { InvalidArgumentError } from './errors.js';
import { type NativeApprovalRequest, type NativeSesame, native } from './native.js';
import { type WaitProgress, WaitReporter } from './progress.js';
import { guarded } from './raw_errors.js';

/** Where an approval stands. */
export type ApprovalStatus = 'pending' | 'approved' | 'denied' | 'expired' | (string & {});

/** What a human is asked to approve. */
export interface ApprovalRequest {
  /** What kind of operation it is, such as `payments.refund`. */
  action: string;
  /** One line for the human. */
  summary: string;
  /** Why it is asked for. */
  reason?: string | undefined;
  /**
   * Names the operation: the same key gives the same approval, however often it is asked for. With it a failed
   * attempt is repeated; without it only when it certainly did not leave, since a human would be asked twice.
   */
  dedupKey?: string | undefined;
  /** Where the broker reports the decision too, see `verifyWebhook`. */
  callbackUrl?: string | undefined;
  /** How much is at stake, such as `high`. */
  severity?: string | undefined;
  /** What else the human sees: JSON. It is shown: no secrets. */
  context?: Readonly<Record<string, unknown>> | undefined;
}

/** Settings of {@link Sesame}. */
export interface SesameOptions extends ClientOptions {
  /** The key, `sk_…`; else `SESAME_API_KEY`. */
  apiKey?: string | undefined;
  /** The broker; else `SESAME_BROKER_URL`, else `https://getsesame.dev`. */
  baseUrl?: string | undefined;
  /**
   * Milliseconds until a poll counts as hung and the broker is asked again. The broker holds one for 25 to
   * 30 s. Default 40,000.
   */
  pollTimeout?: number | undefined;
}

/** Settings of {@link Approval.wait}. */
export interface WaitOptions extends RequestOptions {
  /** Milliseconds to wait; `Infinity` waits for ever. Default 300,000. */
  timeout?: number | undefined;
  /** The least time in milliseconds between two questions to the broker. Default 2,000. */
  pollInterval?: number | undefined;
  /** Called at once and a few times a second while it waits. What it throws, or rejects with, ends the wait. */
  onProgress?: ((progress: WaitProgress) => unknown) | undefined;
}

/** Settings of {@link Approvals.get}. */
export interface GetApprovalOptions extends RequestOptions {
  /** Lets the broker hold its answer until there is a decision, for half a minute at most. Default false. */
  wait?: boolean | undefined;
}

interface RawApproval {
  approvalId: string;
  status: string;
  approved: boolean;
  terminal: boolean;
  expiresAt: number | null;
  decidedAt: number | null;
  requesterLabel: string | null;
  note: string | null;
}

const SETTINGS = {
  apiKey: 'string',
  baseUrl: 'string',
  timeout: 'number',
  maxRetries: 'number',
  pollTimeout: 'number',
} as const;

/** The way of approvals to their client. */
interface Source {
  get(approvalId: string, wait: boolean, signal: AbortSignal | undefined): Promise<RawApproval>;
  decided(
    approvalId: string,
    timeout: number,
    pollInterval: number,
    signal: AbortSignal | undefined,
  ): Promise<RawApproval>;
}

/**
 * An approval, as of the broker's last answer. {@link wait} and {@link refresh} bring it up to date.
 *
 * Another process can pick it up by its `approvalId`: `sesame.approvals.get(approvalId)`.
 */
export class Approval {
  readonly #source: Source;
  #state: RawApproval;

  /** @internal */
  constructor(source: Source, state: RawApproval) {
    this.#source = source;
    this.#state = state;
  }

  /** The approval's id. */
  get approvalId(): string {
    return this.#state.approvalId;
  }

  /** Where it stands; a later broker may know more. */
  get status(): ApprovalStatus {
    return this.#state.status;
  }

  /** Whether a human granted it. Nothing else means "go on". */
  get approved(): boolean {
    return this.#state.approved;
  }

  /** Whether no further decision can change it. */
  get terminal(): boolean {
    return this.#state.terminal;
  }

  /** When it expires undecided, where the broker tells. */
  get expiresAt(): Date | undefined {
    return date(this.#state.expiresAt);
  }

  /** When it was decided, where the broker tells. */
  get decidedAt(): Date | undefined {
    return date(this.#state.decidedAt);
  }

  /** Who asked, by the name that the broker has for the key; where it tells. */
  get requesterLabel(): string | undefined {
    return this.#state.requesterLabel ?? undefined;
  }

  /** What the human wrote beside the decision, where the broker tells. */
  get note(): string | undefined {
    return this.#state.note ?? undefined;
  }

  /**
   * Waits until it is decided, which includes that it expired. Restarts of the broker, polls that hang and
   * refused connections are ridden out.
   *
   * @returns This approval.
   * @throws TimeoutError Nobody decided in time.
   * @throws AuthenticationError The broker rejects the key.
   * @throws NotFoundError The broker does not know it.
   */
  async wait(options: WaitOptions = {}): Promise<this> {
    const timeout = number('timeout', options.timeout ?? 300_000);
    const pollInterval = number('pollInterval', options.pollInterval ?? 2_000);
    const reporter = options.onProgress && new WaitReporter(options.onProgress, timeout, options.signal);
    const signal = reporter?.signal ?? options.signal;
    const waiting = this.#source.decided(this.approvalId, timeout, pollInterval, signal);
    this.#state = await (reporter ? reporter.around(waiting) : waiting);
    return this;
  }

  /** Asks the broker where it stands. */
  async refresh(options: RequestOptions = {}): Promise<this> {
    this.#state = await this.#source.get(this.approvalId, false, options.signal);
    return this;
  }

  /** What it is, for `JSON.stringify`. */
  toJSON(): Record<string, unknown> {
    const { approvalId, status, expiresAt, decidedAt, requesterLabel, note } = this;
    return { approvalId, status, expiresAt, decidedAt, requesterLabel, note };
  }

  [inspect.custom](): string {
    return `Approval ${inspect(this.toJSON())}`;
  }
}

/** `sesame.approvals`. */
export class Approvals {
  readonly #link: Link;
  readonly #native: NativeSesame;
  readonly #source: Source;

  /** @internal */
  constructor(link: Link, native: NativeSesame) {
    this.#link = link;
    this.#native = native;
    this.#source = {
      get: (approvalId, wait, signal) =>
        link.call<RawApproval>((call) => native.get(call, approvalId, wait), { signal, about: { approvalId } }),
      decided: (approvalId, timeout, pollInterval, signal) =>
        link.call<RawApproval>((call) => native.wait(call, approvalId, timeout, pollInterval), {
          signal,
          about: { approvalId },
        }),
    };
  }

  /**
   * Asks a human for an approval. It is pending then, unless its `dedupKey` names one that is decided.
   *
   * @throws OutcomeUnknownError It was sent and no answer came back: the human may have been asked. Not with a `dedupKey`.
   * @throws AuthenticationError The broker rejects the key.
   * @throws RateLimitError Too many requests.
   */
  async trigger(request: ApprovalRequest, options: RequestOptions = {}): Promise<Approval> {
    const asked: NativeApprovalRequest = {
      ...(settings(request, {
        action: 'string',
        summary: 'string',
        reason: 'string',
        dedupKey: 'string',
        callbackUrl: 'string',
        severity: 'string',
      }) as Partial<NativeApprovalRequest>),
      action: text('action', request.action),
      summary: text('summary', request.summary),
      context: contextText(request.context),
    };
    const state = await this.#link.call<RawApproval>((call) => this.#native.trigger(call, asked), {
      signal: options.signal,
    });
    return new Approval(this.#source, state);
  }

  /**
   * Picks up an approval by its id.
   *
   * @throws NotFoundError The broker does not know it.
   */
  async get(approvalId: string, options: GetApprovalOptions = {}): Promise<Approval> {
    text('approvalId', approvalId);
    return new Approval(this.#source, await this.#source.get(approvalId, options.wait === true, options.signal));
  }
}

function contextText(context: unknown): string | undefined {
  if (context === undefined || context === null) return undefined;
  let written: string | undefined;
  try {
    written = JSON.stringify(context);
  } catch (cause) {
    throw new InvalidArgumentError(`context must be JSON: ${(cause as Error).message}`, { cause });
  }
  return written ?? 'null'; // a function or a symbol, which the core refuses as no object
}

/**
 * The client of the Sesame broker. Make one per key and process (or worker).
 *
 * @example
 * ```js
 * const sesame = new Sesame(); // SESAME_API_KEY
 * const approval = await sesame.approvals.trigger({ action: 'db.delete', summary: 'Delete 1,204 rows' });
 * await approval.wait({ timeout: 300_000 });
 * if (approval.approved) runDeletion();
 * ```
 */
export class Sesame {
  readonly #native: NativeSesame;
  /** Asks for approvals and picks them up. */
  readonly approvals: Approvals;

  /**
   * Makes the client. Starts nothing and sends nothing.
   *
   * @throws AuthenticationError There is no key.
   * @throws InvalidArgumentError A setting makes no sense.
   */
  constructor(options: SesameOptions = {}) {
    const link = new Link(options);
    const given = {
      ...settings(options, SETTINGS),
      tlsPins: tlsPins(options),
      environment: ownEnvironment(),
      logLevel: link.logLevel,
    };
    this.#native = guarded(() => new (native().Sesame)(bridge().queue, link.number, given, link.transport));
    this.approvals = new Approvals(link, this.#native);
    link.owner = this;
  }

  /** Refuses further calls; those under way go on. Closing twice does nothing. */
  async close(): Promise<void> {
    this.#native.close();
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
