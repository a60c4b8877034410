/** A command as data: what `spec/schema/commands/` holds, and `--help --json` prints. */

import * as z from 'zod/mini';
import { type Command, type Content, described, FIELDS, type Field, fieldsOf } from './command.ts';

export type Json = Record<string, unknown>;

/** Its input without what only a terminal has a use for. Answers may get more keys later, so their schemas allow others. */
export function commandSchema(name: string, about: string, { changes, notes, input, output }: Command): Json {
  const shown = fieldsOf(input).flatMap(({ key, terminal }) => (terminal ? [] : [[key, true] as const]));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `forge orchestrate ${name}`.trimEnd(),
    description: [about, notes?.replaceAll('\n', ' ')].filter((text) => text !== undefined).join('. '),
    changes,
    input: jsonSchema(z.pick(input, Object.fromEntries(shown)), 'input', described),
    output: jsonSchema(output(), 'output'),
  };
}

/**
 * The schemas of a command for callers that send JSON and have no files. `without`: fields that such a caller does not give;
 * `known`: what the environment stands in for, by the fields.
 */
export function callSchema({ input, output }: Command, without: readonly string[], known: Readonly<Json>): CallSchema {
  const contents = contentsOf(input);
  const gone = new Set([...without, ...contents.map(({ field }) => field)]);
  const fields = fieldsOf(input).filter(({ key, terminal }) => !terminal && !gone.has(key));
  const schema = jsonSchema(z.pick(input, Object.fromEntries(fields.map(({ key }) => [key, true]))), 'input');
  const properties = { ...(schema['properties'] as Record<string, Json>) };
  for (const [key, value] of Object.entries(known))
    if (properties[key] !== undefined)
      properties[key] = { ...properties[key], description: `${properties[key]['description']} (default: ${value})` };
  for (const { key, description, schema: of } of contents)
    properties[key] = { ...jsonSchema(of() as z.ZodMiniType, 'input'), description };
  const needed = fieldsOf(input).filter((field) => field.required && known[field.key] === undefined);
  // A file that has to be given is given as what it holds.
  const required = needed.flatMap(({ key }) => contents.find(({ field }) => field === key)?.key ?? key);
  return {
    input: { type: 'object', properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false },
    // What is a choice of objects is one too.
    output: { type: 'object', ...jsonSchema(output(), 'output') },
  };
}

export interface CallSchema {
  input: Json & { type: 'object' };
  output: Json & { type: 'object' };
}

/** The fields that have what a file would. */
export function contentsOf(input: z.ZodMiniObject): (Content & { key: string; description: string })[] {
  return Object.entries(input.shape).flatMap(([key, schema]) => {
    const { contentOf, description = '' } = FIELDS.get(schema as z.ZodMiniType) ?? {};
    return contentOf === undefined ? [] : [{ key, description, ...contentOf }];
  });
}

function jsonSchema(
  schema: z.ZodMiniType,
  io: 'input' | 'output',
  describe = ({ description }: Field): string => description,
): Json {
  const { $schema: _, ...body } = z.toJSONSchema(schema, {
    io,
    override({ zodSchema, jsonSchema: json }) {
      const field = FIELDS.get(zodSchema);
      if (field !== undefined) json.description = describe(field);
      if (json.additionalProperties === false) delete json.additionalProperties;
      // Every whole number in zod has the safe integers as its limits, which tells a reader nothing.
      if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
      if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
    },
  });
  return body;
}
