/** Divergences that `status` and `phases --ready` report without reconciling them. */

import fs, { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { phases } from '../../src/commands/phases.ts';
import { status } from '../../src/commands/status.ts';
import { warningOf } from '../../src/domain/warnings.ts';
import { orchestrate, project } from '../support/cli.ts';
import { callOn } from '../support/faults/forge.ts';

const STALE = '[gc] a: row 2 (mark_abandoned) — run `forge orchestrate gc` to apply';

function tree(): string {
  const cwd = project(['id: a, title: A, run: "true"', 'id: b, title: B, run: "true"']);
  const dir = join(cwd, '.forge/orchestrator/tasks/a');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'state.json'), '{"version":1,"task_id":"a","state":"claimed"}');
  return cwd;
}

/** Every file with its content. */
function everything(cwd: string): string[] {
  return readdirSync(cwd, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => `${file}: ${readFileSync(file, 'utf8')}`);
}

describe.each([
  ['status', ['status']],
  ['phases --ready', ['phases', '--ready']],
])('%s', (verb, args) => {
  it('a read verb prints cheap divergences on stderr and changes nothing', async () => {
    const cwd = tree();
    const before = everything(cwd);
    const { code, stderr } = await orchestrate(args, { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: `${STALE}\n` });
    expect(everything(cwd)).toEqual(before);
  });

  it('a read verb with --json prints cheap divergences on stderr and in the warnings', async () => {
    const result = await orchestrate([...args, '--json'], { cwd: tree() });
    expect(result.stderr).toBe(`${STALE}\n`);
    expect(result.json().data.warnings).toEqual([
      {
        task_id: 'a',
        row: 2,
        action: 'mark_abandoned',
        severity: 'warning',
        message: 'it is claimed, and it has no lease',
        suggestion: 'run `forge orchestrate gc` to apply',
      },
    ]);
  });

  it('a read verb prints nothing without divergences', async () => {
    const cwd = project(['id: a, title: A, run: "true"']);
    expect((await orchestrate(['run'], { cwd })).code).toBe(0);
    const result = await orchestrate([...args, '--json'], { cwd });
    expect(result.stderr).toBe('');
    expect(result.json().data.warnings).toEqual([]);
  });

  it('a read verb goes on when the detection fails', async () => {
    const cwd = tree();
    mkdirSync(join(cwd, '.forge/orchestrator/tasks/a/attempts'));
    const said: unknown[] = [];
    const call = { ...callOn(cwd), say: (warning: unknown) => void said.push(warning) };
    const look = fs.lstatSync;
    const looks = vi.spyOn(fs, 'lstatSync').mockImplementation(((...args: Parameters<typeof look>) => {
      if (String(args[0]).endsWith('/attempts')) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
      return look(...args);
    }) as typeof look);
    onTestFinished(() => looks.mockRestore());
    const { warnings } = await (verb === 'status' ? status.run(call, {}) : phases.run(call, { ready: true }));
    expect(warnings).toEqual([warningOf(expect.stringMatching(/^auto-detect failed \(continuing\): .*EIO/))]);
    expect(said).toEqual(warnings);
  });
});

it.each([
  [['--dry-run'], 'gc'],
  [
    ['--dry-run', '--task', 'a', '--row', '2', '--row', '8', '--shipped', '--older-than', '3d'],
    'gc --task a --row 2 --row 8 --shipped --older-than 3d',
  ],
  [['--dry-run', '--remove-orphan-worktrees'], 'gc --remove-orphan-worktrees'],
  [['--out', 'a plan', '--row', '2'], "gc --plan 'a plan'"],
])('gc %j says which command does what it has shown, and no more', async (flags, command) => {
  const { stdout } = await orchestrate(['gc', ...flags], { cwd: tree() });
  expect(stdout.trimEnd().split('\n').at(-1)).toBe(`1 to do, 0 reports; apply with \`forge orchestrate ${command}\``);
});

it('gc --plan --dry-run names the plan that it has shown', async () => {
  const cwd = tree();
  await orchestrate(['gc', '--out', 'plan.json'], { cwd });
  const { stdout } = await orchestrate(['gc', '--plan', 'plan.json', '--dry-run'], { cwd });
  expect(stdout).toContain('apply with `forge orchestrate gc --plan plan.json`');
});

it('gc --dry-run works on a read-only tree', async () => {
  const cwd = tree();
  const dir = join(cwd, '.forge/orchestrator');
  chmodSync(dir, 0o500);
  try {
    const { code, stdout } = await orchestrate(['gc', '--dry-run'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^~ a {2}mark_abandoned \(row 2\) {2}it is claimed, and it has no lease$/m);
  } finally {
    chmodSync(dir, 0o700);
  }
});

it('gc --detailed-exitcode exits with 10 when there is something to do', async () => {
  const cwd = tree();
  const dry = ['gc', '--dry-run', '--detailed-exitcode', '--json'];
  expect((await orchestrate(dry, { cwd })).code).toBe(10);
  expect((await orchestrate(['gc', '--detailed-exitcode'], { cwd })).code).toBe(0);
  expect((await orchestrate(dry, { cwd })).code).toBe(0);
  const { code, stdout } = await orchestrate(['gc'], { cwd });
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'no divergences found\n' });
});

it('a file put among the attempts of a terminal task is noticed', async () => {
  const cwd = project(['id: a, title: A, run: "true"']);
  expect((await orchestrate(['run'], { cwd })).code).toBe(0);
  const attempts = join(cwd, '.forge/orchestrator/tasks/a/attempts');
  const [attempt = ''] = readdirSync(attempts);
  mkdirSync(join(attempts, attempt, 'answers'));
  const id = '01997b62-8d44-7e15-b6c2-4f7a1d9e0b04';
  const answer = { version: 1, question_id: id, answered_at: '2030-01-01T00:00:00Z', answered_by: 'a', option_id: 'x' };
  writeFileSync(join(attempts, attempt, 'answers', `${id}.json`), JSON.stringify(answer));
  expect((await orchestrate(['status'], { cwd })).stderr).toBe(
    '[gc] a: row 12 (archive_answer) — run `forge orchestrate gc` to apply\n',
  );
});
