/** What FORGE_* stands in for in the input of a command, whatever calls it. */

import type { Variables } from '../../lib/variables.ts';
import type { FieldInfo } from './command.ts';

export type Input = Record<string, unknown>;
/** `given`, with the fields that it leaves out taken from `env`. */
export function withEnvironment(given: Readonly<Input>, fields: readonly FieldInfo[], env: Variables): Input {
  const values: Input = { ...given };
  for (const field of fields) {
    const value = values[field.key] ?? fromEnvironment(field, values, env);
    if (value !== undefined) values[field.key] = value;
  }
  return values;
}

function fromEnvironment({ env: name, unless, ownEnv }: FieldInfo, values: Input, env: Variables): string | undefined {
  const variable = (name: string) => env[name] || undefined;
  if (ownEnv !== undefined && values['task'] === variable('FORGE_TASK_ID')) return variable(ownEnv);
  if (name === undefined || (unless !== undefined && values[unless] === true)) return undefined;
  return variable(name);
}
