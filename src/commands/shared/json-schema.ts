/** A command as data: what `spec/schema/commands/` holds, and `--help --json` prints. */

import * as z from 'zod/mini';
import { type Command, FIELDS, fieldsOf } from './command.ts';

type Json = Record<string, unknown>;

/** Its input without what only a terminal has a use for. Answers may get more keys later, so their schemas allow others. */
export function commandSchema(name: string, about: string, { changes, notes, input, output }: Command): Json {
  const terminal = fieldsOf(input).flatMap((field) => (field.terminal ? [[field.key, true] as const] : []));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `forge orchestrate ${name}`.trimEnd(),
    description: [about, notes?.replaceAll('\n', ' ')].filter((text) => text !== undefined).join('. '),
    changes,
    input: jsonSchema(z.omit(input, Object.fromEntries(terminal)), 'input'),
    output: jsonSchema(output(), 'output'),
  };
}

function jsonSchema(schema: z.ZodMiniType, io: 'input' | 'output'): Json {
  const { $schema: _, ...body } = z.toJSONSchema(schema, {
    io,
    override({ zodSchema, jsonSchema: json }) {
      const description = FIELDS.get(zodSchema)?.description;
      if (description !== undefined) json.description = description;
      if (json.additionalProperties === false) delete json.additionalProperties;
      // Every whole number in zod has the safe integers as its limits, which tells a reader nothing.
      if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
      if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
    },
  });
  return body;
}
