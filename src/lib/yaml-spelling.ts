/** Spells values as YAML that every reader takes for the same. */

/** What YAML 1.1 or 1.2 reads as something else than text. */
const WORDS = /^(?:true|false|null|yes|no|on|off|y|n|nan|inf)$/i;

/** Begins with a letter, a path or a variable, and has only letters, digits, spaces and signs that mean nothing there. */
const PLAIN = /^[\p{L}_./$][\p{L}\p{N} !-~]*$/u;

/** A duration is not a number to any reader. */
const DURATION = /^(?:\d+(?:ms|[smhd]))+$/;

/** A text as a scalar: as it is where it is certainly read as that text, in double quotes otherwise. */
export function spelledScalar(text: string, inFlow: boolean): string {
  if (DURATION.test(text)) return text;
  const isPlain =
    PLAIN.test(text) &&
    !WORDS.test(text.replace(/^\./, '')) &&
    !/^\.{0,3}\d|^\.+$|^\.{3}|: |:$| #|\s$/.test(text) &&
    !(inFlow && /[,[\]{}:#?"'&*!|>%@`]/.test(text));
  return isPlain ? text : spelledJson(text);
}

/** A value in one line, as a person writes it: `[a, b]`, `{a: 1}`. */
export function spelledFlow(value: unknown): string {
  if (typeof value === 'string') return spelledScalar(value, true);
  if (Array.isArray(value)) return `[${value.map(spelledFlow).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return spelledJson(value);
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  return `{${entries.map(([key, part]) => `${spelledScalar(key, true)}: ${spelledFlow(part)}`).join(', ')}}`;
}

/** A value as JSON that YAML reads as well: without characters that it forbids, or takes for line breaks. */
export function spelledJson(value: unknown): string {
  return JSON.stringify(value ?? null).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
