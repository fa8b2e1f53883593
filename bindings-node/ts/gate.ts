/**
 * `requireApproval`: a function that runs only if a human approves the call.
 *
 * The gate fails closed: whatever goes wrong between the call and the decision – the broker is down, the connection
 * breaks, nobody answers, an argument of the gate itself throws – the function does not run.
 */

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { ApprovalDeniedError, InvalidArgumentError } from './errors.js';
import { automaticKey, fingerprint } from './fingerprint.js';
import { masked, preview } from './preview.js';
import type { WaitProgress } from './progress.js';
import { type Approval, type ApprovalRequest, Sesame } from './sesame.js';

type AnyFunction = (...args: never[]) => unknown;

/** A value, or a function of the call's arguments that gives it, async or not. */
export type OfCall<A extends readonly unknown[], T> = T | ((...args: A) => T | Promise<T>);

/** Settings of {@link requireApproval}. `A` are the arguments of the gated function. */
export interface RequireApprovalOptions<A extends readonly unknown[] = readonly never[]> {
  /** Gate only if this is true; where it is false the function runs without asking. Default true. */
  when?: OfCall<A, boolean> | undefined;
  /** One line for the human; made from the action and the function's name if left out. */
  summary?: OfCall<A, string> | undefined;
  /** Why it is asked for. */
  reason?: OfCall<A, string | undefined> | undefined;
  /** How much is at stake, such as `'high'`. */
  severity?: OfCall<A, string | undefined> | undefined;
  /** Where the broker reports the decision too, see `verifyWebhook`. */
  callbackUrl?: OfCall<A, string | undefined> | undefined;
  /**
   * More for the human to look at. `'auto'` shows the arguments, with what looks like a secret by its name masked. The
   * names are those of `parameters`, else of the function's source, and of the members of objects.
   */
  context?: 'auto' | OfCall<A, Readonly<Record<string, unknown>> | undefined> | undefined;
  /**
   * Names the operation: calls with the same key share one approval, also from another process, so that a call that
   * was cut off can be made again and finds its decision. The key must say all that matters, and something that
   * belongs to this one operation. `'auto'` makes it from the action, the function's name and its arguments, which must
   * be data. Every call like it has the same one: an approval that was granted before the call is denied (`already_used`)
   * unless there is a `journal`, also where a call like it has asked for it and given up. While it is pending, the next
   * call like it waits for it instead of asking again.
   */
  dedupKey?: 'auto' | OfCall<A, string | undefined> | undefined;
  /** Names whose values are masked in the context at any depth, or a function that makes of it what may be shown. */
  redact?: readonly string[] | ((context: Record<string, unknown>) => Record<string, unknown>) | undefined;
  /** What of the arguments the approval is bound to; all of them if left out. For calls with incidental arguments. */
  bind?: ((...args: A) => unknown) | undefined;
  /** The names of the function's parameters, for `context: 'auto'`; its source may have been minified. */
  parameters?: readonly string[] | undefined;
  /**
   * A folder in which each approval that has let a call through is noted, and the note synced to the disk, before the call
   * runs. Processes that share it – also of other languages – let each approval through once between them, whatever is
   * started again or crashes, also the machine. Made if it is not there; a relative path is one from where the program is
   * when it gates. Where it cannot be written, the call rejects and does not run.
   */
  journal?: string | undefined;
  /** Milliseconds to wait for a decision, from when the broker has taken the question. Default 300,000. */
  timeout?: number | undefined;
  /** The least time in milliseconds between two questions to the broker. Default 2,000. */
  pollInterval?: number | undefined;
  /** The client to ask with; one made from the environment if left out. */
  client?: Sesame | undefined;
  /** Aborting it ends the wait; the function does not run. */
  signal?: AbortSignal | ((...args: A) => AbortSignal | undefined) | undefined;
  /** Called a few times a second while the decision is waited for. What it throws is thrown from the call. */
  onProgress?: ((progress: WaitProgress) => unknown) | undefined;
}

/** A gated function: the same, but asynchronous. */
export type Gated<F extends AnyFunction> = F extends (this: infer This, ...args: infer A) => infer R
  ? (
      this: This,
      ...args: A
    ) => R extends AsyncGenerator<infer T, infer Return, infer Next> | Generator<infer T, infer Return, infer Next>
      ? AsyncGenerator<T, Return, Next>
      : Promise<Awaited<R>>
  : never;

/** Gates a function; also a decorator of methods. */
export type Gate<A extends readonly unknown[]> = <F extends (...args: never[]) => unknown>(
  this: void,
  run: F & ((...args: [...A]) => unknown),
  context?: ClassMethodDecoratorContext,
) => Gated<F>;

/**
 * Gates a function behind a human approval.
 *
 * Each call asks for an approval and waits; the function runs once it is granted, and only then. What comes out is
 * asynchronous, whatever the function is; a generator becomes an async generator, which asks when it is first advanced.
 *
 * An approval counts for the call that it was asked for: if data in the arguments has changed when the decision comes,
 * the call is denied with the reason `args_changed`. Data is what can be written down: primitives, dates, binary data, arrays, maps,
 * sets, objects whose fields are data. What cannot (functions, connections, streams) counts by which object it is; `this` is
 * not looked at.
 *
 * An approval lets one call through, also one that then fails: another that attaches to it by its `dedupKey` is denied with the
 * reason `already_used`. This thread remembers that; `journal` makes every process that shares it remember.
 *
 * The gated function rejects with `ApprovalDeniedError` (denied, expired, arguments changed, already used), `TimeoutError` (nobody
 * decided in time), `AbortError`, and whatever the broker fails with. Whatever the error: the function did not run –
 * unless the error is its own.
 *
 * @example
 * ```js
 * const issueRefund = requireApproval(
 *   'payments.refund',
 *   {
 *     summary: (amount, customerId) => `Refund $${amount / 100} to ${customerId}`,
 *     when: (amount) => amount > 1_000,
 *     context: 'auto',
 *   },
 *   async (amount, customerId) => payments.refund(customerId, amount),
 * );
 * await issueRefund(4_200, 'cus_123');
 * ```
 *
 * As a decorator, in TypeScript 5 and later: `@requireApproval('payments.refund', { context: 'auto' })`.
 */
export function requireApproval<F extends AnyFunction>(
  action: string,
  options: RequireApprovalOptions<Parameters<F>>,
  run: F,
): Gated<F>;
export function requireApproval<F extends AnyFunction>(action: string, run: F): Gated<F>;
export function requireApproval<A extends readonly unknown[] = readonly never[]>(
  action: string,
  options?: RequireApprovalOptions<A>,
): Gate<A>;
export function requireApproval(action: string, ...rest: unknown[]): unknown {
  const run = rest.find((argument) => typeof argument === 'function') as AnyFunction | undefined;
  const options = (typeof rest[0] === 'function' ? {} : (rest[0] ?? {})) as Options;
  if (typeof action !== 'string' || action === '') throw new InvalidArgumentError('action must be a text');
  const gate = new Gatekeeper(action, options);
  return run ? gate.around(run) : (decorated: AnyFunction) => gate.around(decorated);
}

type Options = RequireApprovalOptions<unknown[]>;

/** What is worked out for each call. */
interface Worked {
  summary: string | undefined;
  reason: string | undefined;
  severity: string | undefined;
  callbackUrl: string | undefined;
  context: Readonly<Record<string, unknown>> | 'auto' | undefined;
  dedupKey: string | undefined;
}

/** Settings that may be functions of the call's arguments, in the order in which they are worked out. */
const OF_CALL = ['summary', 'reason', 'severity', 'callbackUrl', 'context', 'dedupKey'] as const;

let defaultClient: Sesame | undefined;

/** For the tests of programs: the client that gates share is made anew, from the environment as it is then. */
export function forgetDefaultClient(): void {
  defaultClient = undefined;
}

class Gatekeeper {
  readonly action: string;
  readonly options: Options;
  readonly journal: string | undefined;

  constructor(action: string, options: Options) {
    const { journal } = options;
    if (journal !== undefined && (typeof journal !== 'string' || journal === '')) {
      throw new InvalidArgumentError('journal must be the path of a folder');
    }
    this.action = action;
    this.options = options;
    // Of now: a program that goes to another folder must not leave its journal behind.
    this.journal = journal === undefined ? undefined : path.resolve(journal);
  }

  around(run: AnyFunction): AnyFunction {
    if (typeof run !== 'function') throw new InvalidArgumentError('What is gated must be a function');
    const gate = this;
    const call = run as (...args: unknown[]) => unknown;
    const kind = Object.prototype.toString.call(run);
    let gated: AnyFunction;
    if (kind === '[object GeneratorFunction]' || kind === '[object AsyncGeneratorFunction]') {
      gated = async function* (this: unknown, ...args: unknown[]) {
        await gate.pass(run, args);
        return yield* call.apply(this, args) as AsyncGenerator<unknown, unknown, unknown>;
      };
    } else {
      gated = async function (this: unknown, ...args: unknown[]) {
        await gate.pass(run, args);
        return await call.apply(this, args);
      };
    }
    Object.defineProperty(gated, 'name', { value: run.name, configurable: true });
    Object.defineProperty(gated, 'length', { value: run.length, configurable: true });
    return gated;
  }

  /** Is fulfilled if the call may run. */
  async pass(run: AnyFunction, args: unknown[]): Promise<void> {
    const { options } = this;
    // Before anybody is asked: what is shown is made from these arguments.
    const call = new Call(this, run, args);
    const when: unknown = typeof options.when === 'function' ? await options.when(...args) : (options.when ?? true);
    // A function that forgot to return must not open the gate.
    if (typeof when !== 'boolean') throw new InvalidArgumentError(`when gave ${String(when)}, not true or false`);
    if (!when) return;
    const worked = {} as Record<(typeof OF_CALL)[number], unknown>;
    for (const name of OF_CALL) {
      const setting: unknown = options[name];
      worked[name] =
        typeof setting === 'function' ? await (setting as (...all: unknown[]) => unknown)(...args) : setting;
    }
    const signal = typeof options.signal === 'function' ? options.signal(...args) : options.signal;
    if (options.client === undefined) defaultClient ??= new Sesame();
    const client = options.client ?? (defaultClient as Sesame);
    const approval = await client.approvals.trigger(call.asked(worked as unknown as Worked), { signal });
    call.attach(approval);
    await approval.wait({
      signal,
      timeout: options.timeout,
      pollInterval: options.pollInterval,
      onProgress: options.onProgress,
    });
    call.admit(approval);
    if (this.journal !== undefined) {
      await call.enter(approval, this.journal);
      call.checkArguments(approval);
    }
  }
}

/** One call of a gated function. */
class Call {
  readonly #gate: Gatekeeper;
  readonly #run: AnyFunction;
  readonly #args: unknown[];
  readonly #before: string;
  /** Whether other calls can get the same approval, and whether by a key that nobody chose. */
  #shared = false;
  #automatic = false;

  constructor(gate: Gatekeeper, run: AnyFunction, args: unknown[]) {
    this.#gate = gate;
    this.#run = run;
    this.#args = args;
    this.#before = fingerprint(this.#bound(), 'identity');
  }

  #bound(): unknown {
    const { bind } = this.#gate.options;
    return bind ? bind(...this.#args) : this.#args;
  }

  get #name(): string {
    return this.#run.name || 'anonymous';
  }

  asked(worked: Worked): ApprovalRequest {
    const { action } = this.#gate;
    if (worked.dedupKey === '') {
      throw new InvalidArgumentError('dedupKey is empty: calls that have nothing to do with each other would share it');
    }
    this.#shared = worked.dedupKey !== undefined && worked.dedupKey !== null;
    this.#automatic = this.#gate.options.dedupKey === 'auto';
    return {
      action,
      summary: worked.summary ?? `Approval required for ${action} (via ${this.#name})`,
      reason: worked.reason ?? undefined,
      severity: worked.severity ?? undefined,
      callbackUrl: worked.callbackUrl ?? undefined,
      dedupKey: this.#automatic ? automaticKey(action, this.#name, this.#bound()) : (worked.dedupKey ?? undefined),
      context: this.#context(worked.context),
    };
  }

  #context(given: Worked['context']): Record<string, unknown> | undefined {
    const { options } = this.#gate;
    const automatic = options.context === 'auto';
    const context = automatic ? preview(this.#name, named(this.#run, options.parameters, this.#args)) : given;
    if (context === undefined || context === null) return undefined;
    const { redact = [] } = options;
    // A copy: it may change what it gets.
    if (typeof redact === 'function') return redact(masked(context, [], automatic) as Record<string, unknown>);
    return masked(context, typeof redact === 'string' ? [redact] : redact, automatic) as Record<string, unknown>;
  }

  /** Refuses an approval that is not, or may not be, this call's. */
  attach(approval: Approval): void {
    if (!this.#shared) return;
    const digest = `${this.#name} ${fingerprint(this.#bound(), 'type')}`;
    const known = calls.get(approval.approvalId);
    if (known === undefined) calls.set(approval.approvalId, digest);
    else if (known !== digest) throw this.#denied(approval, 'was asked for with other arguments', 'args_changed');
    // A key that the call made by itself names every call like it: the one of yesterday, and the one that gave up
    // hours ago and that somebody may have made up for since.
    if (this.#automatic && approval.approved && this.#gate.journal === undefined) {
      throw this.#denied(approval, 'was decided before this call asked for it', 'already_used');
    }
  }

  /** Returns if this approval lets this call run, but for the journal. */
  admit(approval: Approval): void {
    if (approval.approved !== true) throw this.#denied(approval, `was ${approval.status}`, undefined);
    this.checkArguments(approval);
    if (this.#shared) {
      if (used.has(approval.approvalId)) throw this.#usedBefore(approval);
      used.add(approval.approvalId);
    }
  }

  /** Returns if the arguments are those that the human was asked about. The last thing before it runs. */
  checkArguments(approval: Approval): void {
    if (fingerprint(this.#bound(), 'identity') !== this.#before) {
      throw this.#denied(approval, 'does not count: the arguments have changed since', 'args_changed');
    }
  }

  /** Notes in the journal that the approval is used; rejects if it was. */
  async enter(approval: Approval, journal: string): Promise<void> {
    if (!(await note(journal, approval.approvalId))) throw this.#usedBefore(approval);
  }

  #usedBefore(approval: Approval): ApprovalDeniedError {
    return this.#denied(approval, 'has let a call through before', 'already_used');
  }

  #denied(approval: Approval, why: string, reason: string | undefined): ApprovalDeniedError {
    const { approvalId, status, note } = approval;
    const message = `Approval for '${this.#gate.action}' ${why}${reason === undefined && note ? `: ${note}` : ''}`;
    return new ApprovalDeniedError(message, { approvalId, status, reason: reason ?? status, note });
  }
}

// What this thread knows of approvals that several calls can get by one key. It forgets nothing: an approval is as much
// work for a human as it is memory here.
const calls = new Map<string, string>();
const used = new Set<string>();

/**
 * Notes in a folder that an approval was used; whether this is the first note of it. The file system decides between
 * processes. What it has created it does not forget, not even when the machine stops, since it is on the disk before this
 * is fulfilled.
 */
async function note(journal: string, approvalId: string): Promise<boolean> {
  const made = [journal]; // and those above it that are not there yet
  for (let above = path.dirname(journal); !(await isFolder(above)); above = path.dirname(above)) made.push(above);
  await mkdir(journal, { recursive: true });
  const name = createHash('sha256').update(approvalId).digest('hex');
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path.join(journal, name), 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  await synced(file);
  // Also where the folder was there: the process that has made it may not have come so far.
  for (const folder of [...made, path.dirname(made.at(-1) as string)]) {
    await synced(await open(folder, constants.O_RDONLY | constants.O_DIRECTORY));
  }
  return true;
}

async function synced(file: Awaited<ReturnType<typeof open>>): Promise<void> {
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** The arguments by name. */
function named(run: AnyFunction, parameters: readonly string[] | undefined, args: unknown[]): Record<string, unknown> {
  const names = parameters ?? parameterNames(run);
  const entries: [string, unknown][] = [];
  args.forEach((value, index) => {
    entries.push([names[index] ?? `argument ${index + 1}`, value]);
  });
  return Object.fromEntries(entries);
}

/** As far as the source of a function shows them. */
export function parameterNames(run: AnyFunction): (string | undefined)[] {
  const source = Function.prototype.toString.call(run).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
  const single = /^(?:async\s+)?([\w$]+)\s*=>/.exec(source);
  if (single) return [single[1]];
  const start = source.indexOf('(');
  const found: string[] = [];
  let depth = 0;
  let current = '';
  for (const character of source.slice(start)) {
    if ('([{'.includes(character)) depth += 1;
    if (')]}'.includes(character)) depth -= 1;
    if (depth === 0 || (depth === 1 && character === ',')) {
      found.push(current);
      current = '';
      if (depth === 0) break;
    } else if (!(depth === 1 && character === '(')) {
      current += character;
    }
  }
  return found.map((parameter) => /^\s*([\w$]+)\s*(?:=|$)/.exec(parameter)?.[1]);
}
