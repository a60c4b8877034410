/** The help agrees with what the command line takes. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { helpFor } from '../../src/cli/help.ts';
import { parseArgv } from '../../src/cli/program.ts';
import { PLAIN } from '../../src/cli/render-context.ts';
import { COMMANDS, loadCommand, VERBS } from '../../src/commands/registry.ts';
import { fieldsOf } from '../../src/commands/shared/command.ts';
import { cli, folder } from '../support/cli.ts';

/** A worker's environment, for the examples that rely on it. */
const ID = '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01';
const FORGE = { FORGE_TASK_ID: 'build', FORGE_RUN_ID: ID, FORGE_CLAIM_ID: ID, FORGE_ATTEMPT_ID: ID };
const LOOK = { palette: PLAIN, width: 80, nowMs: 0 };

/** Splits as a shell does, for lines with no more than plain quotes in them. */
function words(line: string): string[] {
  return (line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
}

const LOADED = await Promise.all(
  VERBS.map(async (name) => [name, await loadCommand(name), await helpFor(name, LOOK)] as const),
);

describe.each(LOADED)('help of %s', (name, verb, help) => {
  const fields = fieldsOf(verb.input);
  const flags = fields.filter(({ form }) => form === undefined);

  it('the examples in the help of a verb are valid command lines of that verb', async () => {
    expect(verb.examples.length).toBeGreaterThanOrEqual(2);
    for (const [example] of verb.examples) {
      const request = await parseArgv(['orchestrate', ...words(example)], FORGE);
      expect(request).toMatchObject({ kind: 'verb', verb: name });
      expect(help).toContain(`forge orchestrate ${example}`);
    }
  });

  it('a verb shows its help with --help and with -h', async () => {
    for (const args of [
      [...name.split(' '), '--help'],
      [...name.split(' '), '-h', '--json'],
    ]) {
      expect(await parseArgv(['orchestrate', ...args], {})).toEqual({ kind: 'help', verb: name });
    }
  });

  it('the help of a verb names every option and its variable, in 80 columns', () => {
    for (const { key, env, form } of fields) {
      if (form !== 'rest') expect(help).toContain(key.replaceAll('_', '-'));
      if (env !== undefined) expect(help).toContain(env);
    }
    const lines = help.slice(0, help.indexOf('Examples:')).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  it('the usage of a verb names its required options', () => {
    const usage = help.slice(help.indexOf('Usage:'), help.indexOf('\n\n', help.indexOf('Usage:')));
    for (const field of flags) if (field.required) expect(usage).toContain(field.written);
  });

  it('spec/VERBS.md describes a verb with all its options', () => {
    const spec = readFileSync(new URL('../../spec/VERBS.md', import.meta.url), 'utf8');
    const section = spec.split(/^(?=###? )/m).find((part) => part.startsWith(`### \`${name}\``));
    for (const field of flags) expect(section).toContain(field.written.replace(/ .*/, ''));
    expect(section).toMatch(/Data:\s|prints an event a line/);
  });
});

describe('general help', () => {
  it.each([[[]], [['--help']], [['orchestrate', '--help']], [['help']], [['orchestrate', 'help']]])(
    'the command line %j shows all verbs',
    async (args) => {
      const result = await cli(args, { cwd: folder() });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      for (const name of VERBS)
        expect(result.stdout).toMatch(new RegExp(`^ +${name} +${COMMANDS[name].about.slice(0, 30)}`, 'm'));
      expect(result.stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    },
  );

  it('the help of one verb with --json is its JSON Schemas', async () => {
    const file = new URL('../../spec/schema/commands/run-start.json', import.meta.url);
    const result = await cli(['orchestrate', 'run', 'start', '--help', '--json'], { cwd: folder() });
    expect(result.json()).toEqual({ ok: true, data: JSON.parse(readFileSync(file, 'utf8')) });
  });

  it('help and version need no project', async () => {
    const cwd = folder();
    expect(await cli(['--version'], { cwd })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect(await cli(['orchestrate', 'claim', '--help'], { cwd })).toMatchObject({ code: 0, stderr: '' });
  });
});
