/** What a human sees of a call's arguments, and what nobody sees. */

import { types } from 'node:util';
import { typeName } from './fingerprint.js';

export const MASK = '[redacted]';

/** Where people look for secrets first: anywhere in a name, without case and separators … */
const PARTS = [
  ...['password', 'passwd', 'passphrase', 'passcode', 'secret', 'token', 'authorization', 'apikey'],
  ...['accesskey', 'privatekey', 'signingkey', 'encryptionkey', 'credential', 'cookie', 'session'],
  ...['signature', 'cardnumber', 'pincode'],
];
/** … and as a whole word of a name. */
const WORDS = new Set(['pwd', 'otp', 'pin', 'ssn', 'auth', 'bearer', 'jwt', 'cvv', 'cvc', 'iban']);
const WORD = /[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+/g;
/** In texts: user and password of a URL, and what follows the name of an HTTP scheme. */
const IN_TEXT: readonly [RegExp, string][] = [
  [/(?<=:\/\/)[^/\s@]*:[^/\s@]*(?=@)/g, MASK],
  [/\b(bearer|basic)(\s+)[\w.~+/=-]{6,}/gi, `$1$2${MASK}`],
];

const LONGEST_TEXT = 1000;
const MOST_ITEMS = 100;
const DEEPEST = 8;

/** Whether people keep secrets under such names. */
export function looksSecret(name: string): boolean {
  const bare = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  return (
    PARTS.some((part) => bare.includes(part)) || (name.match(WORD) ?? []).some((word) => WORDS.has(word.toLowerCase()))
  );
}

/** A call as JSON: data as it is, cut where it is long, everything else by its type. */
export function preview(functionName: string, named: Record<string, unknown>): Record<string, unknown> {
  const shownArguments = Object.entries(named).map(([name, value]) => [name, shown(value, 0)]);
  return { function: functionName, arguments: Object.fromEntries(shownArguments) as unknown };
}

function shown(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'bigint':
      return cut(String(value));
    case 'string':
      return cut(Buffer.from(value).toString()); // a lone surrogate is no text that JSON has
    case 'undefined':
      return null;
    case 'object':
      return value === null ? null : shownObject(value, depth);
    default:
      return `<${typeof value}>`;
  }
}

function shownObject(value: object, depth: number): unknown {
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL || types.isRegExp(value)) return cut(String(value));
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return `<${value.byteLength} bytes>`;
  if (depth >= DEEPEST) return `<${typeName(value)}>`;
  if (Array.isArray(value) || types.isSet(value)) {
    const items = [...value] as unknown[];
    const parts = items.slice(0, MOST_ITEMS).map((item) => shown(item, depth + 1));
    return items.length <= MOST_ITEMS ? parts : [...parts, `… ${items.length - MOST_ITEMS} more`];
  }
  const data = types.isMap(value) || isPlain(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function';
  // Not the fields of any object, which may hold anything.
  if (!data) return `<${typeName(value)}>`;
  let source: unknown = value;
  try {
    if (!types.isMap(value) && !isPlain(value)) source = (value as { toJSON(): unknown }).toJSON();
  } catch {
    return `<${typeName(value)}>`;
  }
  if (source === null || typeof source !== 'object' || Array.isArray(source)) return shown(source, depth + 1);
  const entries: [unknown, unknown][] = types.isMap(source) ? [...source] : Object.entries(source);
  const parts: [string, unknown][] = entries
    .slice(0, MOST_ITEMS)
    .map(([key, item]) => [
      typeof key === 'object' && key !== null ? `<${typeName(key)}>` : cut(String(key)),
      shown(item, depth + 1),
    ]);
  if (entries.length > MOST_ITEMS) parts.push(['…', `${entries.length - MOST_ITEMS} more`]);
  return Object.fromEntries(parts);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function cut(text: string): string {
  let masked = text;
  for (const [pattern, instead] of IN_TEXT) masked = masked.replace(pattern, instead);
  return masked.length <= LONGEST_TEXT ? masked : `${masked.slice(0, LONGEST_TEXT)}…`;
}

/**
 * A copy in which the values of these names are masked, at any depth; in lists the second of a pair whose first is
 * such a name, and what follows such a flag (`['--password', 'x']`, `'--password=x'`), too.
 *
 * @param names Whole names, compared without case.
 * @param usual Mask also what looks like a secret by its name.
 */
export function masked(context: unknown, names: readonly string[], usual: boolean): unknown {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const hides = (name: unknown): boolean =>
    typeof name === 'string' && (wanted.has(name.toLowerCase()) || (usual && looksSecret(name)));

  const copyList = (items: readonly unknown[]): unknown[] => {
    if (items.length === 2 && hides(items[0]) && !String(items[0]).startsWith('-')) return [items[0], MASK];
    const copied: unknown[] = [];
    let flagged = false;
    for (const item of items) {
      if (flagged) {
        copied.push(MASK);
        flagged = false;
      } else if (typeof item === 'string' && item.startsWith('-')) {
        const equals = item.indexOf('=');
        const flag = equals < 0 ? item : item.slice(0, equals);
        const secret = hides(flag.replace(/^-+/, ''));
        copied.push(secret && equals >= 0 ? `${flag}=${MASK}` : item);
        flagged = secret && equals < 0;
      } else {
        copied.push(copy(item));
      }
    }
    return copied;
  };

  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return copyList(value);
    if (value !== null && typeof value === 'object' && isPlain(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hides(key) ? MASK : copy(item)]));
    }
    return value;
  };

  return copy(context);
}
