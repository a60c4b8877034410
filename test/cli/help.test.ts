/** The help: true to what the command line takes. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GROUPS } from '../../src/cli/catalog/index.ts';
import { helpFor } from '../../src/cli/help.ts';
import { PLAIN } from '../../src/cli/look.ts';
import { parseArgv } from '../../src/cli/program.ts';
import { cli, folder } from '../support/cli.ts';

const VERBS = GROUPS.flatMap(({ verbs }) => verbs);
const LOOK = { palette: PLAIN, width: 80, nowMs: 0 };

/** Splits as a shell does, for lines with no more than plain quotes in them. */
function words(line: string): string[] {
  return (line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
}

describe.each(VERBS.map((verb) => [verb.name, verb] as const))('%s', (name, verb) => {
  const help = helpFor(verb, LOOK);

  it('has examples that the command line takes as this verb', () => {
    expect(verb.examples.length).toBeGreaterThanOrEqual(2);
    for (const [example] of verb.examples) {
      const request = parseArgv(['orchestrate', ...words(example)], {});
      expect(request).toMatchObject({ kind: 'verb', spec: { name } });
      expect(help).toContain(`forge orchestrate ${example}`);
    }
  });

  it('is helped by --help and by help', () => {
    for (const args of [
      [...name.split(' '), '--help'],
      [...name.split(' '), '-h', '--json'],
    ]) {
      expect(parseArgv(['orchestrate', ...args], {})).toEqual({ kind: 'help', verb });
    }
  });

  it('names every option and its variable, in 80 columns', () => {
    for (const { name: option, env } of [...(verb.options ?? []), ...(verb.operands ?? [])]) {
      expect(help).toContain(option);
      if (env !== undefined) expect(help).toContain(env);
    }
    const lines = help.slice(0, help.indexOf('Examples:')).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  it('shows in its usage what it cannot do without', () => {
    const usage = help.slice(help.indexOf('Usage:'), help.indexOf('\n\n', help.indexOf('Usage:')));
    const asks = /input\.required\(["']([a-z-]+)["']\)/g;
    for (const [, option] of verb.answer.toString().matchAll(asks)) expect(usage).toContain(`--${option} <`);
  });

  it('is described in spec/VERBS.md with all its options', () => {
    const spec = readFileSync(new URL('../../spec/VERBS.md', import.meta.url), 'utf8');
    const section = spec.split(/^(?=###? )/m).find((part) => part.startsWith(`### \`${name}\``));
    for (const option of verb.options ?? []) expect(section).toContain(`--${option.name}`);
    expect(section).toMatch(/Data:\s|prints an event a line/);
  });
});

describe('the help of everything', () => {
  it.each([[[]], [['--help']], [['orchestrate', '--help']], [['help']], [['orchestrate', 'help']]])(
    '%j shows all verbs',
    async (args) => {
      const result = await cli(args, { cwd: folder() });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      for (const { name, about } of VERBS)
        expect(result.stdout).toMatch(new RegExp(`^ +${name} +${about.slice(0, 30)}`, 'm'));
      expect(result.stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    },
  );

  it('does not need a project, and neither does the version', async () => {
    const cwd = folder();
    expect(await cli(['--version'], { cwd })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect(await cli(['orchestrate', 'claim', '--help'], { cwd })).toMatchObject({ code: 0, stderr: '' });
  });
});
