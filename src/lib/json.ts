/** Reads JSON. */

/** Limit of nested lists and objects in what others give. */
const MAX_LEVELS = 100;

/** The same of what forge keeps, in which such a value lies. Writing much deeper values would exhaust the stack. */
export const KEPT_LEVELS = 1000;

/** The value of `text`, or undefined when it is no JSON, or nested more than `levels` deep; default: 100. */
export function parseJson(text: string, levels = MAX_LEVELS): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return levels < Number.POSITIVE_INFINITY && isDeeperThan(levels, value) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether it is an object of JSON, a mapping of YAML. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether lists and objects are nested more than `levels` deep in a value of JSON. */
export function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeperThan(levels - 1, each));
}
