/** Values of variables that no log, prompt or message may show: which they are, and what stands in their place. Pure. */

import { byteLength } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';

/** Names that people and services give to secrets: GITHUB_TOKEN, AWS_SECRET_ACCESS_KEY, ANTHROPIC_API_KEY, DB_PASSWORD. */
const LOOKS_SECRET = /SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY/i;

/** Shorter values, such as `true` or a number, would mask text that is not a secret. Characters. */
const LEAST = { looksSecret: 8, listed: 4 };

/** The values of variables whose name looks like a secret, or is one of `redact`; the longest first. */
export function secretsIn(env: Variables, redact: readonly string[]): string[] {
  const values = Object.entries(env).flatMap(([name, value = '']) => {
    const least = redact.includes(name) ? LEAST.listed : LOOKS_SECRET.test(name) ? LEAST.looksSecret : null;
    // A file that ends in a line end is often read into a variable with it, and printed without.
    const secret = value.trim();
    // Programs that print JSON, agents among them, write a key of several lines otherwise.
    return least !== null && secret.length >= least ? [secret, JSON.stringify(secret).slice(1, -1)] : [];
  });
  return [...new Set(values)].sort((a, b) => b.length - a.length);
}

/** What stands in the place of a secret: as many bytes, so that a log can be masked where it is. */
export function maskOf(secret: string): string {
  return '*'.repeat(byteLength(secret));
}

/** The text without secrets. */
export function masked(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, maskOf(secret)), text);
}

/** The same value with every text in it, names included, without secrets. */
export function maskedIn<T>(value: T, secrets: readonly string[]): T {
  const of = (part: unknown): unknown => {
    if (typeof part === 'string') return masked(part, secrets);
    if (typeof part === 'number' && secrets.includes(String(part))) return maskOf(String(part));
    if (Array.isArray(part)) return part.map(of);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [masked(name, secrets), of(inner)]));
  };
  return secrets.length === 0 ? value : (of(value) as T);
}

/** The text up to where a secret begins that may go on behind its end; all of it where that would leave nothing. */
export function beforeCutSecret(text: string, secrets: readonly string[]): string {
  const cuts = secrets.flatMap((secret) => {
    for (let length = Math.min(secret.length, text.length) - 1; length > 0; length--) {
      if (text.endsWith(secret.slice(0, length))) return [length];
    }
    return [];
  });
  return text.slice(0, text.length - Math.max(0, ...cuts)) || text;
}
