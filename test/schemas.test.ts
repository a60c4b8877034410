import fs from 'node:fs';
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { schemaOf } from '../src/cli/help.ts';
import { COMMANDS, type VerbName } from '../src/commands/registry.ts';
import { planSchema } from '../src/domain/plan/schema.ts';
import { settingsSchema } from '../src/domain/settings/schema.ts';
import { DEFAULT_SETTINGS } from '../src/domain/settings/settings.ts';

interface Head {
  $id: string;
  title: string;
  description: string;
}

/** zod gives every integer the largest safe integer as its maximum, which means nothing to a reader. */
function dropSafeLimits(json: Record<string, unknown>): void {
  if (json['maximum'] === Number.MAX_SAFE_INTEGER) delete json['maximum'];
}

/** zod leaves the default and the examples out of a value that is transformed when it is read. */
function restoreDefaults(json: Record<string, unknown>, meta: Record<string, unknown>): void {
  const lost = Object.keys(meta).filter((key) => meta[key] !== undefined && json[key] === undefined);
  if (lost.length === 0) return;
  const rest = Object.entries(json).filter(([key]) => meta[key] === undefined);
  for (const [key] of rest) delete json[key];
  Object.assign(json, meta, Object.fromEntries(rest));
}

/** Draft 7 is what the YAML language servers of editors read best. */
function jsonSchema(schema: z.ZodMiniType, head: Head, override: (json: Record<string, unknown>) => void = () => {}) {
  const { $schema, ...body } = z.toJSONSchema(schema, {
    target: 'draft-07',
    io: 'input',
    override: ({ zodSchema, jsonSchema: json }) => {
      restoreDefaults(json as Record<string, unknown>, z.globalRegistry.get(zodSchema) ?? {});
      dropSafeLimits(json as Record<string, unknown>);
      override(json as Record<string, unknown>);
    },
  });
  return `${JSON.stringify({ $schema, ...head, ...body }, null, 2)}\n`;
}

/** Settings may hold keys of a person's own everywhere. */
function allowExtensions(json: Record<string, unknown>): void {
  if (json['additionalProperties'] === false) json['patternProperties'] = { '^x-': {} };
}

/** A plan may hold keys of a person's own at its root. */
function allowExtensionsAtRoot(json: Record<string, unknown>): void {
  if ('phases' in Object(json['properties'])) allowExtensions(json);
}

test('spec/schema has the JSON Schema of plans that the source makes (`npm run schemas` updates it)', async () => {
  const made = jsonSchema(
    planSchema,
    {
      $id: 'phases.schema.json',
      title: 'A plan for forge',
      description: 'plans/phases.yaml: phases of tasks, what they depend on, and how each is run.',
    },
    allowExtensionsAtRoot,
  );
  await expect(made).toMatchFileSnapshot('../spec/schema/phases.schema.json');
});

test('spec/schema has the JSON Schema of settings that the source makes (`npm run schemas` updates it)', async () => {
  const made = jsonSchema(
    settingsSchema,
    {
      $id: 'settings.schema.json',
      title: 'Settings of forge',
      description: '.forge/settings.yaml. Everything may be left out. Keys that start with x- are yours.',
    },
    allowExtensions,
  );
  await expect(made).toMatchFileSnapshot('../spec/schema/settings.schema.json');
});

test.each(Object.keys(COMMANDS) as VerbName[])(
  'the JSON Schemas of the command "%s" are the ones that the source makes; `npm run schemas` writes them anew',
  async (verb) => {
    const made = `${JSON.stringify(await schemaOf(verb), null, 2)}\n`;
    await expect(made).toMatchFileSnapshot(`../spec/schema/commands/${verb.replace(' ', '-') || 'home'}.json`);
  },
);

interface JsonSchema {
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

/** Every key of a schema at any depth, but for `retry` and `errors`, which another page describes. */
function keysOf(schema: JsonSchema): [string, JsonSchema][] {
  const own = Object.entries(schema.properties ?? {});
  const inner = own.filter(([key]) => key !== 'retry' && key !== 'errors').map(([, part]) => part);
  return [...own, ...[...inner, ...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])].flatMap(keysOf)];
}

test.each(['phases', 'settings'])('spec/PLAN.md describes every key of %s', (name) => {
  const page = fs.readFileSync(new URL('../spec/PLAN.md', import.meta.url), 'utf8');
  const schema = JSON.parse(
    fs.readFileSync(new URL(`../spec/schema/${name}.schema.json`, import.meta.url), 'utf8'),
  ) as JsonSchema;
  const keys = keysOf(schema).filter(([, part]) => !/^When|^Why/.test(part.description ?? ''));
  expect(keys.length).toBeGreaterThan(25);
  const missing = keys.filter(([key]) => !new RegExp(`\`([a-z_]+\\.)?${key}(\\.[a-z_]+)?\``).test(page));
  expect(missing.map(([key]) => key)).toEqual([]);
});

test.each(['hard_lock_globs', 'worktree_copy'] as const)('spec/PLAN.md lists the default of %s', (key) => {
  const page = fs.readFileSync(new URL('../spec/PLAN.md', import.meta.url), 'utf8');
  for (const glob of DEFAULT_SETTINGS.agents[key]) expect(page).toContain(`\`${glob}\``);
});
