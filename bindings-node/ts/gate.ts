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
import { isSignal } from './abort.js';
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
  /** The names of the function's parameters, for `context: 'auto'`; its source may have been minified. `'...name'` is for the rest. */
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
 * @throws InvalidArgumentError A setting is none, or not what it takes; nobody has been asked then.
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
/** The same with all settings as they are by default. */
export function requireApproval<F extends AnyFunction>(action: string, run: F): Gated<F>;
/** The same for functions that come later: gives what gates them, also as a decorator of methods. */
export function requireApproval<A extends readonly unknown[] = readonly never[]>(
  action: string,
  options?: RequireApprovalOptions<A>,
): Gate<A>;
export function requireApproval(action: string, ...rest: unknown[]): unknown {
  const direct = typeof rest[0] === 'function';
  const [options, run] = direct ? [{}, rest[0]] : [rest[0] ?? {}, rest[1]];
  if (typeof action !== 'string' || action === '') throw new InvalidArgumentError('action must be a text');
  if (direct && rest[1] !== undefined)
    throw new InvalidArgumentError('The settings of a gate stand before the function');
  if (typeof options !== 'object') throw new InvalidArgumentError('The settings of a gate must be an object');
  const gate = new Gatekeeper(action, options as Options);
  // A function that is not there, as of a name that a module does not export, is no decorator.
  if (direct || rest.length > 1) return gate.around(run as AnyFunction);
  return (decorated: AnyFunction) => gate.around(decorated);
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

type Check = (value: unknown) => boolean;
const isFunction: Check = (value) => typeof value === 'function';
const isText: Check = (value) => typeof value === 'string';
const isList: Check = (value) => Array.isArray(value) && value.every(isText);
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const text: [Check, string] = [(value) => isText(value) || isFunction(value), 'a text or a function'];

/** What each setting takes. Checked when a function is gated, so that nobody is asked in vain. */
const TAKES: Readonly<Record<keyof Options, readonly [Check, string]>> = {
  when: [(value) => typeof value === 'boolean' || isFunction(value), 'true, false or a function'],
  summary: text,
  reason: text,
  severity: text,
  callbackUrl: text,
  context: [(value) => value === 'auto' || isObject(value) || isFunction(value), "an object, 'auto' or a function"],
  dedupKey: [
    (value) => (isText(value) && !isBlank(value)) || isFunction(value),
    'a text that is not blank or a function',
  ],
  redact: [(value) => isText(value) || isList(value) || isFunction(value), 'a list of names or a function'],
  bind: [isFunction, 'a function'],
  parameters: [isList, 'a list of names'],
  journal: [(value) => isText(value) && value !== '', 'the path of a folder'],
  timeout: [(value) => typeof value === 'number' && !Number.isNaN(value), 'a number of milliseconds'],
  pollInterval: [(value) => Number.isFinite(value) && (value as number) >= 0, 'a number of milliseconds'],
  client: [(value) => isFunction((value as Partial<Sesame> | null)?.approvals?.trigger), 'a Sesame'],
  signal: [(value) => isSignal(value) || isFunction(value), 'an AbortSignal or a function'],
  onProgress: [isFunction, 'a function'],
};

function isBlank(value: unknown): boolean {
  return isText(value) && (value as string).trim() === '';
}

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
    for (const [name, value] of Object.entries(options)) {
      const takes = (TAKES as Record<string, readonly [Check, string] | undefined>)[name];
      // One that is misspelt must not leave the gate wider than it was meant.
      if (!takes) throw new InvalidArgumentError(`A gate has no setting ${name}`);
      if (value !== undefined && value !== null && !takes[0](value)) {
        throw new InvalidArgumentError(`${name} must be ${takes[1]}`);
      }
    }
    const { journal } = options;
    this.action = action;
    this.options = options;
    // Of now: a program that goes to another folder must not leave its journal behind.
    this.journal = journal ? path.resolve(journal) : undefined;
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
    if (isBlank(worked.dedupKey)) {
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
  for (const [index, value] of args.entries()) {
    const name = names[index];
    if (name?.startsWith('...')) {
      entries.push([name.slice(3), args.slice(index)]);
      break;
    }
    entries.push([name ?? `argument ${index + 1}`, value]);
  }
  return Object.fromEntries(entries);
}

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/y;
const TEXT = /'(?:\\[\s\S]|[^'\\])*'|"(?:\\[\s\S]|[^"\\])*"/y;
const PATTERN = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//y;
const TEMPLATE = /[`}](?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y;

/**
 * The characters of a source that are code. Comments, texts, templates and patterns, in which there may be what looks like
 * it, are a blank each.
 */
function* codeOf(source: string): Generator<string> {
  let at = 0;
  let found = '';
  const is = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    found = pattern.exec(source)?.[0] ?? '';
    return found !== '';
  };
  /** The braces that are open in each `${` that is. */
  const within: number[] = [];
  // Where a value begins, a slash begins a pattern.
  let value = true;
  for (; at < source.length; at += found.length) {
    const character = source[at] as string;
    const inner = within.length - 1;
    if (is(COMMENT)) {
      yield ' ';
    } else if (is(TEXT) || (value && is(PATTERN))) {
      value = false;
      yield ' ';
    } else if ((character === '`' || (character === '}' && within[inner] === 0)) && is(TEMPLATE)) {
      if (character === '}') within.pop();
      if (found.endsWith('{')) within.push(0);
      value = found.endsWith('{');
      yield ' ';
    } else {
      found = character;
      if (inner >= 0 && '{}'.includes(character))
        within[inner] = (within[inner] as number) + (character === '{' ? 1 : -1);
      if (character.trim() !== '') value = '=(,:?[{!&|;+*%<>~^-'.includes(character);
      if (inner < 0) yield character;
    }
  }
}

/**
 * As far as the source of a function shows them; one that takes the rest begins with three dots. A name that is missed has
 * its value shown, whatever it says.
 */
export function parameterNames(run: AnyFunction): (string | undefined)[] {
  const found: string[] = [];
  let depth = 0;
  let current = '';
  let begun = false;
  for (const character of codeOf(Function.prototype.toString.call(run))) {
    if ('([{'.includes(character)) depth += 1;
    if (')]}'.includes(character)) depth -= 1;
    if (begun && (depth === 0 || (depth === 1 && character === ','))) {
      found.push(current);
      current = '';
      if (depth === 0) break;
    } else if (!begun && depth === 1 && character === '(') {
      begun = true;
      current = '';
    } else {
      current += character;
      const single = begun || character !== '>' ? null : /^\s*(?:async\s+)?([\p{ID_Continue}$]+)\s*=>$/u.exec(current);
      if (single) return [single[1]];
    }
  }
  // After the last comma, or between the brackets of none, there is nothing.
  if (found.at(-1)?.trim() === '') found.pop();
  return found.map((parameter) => /^\s*((?:\.\.\.)?[\p{ID_Continue}$]+)\s*(?:=|$)/u.exec(parameter)?.[1]);
}
