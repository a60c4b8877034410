/** Tasks whose plan says `cache`: done again only when what they are made of has changed. */

import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { jsonLines, orchestrate, project, startCli } from '../support/cli.ts';
import { until } from '../support/processes.ts';

const PLAN = [
  'id: build, title: Build, run: "mkdir -p dist; cp src/a dist/out; echo build >> ledger", inputs: ["src/**"], outputs: ["dist/**"], cache: true',
  'id: test, title: Test, depends_on: [build], run: "grep -q . dist/out; echo test >> ledger", inputs: ["dist/**"], cache: true',
  'id: docs, title: Docs, run: "echo docs >> ledger", inputs: [docs], cache: true',
];

let env: Record<string, string>;
beforeEach(() => {
  env = { XDG_CACHE_HOME: mkdtempSync(join(tmpdir(), 'forge-cache-')) };
});

function made(plan: readonly string[] = PLAN): string {
  const cwd = project([...plan], { docs: 'd', ledger: '' });
  mkdirSync(join(cwd, 'src'));
  writeFileSync(join(cwd, 'src/a'), '1');
  return cwd;
}

/** What was done by another run. */
async function doneBy(
  cwd: string,
  ...args: string[]
): Promise<{ done: string[]; unchanged: string[]; warnings: object[]; code: number | null }> {
  const before = readFileSync(join(cwd, 'ledger'), 'utf8').length;
  const { code, stdout } = await orchestrate(['run', '--json', ...args], { cwd, env });
  const events = jsonLines(stdout);
  return {
    code,
    warnings: events.filter(({ type }) => type === 'warning'),
    done: readFileSync(join(cwd, 'ledger'), 'utf8').slice(before).split('\n').filter(Boolean).sort(),
    unchanged: events
      .flatMap(({ type, unchanged, task_id }) => (type === 'task_finished' && unchanged ? [task_id] : []))
      .sort(),
  };
}

describe('a task with cache', () => {
  it('a task with cache is done again by a run when its inputs have changed, with what depends on it, and nothing else is', async () => {
    const cwd = made();
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'docs', 'test'] });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [], unchanged: [] });
    writeFileSync(join(cwd, 'src/a'), '2');
    const preview = await orchestrate(['run', '--dry-run', '--json'], { cwd, env });
    expect(preview.json().data.would_start).toMatchObject([{ task_id: 'build' }]);
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
    expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('2');
  });

  it.runIf(process.platform === 'linux')(
    'leaves nothing of a run that was killed while it put outputs back, after the next one',
    async () => {
      const cwd = made();
      await doneBy(cwd);
      rmSync(join(cwd, 'dist'), { recursive: true });
      const kept = join(env['XDG_CACHE_HOME'] ?? '', 'forge/kept');
      const file =
        readdirSync(kept, { recursive: true, encoding: 'utf8' }).find((name) => /^[^.].*\/0$/.test(name)) ?? '';
      renameSync(join(kept, file), join(kept, 'aside'));
      // What reads it waits for a writer.
      execFileSync('mkfifo', [join(kept, file)]);
      const run = startCli(['orchestrate', 'run'], { cwd, env });
      const attempts = join(cwd, '.forge/orchestrator/tasks/build/attempts');
      const outputs = () =>
        readdirSync(attempts, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('draft-outputs'));
      await until('outputs are put back', () => outputs().length > 0);
      run.process.kill('SIGKILL');
      await run.ended;
      rmSync(join(kept, file));
      renameSync(join(kept, 'aside'), join(kept, file));
      expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [], unchanged: ['build'] });
      expect(outputs()).toEqual([]);
      expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('1');
    },
  );

  it('a task that has shipped without cache is done once more when its plan says it, but not one that a person has done; a later change has it done again', async () => {
    const tasks = (...keys: string[]) =>
      ['build', 'sign'].map((id) => [`id: ${id}, title: T, run: "echo ${id} >> ledger"`, ...keys].join(', '));
    const cwd = made(tasks());
    expect((await orchestrate(['done', 'sign'], { cwd, env })).code).toBe(0);
    expect(await doneBy(cwd)).toMatchObject({ done: ['build'] });
    for (const id of ['build', 'sign'])
      await orchestrate(['edit', id, '--set', 'cache=true', '--set', 'inputs=src'], { cwd, env });
    const status = JSON.parse((await orchestrate(['status', '--json'], { cwd, env })).stdout);
    expect(status.data.warnings).toEqual([]);
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build'], warnings: [] });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [] });
    writeFileSync(join(cwd, 'src/a'), '2');
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build'] });
  });

  it.each([
    ['task', (text: string) => text.replace('title: Build', 'title: Build, status: paused')],
    ['phase', (text: string) => text.replace('name: One', 'name: One\n    status: paused')],
  ])(
    'a task with cache that a plan pauses stays shipped when its inputs have changed: by its %s',
    async (_, paused) => {
      const cwd = made();
      expect(await doneBy(cwd)).toMatchObject({ code: 0 });
      const file = join(cwd, 'plans/phases.yaml');
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, paused(text));
      expect(readFileSync(file, 'utf8')).not.toBe(text);
      writeFileSync(join(cwd, 'src/a'), '2');
      expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [] });
      writeFileSync(file, text);
      expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
    },
  );

  it('ships unchanged, with its outputs, when it was done for the same before: here, and in another checkout', async () => {
    const cwd = made();
    await doneBy(cwd);
    writeFileSync(join(cwd, 'src/a'), '2');
    await doneBy(cwd);
    writeFileSync(join(cwd, 'src/a'), '1');
    expect(await doneBy(cwd)).toEqual({ code: 0, done: [], unchanged: ['build', 'test'], warnings: [] });
    expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('1');
    const { tasks } = (await orchestrate(['status', '--json'], { cwd, env })).json().data;
    expect(tasks.map((row: { unchanged: boolean }) => row.unchanged)).toEqual([true, true, false]);
    expect((await orchestrate(['show', 'build'], { cwd, env })).stdout).toContain('shipped (unchanged)');

    const other = made();
    expect(await doneBy(other)).toEqual({ code: 0, done: [], unchanged: ['build', 'docs', 'test'], warnings: [] });
    expect(readFileSync(join(other, 'dist/out'), 'utf8')).toBe('1');
  });

  it('a task with cache has its outputs put back by a run when they are gone', async () => {
    const cwd = made();
    await doneBy(cwd);
    rmSync(join(cwd, 'dist'), { recursive: true });
    expect(await doneBy(cwd)).toEqual({ code: 0, done: [], unchanged: ['build'], warnings: [] });
    expect(existsSync(join(cwd, 'dist/out'))).toBe(true);
  });

  it('a task with cache is done again by a run when its outputs are gone and the user’s cache is too, and stands while they are there', async () => {
    const cwd = made();
    await doneBy(cwd);
    const forget = () => rmSync(join(env['XDG_CACHE_HOME'] ?? '', 'forge/kept'), { recursive: true });
    forget();
    expect(await doneBy(cwd)).toEqual({ code: 0, done: [], unchanged: [], warnings: [] });
    rmSync(join(cwd, 'dist/out'));
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
    forget();
    writeFileSync(join(cwd, 'dist/out'), 'by hand');
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
    forget();
    // As long as before.
    writeFileSync(join(cwd, 'dist/out'), '7');
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
    expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('1');
    // What was put back is known by its look as well.
    writeFileSync(join(cwd, 'src/a'), '2');
    await doneBy(cwd);
    writeFileSync(join(cwd, 'src/a'), '1');
    expect(await doneBy(cwd)).toMatchObject({ unchanged: ['build', 'test'] });
    forget();
    rmSync(join(cwd, 'dist'), { recursive: true });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'test'] });
  });

  it('has what is missing put back without a commit, and is begun again where a file is there that is another', async () => {
    const cwd = made();
    await doneBy(cwd);
    const versions = () =>
      readdirSync(join(cwd, '.forge/orchestrator/tasks/build')).filter((name) => /^v\d/.test(name));
    const before = versions();
    rmSync(join(cwd, 'dist'), { recursive: true });
    const preview = await orchestrate(['run', '--dry-run', '--json'], { cwd, env });
    expect(preview.json().data).toMatchObject({ would_start: [], unchanged: [{ task_id: 'build' }] });
    expect(existsSync(join(cwd, 'dist'))).toBe(false);
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [], unchanged: ['build'] });
    expect(versions()).toEqual(before);
    expect(readdirSync(join(cwd, '.forge/orchestrator/tasks/build/attempts'))).toHaveLength(1);
    for (const edit of ['by hand', '2']) {
      writeFileSync(join(cwd, 'dist/out'), edit);
      expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [], unchanged: ['build', 'test'] });
      expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('1');
    }
    const { attempts, state, history } = (await orchestrate(['show', 'build', '--json'], { cwd, env })).json().data;
    expect(state).toMatchObject({ state: 'shipped', attempt_count: 3 });
    expect(attempts).toMatchObject([
      { attempt_number: 1, outcome: 'passed' },
      { attempt_number: 2, outcome: 'passed' },
      { attempt_number: 3, outcome: 'passed', current: true },
    ]);
    expect(history.map(({ event }: { event: string }) => event)).toEqual([
      'acquired',
      'released',
      ...['rerun', 'acquired', 'released'],
      ...['rerun', 'acquired', 'released'],
    ]);
  });

  it('is compared with its inputs from then on where exec or an agent has done it, and nothing is kept of that', async () => {
    const cwd = made();
    const forge = async (...args: string[]) => (await orchestrate([...args, '--json'], { cwd, env })).json().data;
    await orchestrate(['exec', 'build', '--', 'sh', '-c', 'mkdir dist; echo mine > dist/out'], { cwd, env });
    const { claim_id, run_id } = await forge('claim', 'docs');
    const { attempt_id } = await forge('dispatch', 'docs', '--claim', claim_id, '--run', run_id);
    writeFileSync(join(cwd, 'verdict.json'), '{"verdict": "ready_for_review", "summary": "Done"}');
    expect(await forge('complete', 'docs', '--attempt', attempt_id, '--verdict-file', 'verdict.json')).toMatchObject({
      state: 'shipped',
    });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['test'], warnings: [] });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [] });
    expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('mine\n');
    rmSync(join(cwd, 'dist'), { recursive: true });
    writeFileSync(join(cwd, 'docs'), 'e');
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['build', 'docs', 'test'], unchanged: [] });
    expect(readFileSync(join(cwd, 'dist/out'), 'utf8')).toBe('1');
  });

  it('run --dry-run says of what is ready which would be unchanged, and starts nothing for that', async () => {
    const cwd = made();
    await doneBy(cwd);
    await orchestrate(['rerun', 'build', 'docs'], { cwd, env });
    writeFileSync(join(cwd, 'docs'), 'e');
    const preview = async (...args: string[]) => {
      const { data } = (await orchestrate(['run', '--dry-run', '--json', ...args], { cwd, env })).json();
      const ids = (rows: { task_id: string }[]) => rows.map(({ task_id }) => task_id);
      return { starts: ids(data.would_start), unchanged: ids(data.unchanged) };
    };
    expect(await preview()).toEqual({ starts: ['docs'], unchanged: ['build'] });
    expect((await orchestrate(['run', '--dry-run'], { cwd, env })).stdout).toMatch(/Unchanged.*\n +build/);
    expect(await preview('--force')).toEqual({ starts: ['build', 'docs'], unchanged: [] });
    writeFileSync(join(cwd, 'dist/out'), 'by hand');
    expect(await preview()).toEqual({ starts: ['docs'], unchanged: ['build'] });
    await orchestrate(['rerun', 'build', '--force'], { cwd, env });
    expect(await preview()).toEqual({ starts: ['build', 'docs'], unchanged: [] });
  });

  it('a task with cache uses what is kept after rerun, and not with --force, of rerun and of run', async () => {
    const cwd = made();
    await doneBy(cwd);
    await orchestrate(['rerun', 'build'], { cwd, env });
    expect(await doneBy(cwd)).toMatchObject({ done: [], unchanged: ['build', 'test'] });
    await orchestrate(['rerun', 'build', '--force'], { cwd, env });
    expect(await doneBy(cwd)).toMatchObject({ done: ['build'] });
    expect(await doneBy(cwd, '--task', 'docs', '--force')).toMatchObject({ done: ['docs'] });
    const other = made();
    expect(await doneBy(other, '--task', 'docs', '--force')).toMatchObject({ done: ['docs'] });
    expect(await doneBy(other, '--from', 'build', '--force')).toMatchObject({ done: ['build', 'test'], unchanged: [] });
    expect(await doneBy(other, '--force')).toMatchObject({ done: ['build', 'docs', 'test'], unchanged: [] });
    expect(await doneBy(other)).toMatchObject({ done: [], unchanged: [] });
  });

  it('a task with cache whose outputs match no file keeps nothing, since another checkout would get none of them, and is warned of', async () => {
    const plan = [
      'id: a, title: A, run: "mkdir -p out; cp a out; echo a >> ../ledger", cwd: src, inputs: [docs], outputs: ["oot/**"], cache: true',
    ];
    const message =
      'task a: its outputs (oot/**) match no file (they are relative to the project, not to src), so nothing is kept';
    const cwd = made(plan);
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['a'], warnings: [{ message }] });
    expect(await doneBy(cwd)).toEqual({ code: 0, done: [], unchanged: [], warnings: [] });
    expect(await doneBy(made(plan))).toMatchObject({ code: 0, done: ['a'], unchanged: [], warnings: [{ message }] });
  });

  it('a task with cache keeps nothing of an attempt that failed, or whose inputs changed meanwhile', async () => {
    const cwd = made([
      'id: bad, title: B, run: "echo bad >> ledger; exit 1", retry: {max_attempts: 1}, inputs: [docs], cache: true',
      'id: self, title: S, run: "echo x >> docs; echo self >> ledger", depends_on: [], inputs: [docs], cache: true',
    ]);
    expect(await doneBy(cwd, '--task', 'bad')).toMatchObject({ code: 1, done: ['bad'] });
    await orchestrate(['retry', 'bad'], { cwd, env });
    expect(await doneBy(cwd, '--task', 'bad')).toMatchObject({ code: 1, done: ['bad'] });
    expect(await doneBy(cwd, '--task', 'self')).toMatchObject({ code: 0, done: ['self'] });
    expect(await doneBy(cwd, '--task', 'self')).toMatchObject({ code: 0, done: ['self'] });
  });

  it('a task with cache is done again by the run that does again what it depends on, also where that has no cache', async () => {
    const cwd = made([
      'id: make, title: M, run: "cp docs made; echo make >> ledger"',
      'id: use, title: U, depends_on: [make], run: "cat made > used; echo use >> ledger", inputs: [made], outputs: [used], cache: true',
    ]);
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['make', 'use'] });
    writeFileSync(join(cwd, 'docs'), 'other');
    await orchestrate(['rerun', 'make'], { cwd, env });
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: ['make', 'use'] });
    expect(readFileSync(join(cwd, 'used'), 'utf8')).toBe('other');
    expect(await doneBy(cwd)).toMatchObject({ code: 0, done: [] });
  });

  it.skipIf(process.platform === 'darwin')(
    'a task with cache is done every time, with a warning, when the name of an input is not UTF-8',
    async () => {
      const cwd = made(['id: all, title: A, run: "echo all >> ledger", inputs: ["src/**"], cache: true']);
      for (const name of ['\xe9', 'd\xe9/x']) {
        const file = Buffer.from(`${cwd}/src/${name}`, 'latin1');
        mkdirSync(file.subarray(0, file.lastIndexOf('/')), { recursive: true });
        writeFileSync(file, '1');
        for (const _ of [1, 2]) {
          const { done, warnings } = await doneBy(cwd);
          expect({ done, warnings }).toEqual({
            done: ['all'],
            warnings: [expect.objectContaining({ message: expect.stringMatching(/^task all: .* is not UTF-8$/) })],
          });
        }
        rmSync(Buffer.from(`${cwd}/src/${name.split('/')[0]}`, 'latin1'), { recursive: true });
      }
      expect(await doneBy(cwd)).toMatchObject({ warnings: [] });
    },
  );

  it('a task with cache is done every time, with a warning, when its inputs match no file', async () => {
    const cwd = made(['id: typo, title: T, run: "echo typo >> ledger", inputs: ["scr/**"], cache: true']);
    expect(await doneBy(cwd)).toMatchObject({ done: ['typo'] });
    const again = await orchestrate(['run'], { cwd, env });
    expect(again.stdout + again.stderr).toContain(
      'task typo: its inputs (scr/**) match no file, so it is done every time',
    );
  });
});
