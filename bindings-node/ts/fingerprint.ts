/** The arguments of a gated call: what they were when a human was asked. */

import { createHash, type Hash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { types } from 'node:util';
import { InvalidArgumentError } from './errors.js';

/** What an object that is no data counts by: which object it is, its type, or not at all. */
export type Opaque = 'identity' | 'type' | 'refused';

/** An object with more than so many parts below it is a machine, not data. */
const MOST_PARTS = 10_000;

/** An object has too many parts, or one that is no data. */
class NoObject extends Error {}

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
 * Data is what can be written down: primitives, dates, binary data, arrays, maps, sets, and objects whose fields are data.
 *
 * @throws InvalidArgumentError Something is no data, and `opaque` refuses that.
 */
export function fingerprint(value: unknown, opaque: Opaque): string {
  const hash = createHash('sha256');
  new Writer(hash, opaque, [], undefined).write(value);
  return hash.digest('hex');
}

/** Writes values into a hash so that no two different ones are written the same. */
class Writer {
  constructor(
    private readonly hash: Hash,
    private readonly opaque: Opaque,
    /** The objects that the value is in: an object may hold itself. */
    private readonly above: readonly object[],
    /** Below an instance of a class: how many more parts it may have. */
    private partsLeft: { count: number } | undefined,
  ) {}

  write(value: unknown): void {
    if (this.partsLeft) {
      this.partsLeft.count -= 1;
      if (this.partsLeft.count < 0) throw new NoObject();
    }
    switch (typeof value) {
      case 'undefined':
      case 'boolean':
      case 'bigint':
        this.put(typeof value, String(value));
        return;
      case 'number':
        this.put('number', Object.is(value, -0) ? '-0' : String(value));
        return;
      case 'string':
        this.put('string', value);
        return;
      case 'symbol':
        if (Symbol.keyFor(value) !== undefined) this.put('symbol', String(Symbol.keyFor(value)));
        else this.writeOpaque('symbol', String(value.description));
        return;
      case 'function':
        this.writeOpaque('function', String(identity(value)), value.name);
        return;
      default:
        if (value === null) this.put('null');
        else this.writeObject(value as object);
    }
  }

  private writeObject(value: object): void {
    const cycle = this.above.indexOf(value);
    if (cycle >= 0) {
      this.put('cycle', String(cycle));
      return;
    }
    if (Array.isArray(value)) {
      this.put('array', ...Array.from(value, (item) => this.part(item, value)));
    } else if (types.isDate(value)) {
      this.put('date', String(value.getTime()));
    } else if (types.isRegExp(value) || value instanceof URL || value instanceof URLSearchParams) {
      this.put(value.constructor.name, String(value));
    } else if (ArrayBuffer.isView(value)) {
      this.put('bytes', Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    } else if (types.isAnyArrayBuffer(value)) {
      this.put('bytes', Buffer.from(value));
    } else if (types.isMap(value)) {
      const parts = Array.from(value, ([key, item]) => this.part(key, value) + this.part(item, value));
      this.put('map', ...parts.sort());
    } else if (types.isSet(value)) {
      this.put('set', ...Array.from(value, (item) => this.part(item, value)).sort());
    } else if (types.isBoxedPrimitive(value)) {
      this.put('boxed', this.part(value.valueOf(), value));
    } else if (isMachine(value)) {
      this.writeOpaque('object', String(identity(value)), typeName(value));
    } else if (isPlain(value)) {
      this.put('object', ...this.fields(value));
    } else {
      this.writeInstance(value);
    }
  }

  /** An object of a class: its fields, if all of them are data; else it counts by which one it is. */
  private writeInstance(value: object): void {
    const outermost = this.partsLeft === undefined;
    this.partsLeft ??= { count: MOST_PARTS };
    try {
      const toJSON: unknown = (value as { toJSON?: unknown }).toJSON;
      const parts =
        typeof toJSON === 'function' ? [this.part(toJSON.call(value) as unknown, value)] : this.fields(value);
      // Error objects have theirs where nobody lists them.
      if (value instanceof Error) parts.push(this.part([value.name, value.message], value));
      this.put('instance', typeName(value), ...parts);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error;
      // A getter of the object's own that throws makes it no data, too.
      if (!outermost) throw new NoObject();
      this.partsLeft = undefined;
      this.writeOpaque('object', String(identity(value)), typeName(value));
    } finally {
      if (outermost) this.partsLeft = undefined;
    }
  }

  private fields(value: object): string[] {
    const names = Object.keys(value).sort();
    const parts = names.map(
      (name) => this.part(name, value) + this.part((value as Record<string, unknown>)[name], value),
    );
    const symbols = Object.getOwnPropertySymbols(value).filter((symbol) =>
      Object.prototype.propertyIsEnumerable.call(value, symbol),
    );
    for (const symbol of symbols) {
      parts.push(`symbol ${String(symbol)}${this.part((value as Record<symbol, unknown>)[symbol], value)}`);
    }
    return parts;
  }

  private part(value: unknown, inside: object): string {
    const hash = createHash('sha256');
    new Writer(hash, this.opaque, [...this.above, inside], this.partsLeft).write(value);
    return hash.digest('hex');
  }

  /** With their lengths: the parts cannot run into each other. */
  private put(kind: string, ...parts: (string | Uint8Array)[]): void {
    for (const part of [kind, ...parts]) {
      // UTF-16 as it is: a lone surrogate has no other form.
      const bytes = typeof part === 'string' ? Buffer.from(part, 'utf16le') : part;
      this.hash.update(`${bytes.length}:`).update(bytes);
    }
    this.hash.update(';');
  }

  private writeOpaque(kind: string, which: string, type = ''): void {
    // And so the object that it is a part of is no data either.
    if (this.partsLeft && this.opaque !== 'refused') throw new NoObject();
    if (this.opaque === 'refused') {
      throw new InvalidArgumentError(
        `dedupKey: 'auto' cannot name this call: a ${type || kind} is no data that holds in every process; ` +
          'say what matters with bind, or give a key',
      );
    }
    this.put('opaque', kind, type, this.opaque === 'identity' ? which : '');
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

/** What has its state where nobody can see it. */
function isMachine(value: object): boolean {
  return (
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isGeneratorObject(value) ||
    types.isProxy(value) ||
    types.isExternal(value) ||
    value instanceof WeakRef ||
    value instanceof EventEmitter ||
    value instanceof EventTarget
  );
}

export function typeName(value: object): string {
  const made: unknown = (value as { constructor?: unknown }).constructor;
  return typeof made === 'function' && made.name ? made.name : 'Object';
}

/** The `dedupKey` of a call that has no other name than what it does; the same in every process. */
export function automaticKey(action: string, functionName: string, bound: unknown): string {
  const written = JSON.stringify([action, functionName, fingerprint(bound, 'refused')]);
  return `${action}:${createHash('sha256').update(written).digest('hex')}`;
}
