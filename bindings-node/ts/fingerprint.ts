/** The arguments of a gated call: what they were when a human was asked. */

import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { types } from 'node:util';
import { InvalidArgumentError } from './errors.js';

/** What an object that is no data counts by: which object it is, its type, or not at all. */
export type Opaque = 'identity' | 'type' | 'refused';

let lastIdentity = 0;
const identities = new WeakMap<object, number>();

function identity(value: object): number {
  let found = identities.get(value);
  if (found === undefined) {
    lastIdentity += 1;
    found = lastIdentity;
    identities.set(value, found);
  }
  return found;
}

/**
 * A hash of all data in a value; equal data has equal hashes, in every process.
 *
 * Data is what can be written down: primitives, dates, binary data, arrays, maps, sets, and objects with all that their
 * fields hold; of a class that has a `toJSON`, what that gives. What has its state where nobody can see it (a promise, a
 * proxy, private fields) or is connected to something (an `EventEmitter`, so a socket or a stream) is none, nor is an instance of
 * a class with such a thing below it: it counts by which object it is. So does a function; but what has one is data all the same.
 *
 * @throws InvalidArgumentError Something is no data, and `opaque` refuses that.
 */
export function fingerprint(value: unknown, opaque: Opaque): string {
  return new Data(opaque).hash(value);
}

/** What counts by which object it is. */
class NotData {
  constructor(
    readonly type: string,
    readonly which: string,
    /** A function or a symbol: what has one is data all the same. */
    readonly harmless: boolean,
  ) {}
}

/** What a value is made of. */
class Parts {
  constructor(
    /** What it is, without its parts. */
    readonly label: string,
    readonly values: readonly unknown[],
    /** It is what its parts say only if all below it is data, too. */
    readonly instance = false,
  ) {}
}

/**
 * Hashes a value so that no two different ones have the same hash.
 *
 * An object is one node however many others refer to it, so that the work grows with the number of objects and nothing
 * has to be left out. Nothing here calls itself: a chain of objects may be as long as it likes.
 */
class Data {
  readonly #opaque: Opaque;
  // By the number of the node. A part is a text that says all, or a node.
  readonly #values: object[] = [];
  readonly #labels: string[] = [];
  readonly #parts: (string | number)[][] = [];
  readonly #below: boolean[] = [];
  /** An object is one node where it stands by itself, another below an instance. */
  readonly #numbers = [new Map<object, number>(), new Map<object, number>()] as const;
  /** Nodes that are being read, outermost first, each with its values and how many of them have been looked at. */
  readonly #open: { number: number; values: readonly unknown[]; below: boolean; next: number }[] = [];
  /** Nodes below an instance, with something in them that is no data. */
  readonly #spoilt = new Set<number>();
  /** By node: its hash, if it leads to no cycle. */
  readonly #digests = new Map<number, string>();

  constructor(opaque: Opaque) {
    this.#opaque = opaque;
  }

  hash(value: unknown): string {
    const root = this.#part(value, false);
    for (let reading = this.#open.at(-1); reading; reading = this.#open.at(-1)) {
      if (reading.next === reading.values.length) {
        this.#open.pop();
        continue;
      }
      const part = this.#part(reading.values[reading.next], reading.below);
      reading.next += 1;
      if (part === undefined) this.#giveUp();
      else (this.#parts[reading.number] as (string | number)[]).push(part);
    }
    if (typeof root !== 'number') return digest(String(root));
    this.#spread();
    this.#hashTrees(root);
    return this.#digests.get(root) ?? this.#hashGraph(root);
  }

  /** A value's text, or its node; nothing if it makes the instance that it is below no data. */
  #part(value: unknown, below: boolean): string | number | undefined {
    if (typeof value === 'object' && value !== null) {
      const known = this.#numbers[below ? 1 : 0].get(value);
      if (known !== undefined) return this.#spoilt.has(known) ? undefined : known;
    }
    const parts = look(value);
    if (typeof parts === 'string') return parts;
    if (parts instanceof NotData) {
      const spoils = below && !parts.harmless && this.#opaque !== 'refused';
      return spoils ? undefined : this.#notData(parts);
    }
    const number = this.#values.length;
    this.#values.push(value as object);
    this.#labels.push(parts.label);
    this.#parts.push([]);
    this.#below.push(below);
    this.#numbers[below ? 1 : 0].set(value as object, number);
    this.#open.push({ number, values: parts.values, below: below || parts.instance, next: 0 });
    return number;
  }

  #notData({ type, which }: NotData): string {
    if (this.#opaque === 'refused') {
      throw new InvalidArgumentError(
        `dedupKey: 'auto' cannot name this call: a ${type} is no data that holds in every process; ` +
          'say what matters with bind, or give a key',
      );
    }
    return joined('opaque', type, this.#opaque === 'identity' ? which : '');
  }

  /** What is being read is no data, out to the outermost instance. */
  #giveUp(): void {
    for (let reading = this.#open.pop(); reading; reading = this.#open.pop()) {
      if (!this.#below[reading.number]) {
        this.#makeOpaque(reading.number);
        return;
      }
      this.#spoilt.add(reading.number);
    }
  }

  #makeOpaque(number: number): void {
    this.#labels[number] = this.#notData(machine(this.#values[number] as object));
    this.#parts[number] = [];
  }

  /** The same for what was read before it was known: in a cycle, whose end is its beginning. */
  #spread(): void {
    if (this.#spoilt.size === 0) return;
    const inside = new Map<number, number[]>();
    this.#parts.forEach((parts, number) => {
      for (const part of parts) {
        if (typeof part !== 'number' || !this.#below[part]) continue;
        const found = inside.get(part);
        if (found) found.push(number);
        else inside.set(part, [number]);
      }
    });
    const rest = [...this.#spoilt];
    for (let spoilt = rest.pop(); spoilt !== undefined; spoilt = rest.pop()) {
      for (const number of inside.get(spoilt) ?? []) {
        if (!this.#below[number]) {
          this.#makeOpaque(number);
        } else if (!this.#spoilt.has(number)) {
          this.#spoilt.add(number);
          rest.push(number);
        }
      }
    }
  }

  /** Hashes each node that leads to no cycle. */
  #hashTrees(root: number): void {
    const reading = [{ number: root, next: 0 }];
    const met = new Set([root]);
    for (let top = reading.at(-1); top; top = reading.at(-1)) {
      const parts = this.#parts[top.number] as (string | number)[];
      const part = parts[top.next];
      top.next += 1;
      if (part === undefined) {
        reading.pop();
        // One that has none is above this node, or leads to one that is.
        const hashes = parts.map((each) => (typeof each === 'string' ? each : this.#digests.get(each)));
        if (!hashes.includes(undefined)) {
          this.#digests.set(top.number, digest('node', this.#labels[top.number] as string, ...(hashes as string[])));
        }
      } else if (typeof part === 'number' && !met.has(part)) {
        met.add(part);
        reading.push({ number: part, next: 0 });
      }
    }
  }

  /** Hashes what is in cycles or leads there: each node once, and by its number where it is met again. */
  #hashGraph(root: number): string {
    const hash = createHash('sha256');
    const numbers = new Map<number, number>();
    const rest: (string | number)[] = [root];
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      const known = typeof part === 'string' ? part : this.#digests.get(part);
      if (known !== undefined) {
        hash.update(joined('known', known), 'utf16le');
      } else if (numbers.has(part as number)) {
        hash.update(joined('again', String(numbers.get(part as number))), 'utf16le');
      } else {
        numbers.set(part as number, numbers.size);
        const parts = this.#parts[part as number] as (string | number)[];
        hash.update(joined('node', this.#labels[part as number] as string, String(parts.length)), 'utf16le');
        rest.push(...[...parts].reverse());
      }
    }
    return hash.digest('hex');
  }
}

/** With their lengths: the parts cannot run into each other. */
function joined(...parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join('');
}

function digest(...parts: readonly string[]): string {
  // UTF-16 as it is: a lone surrogate has no other form.
  return createHash('sha256')
    .update(joined(...parts), 'utf16le')
    .digest('hex');
}

/** A value's text, or what it is made of. */
function look(value: unknown): string | NotData | Parts {
  switch (typeof value) {
    case 'object':
      return value === null ? 'null' : lookAt(value);
    case 'number':
      return Object.is(value, -0) ? 'number -0' : `number ${value}`;
    case 'string':
      return value.length <= 64 ? `string ${value}` : `text ${digest(value)}`;
    case 'symbol': {
      const key = Symbol.keyFor(value);
      return key === undefined ? new NotData('symbol', String(value.description), true) : `symbol ${key}`;
    }
    case 'function':
      return new NotData('function', `${identity(value)}`, true);
    default:
      return `${typeof value} ${value}`;
  }
}

function lookAt(value: object): string | NotData | Parts {
  if (isMachine(value)) return machine(value);
  const type = typeName(value);
  if (ArrayBuffer.isView(value)) {
    return joined('bytes', type, hashOf(Buffer.from(value.buffer, value.byteOffset, value.byteLength)));
  }
  if (types.isAnyArrayBuffer(value)) return joined('bytes', type, hashOf(Buffer.from(value)));
  try {
    if (Array.isArray(value)) {
      const own = Object.keys(value);
      // Without holes and names of its own it is its items.
      const usual = own.length === value.length && (own.length === 0 || own.at(-1) === String(own.length - 1));
      return usual && type === 'Array' ? new Parts('array', value) : new Parts(joined('list', type), fields(value));
    }
    if (types.isDate(value)) return new Parts(joined('date', type, String(value.getTime())), fields(value));
    if (types.isMap(value)) return new Parts(joined('map', type), [[...value].flat(1), ...fields(value)]);
    if (types.isSet(value)) return new Parts(joined('set', type), [[...value], ...fields(value)]);
    if (types.isRegExp(value)) return joined('pattern', String(value));
    if (value instanceof URL || value instanceof URLSearchParams) return joined('url', type, String(value));
    if (types.isBoxedPrimitive(value)) return new Parts(joined('boxed', type), [value.valueOf()]);
    if (types.isNativeError(value)) {
      return new Parts(joined('error', type), [value.name, value.message, value.cause, ...fields(value)], true);
    }
    if (isPlain(value)) return new Parts('object', fields(value));
    // It says itself what its data is.
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return new Parts(joined('json', type), [toJSON.call(value)], true);
    const own = fields(value);
    // What it has may be where nobody can see it.
    return own.length === 0 || hasPrivateFields(value)
      ? machine(value)
      : new Parts(joined('instance', type), own, true);
  } catch {
    // A getter or a toJSON of its own that throws.
    return machine(value);
  }
}

/** Names and values of the fields in turn. */
function fields(value: object): unknown[] {
  const found: unknown[] = [];
  for (const name of Object.keys(value).sort()) found.push(name, (value as Record<string, unknown>)[name]);
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (!Object.prototype.propertyIsEnumerable.call(value, symbol)) continue;
    found.push(`symbol ${String(symbol)}`, (value as Record<symbol, unknown>)[symbol]);
  }
  return found;
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // Of another realm, too.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What has its state where nobody can see it, or is connected to something. */
function isMachine(value: object): boolean {
  return (
    types.isProxy(value) ||
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isGeneratorObject(value) ||
    (types.isExternal as typeof types.isExternal | undefined)?.(value) || // which Deno does not have
    value instanceof WeakRef ||
    value instanceof EventEmitter ||
    value instanceof EventTarget
  );
}

function machine(value: object): NotData {
  return new NotData(typeName(value), `${identity(value)}`, false);
}

const PRIVATE = /#[\p{ID_Start}$_]/u;
const classes = new WeakMap<object, boolean>();

/** Whether a class of the object has private fields, as far as its source shows. */
function hasPrivateFields(value: object): boolean {
  for (let prototype: unknown = Object.getPrototypeOf(value); prototype; prototype = Object.getPrototypeOf(prototype)) {
    const made: unknown = (prototype as { constructor?: unknown }).constructor;
    if (typeof made !== 'function' || made === Object) continue;
    let found = classes.get(made);
    if (found === undefined) {
      found = PRIVATE.test(Function.prototype.toString.call(made));
      classes.set(made, found);
    }
    if (found) return true;
  }
  return false;
}

export function typeName(value: object): string {
  if (types.isProxy(value)) return 'Proxy';
  const made: unknown = (value as { constructor?: unknown }).constructor;
  return typeof made === 'function' && made.name ? made.name : 'Object';
}

/** The `dedupKey` of a call that has no other name than what it does; the same in every process. */
export function automaticKey(action: string, functionName: string, bound: unknown): string {
  const written = JSON.stringify([action, functionName, fingerprint(bound, 'refused')]);
  return `${action}:${createHash('sha256').update(written).digest('hex')}`;
}
