/** Errors as people and programs see them. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ErrorView, exitCodeOf, humanError } from '../../src/cli/errors.ts';
import { PLAIN } from '../../src/cli/render-context.ts';
import { jsonError } from '../../src/commands/shared/error-body.ts';
import { ERROR_CODES, ERROR_KINDS, ForgeError, type Problem } from '../../src/lib/errors.ts';
import { folder, orchestrate } from '../support/cli.ts';

const VIEW: ErrorView = {
  context: { palette: PLAIN, width: 80, nowMs: 0 },
  sources: () => null,
  verb: null,
  stack: false,
};

function problem(message: string, line?: number, column?: number): Problem {
  return {
    message,
    place: { file: 'plan.yaml', ...(line === undefined ? {} : { line }), ...(column === undefined ? {} : { column }) },
  };
}

function planError(problems: Problem[]): ForgeError {
  return new ForgeError('PHASES_PARSE_ERROR', 'problems in plan.yaml', { problems });
}

describe('spec/ERRORS.md', () => {
  const text = readFileSync(new URL('../../spec/ERRORS.md', import.meta.url), 'utf8');

  it('spec/ERRORS.md has the same table of codes as the code', () => {
    const rows = [...text.matchAll(/^\| ([A-Z_]+) \| ([a-z]+) \| (\d+) \| (yes|no) \| (.+) \| (.+) \|$/gm)];
    const written = rows.map(([, code, kind, exit, retriable, when, hint]) => {
      expect(when?.length).toBeGreaterThan(15);
      return [code, { kind, exit: Number(exit), retriable: retriable === 'yes', hint }];
    });
    expect(Object.fromEntries(written)).toEqual(ERROR_CODES);
  });

  it('spec/ERRORS.md has the same table of kinds as the code', () => {
    const rows = [...text.matchAll(/^\| ([a-z]+) \| .+ \| (\d+) \| (yes|no) \|$/gm)];
    const written = rows.map(([, kind, exit, retriable]) => [
      kind,
      { exit: Number(exit), retriable: retriable === 'yes' },
    ]);
    expect(Object.fromEntries(written)).toEqual(ERROR_KINDS);
  });

  it('spec/ERRORS.md names every code whose exit code or retriable is not that of its kind', () => {
    const exceptions = Object.entries(ERROR_CODES).filter(
      ([, { kind, exit, retriable }]) => exit !== ERROR_KINDS[kind].exit || retriable !== ERROR_KINDS[kind].retriable,
    );
    expect(exceptions.map(([code]) => code)).toEqual(['DECISION_KEY_EXHAUSTED']);
  });
});

describe('problems', () => {
  it('a problem shows the line with a caret under the column', () => {
    const error = planError([
      { ...problem('unknown key "depend_on"', 2, 3), suggestion: 'Did you mean "depends_on"?' },
    ]);
    const text = humanError(error, { ...VIEW, sources: () => 'tasks:\n  depend_on: [a]\n' });
    expect(text).toContain(
      [
        '  plan.yaml:2:3',
        '    unknown key "depend_on". Did you mean "depends_on"?',
        '    2 |   depend_on: [a]',
        '      |   ^',
      ].join('\n'),
    );
  });

  // Where the caret stands is counted in columns of the terminal, behind the eight of `    1 | `.
  it.each([
    ['wide characters', 'title: "宽宽" x', 13, 8 + 14],
    ['a tab', '\tkey: x', 2, 8 + 1],
    ['an escape sequence', '\u001b[31mred: x', 9, 8 + 3],
  ])('a problem points to the right column after %s', (_, line, column, at) => {
    const lines = humanError(planError([problem('here', 1, column)]), { ...VIEW, sources: () => line }).split('\n');
    const caret = lines.findIndex((candidate) => candidate.endsWith('^'));
    expect(lines[caret]?.indexOf('^')).toBe(at);
    expect(lines[caret - 1]).toMatch(/^ {4}1 \| /);
    expect(lines[caret - 1]).not.toContain('\u001b');
  });

  it('a problem shows the part of a long line around the column', () => {
    const line = `${'x'.repeat(500)}HERE${'y'.repeat(500)}`;
    const text = humanError(planError([problem('here', 1, 501)]), { ...VIEW, sources: () => line });
    const lines = text.split('\n');
    const caret = lines.findIndex((candidate) => candidate.endsWith('^'));
    expect(lines[caret - 1]?.slice(lines[caret]?.indexOf('^'))).toMatch(/^HERE/);
    expect(Math.max(...lines.map((each) => each.length))).toBeLessThanOrEqual(80);
  });

  it('a problem is shown without a line when the file cannot be read or has no such line', () => {
    for (const sources of [() => null, () => 'one line']) {
      const text = humanError(planError([problem('here', 7, 1), problem('there')]), { ...VIEW, sources });
      expect(text).toContain('plan.yaml:7:1\n    here');
      expect(text).toContain('plan.yaml\n    there');
      expect(text).not.toContain('^');
    }
  });

  it('at most twenty problems are shown, then how many more there are', () => {
    const text = humanError(planError(Array.from({ length: 23 }, (_, i) => problem(`no. ${i}`, i + 1, 1))), VIEW);
    expect(text).toContain('no. 19');
    expect(text).not.toContain('no. 20');
    expect(text).toContain('and 3 more');
    expect(jsonError(planError([problem('a'), problem('b')]), null)).toMatchObject({
      error: { details: { problems: [{}, {}] } },
    });
  });

  it('the command shows problems with the line of the plan', async () => {
    const cwd = folder({ 'plans/phases.yaml': 'project: x\nphases:\n  - id: phase-1\n    nam: One\n    tasks: []\n' });
    const result = await orchestrate(['run'], { cwd });
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/plans\/phases\.yaml:4:5\n.*"nam".*\n\s+4 \| {5}nam: One\n\s+\| {5}\^/);
  });
});

describe('untrusted text', () => {
  it('control characters of untrusted text do not reach the terminal', () => {
    const evil = '\u001b]0;owned\u0007\u202Ename\u0008';
    const text = humanError(new ForgeError('IO_ERROR', evil, { hint: evil }), VIEW);
    expect(text).toBe('error[IO_ERROR]: name\nhint: name');
    expect(humanError(planError([{ ...problem(evil), place: { file: evil } }]), VIEW)).not.toMatch(
      /[\u0007\u0008\u001b\u202e]/,
    );
  });
});

describe('bug', () => {
  const error = new TypeError('x is not a function');
  it('a bug is reported without the stack unless FORGE_DEBUG is set', () => {
    expect(exitCodeOf(error)).toBe(1);
    expect(humanError(error, VIEW)).toMatch(
      /^error\[BUG\]: TypeError: x is not a function\nhint: This is a bug in forge/,
    );
    expect(humanError(error, VIEW)).not.toContain('errors.test');
    expect(humanError(error, { ...VIEW, stack: true })).toContain('errors.test');
    expect(jsonError(error, null)).toEqual({
      ok: false,
      error: {
        code: 'BUG',
        message: 'TypeError: x is not a function',
        hint: expect.any(String),
        retriable: false,
        details: {},
      },
    });
  });
});

describe('unreadable plan', () => {
  it('a plan that is a folder is reported with a hint', async () => {
    const cwd = folder({ 'plans/phases.yaml/file': '', '.forge/settings.yaml': '' });
    const { code, stderr } = await orchestrate(['status'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error\[IO_ERROR\]: reading/);
    expect(stderr.replace(/\s+/g, ' ')).toContain('hint: There is a folder where a file should be.');
  });

  it('a plan with a tab is reported with a hint about tabs', async () => {
    const { stderr } = await orchestrate(['status'], { cwd: folder({ 'plans/phases.yaml': '\tproject: x\n' }) });
    expect(stderr).toContain('tab');
  });
});
