/** The plan, changed by command. */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { identifyOwner } from '../../src/process/processes.ts';
import { folder, orchestrate, within } from '../support/cli.ts';

const PLAN = `# The plan of the mill.
project: mill
phases:
  - id: one
    name: One
    tasks:
      - id: build   # first
        title: Build
        run: "true"

      - {id: test, title: Test, depends_on: [build], run: "true"}
  - id: two
    name: Two
    status: paused
    tasks: []
`;
const FILE = 'plans/phases.yaml';

const project = (plan = PLAN) => folder({ [FILE]: plan });
const planIn = (cwd: string) => readFileSync(join(cwd, FILE), 'utf8');
/** What is beside the plan. */
const besidePlan = (cwd: string) => readdirSync(join(cwd, 'plans'));

describe('add', () => {
  it('add writes a task in the style of those before it and changes no other byte', async () => {
    const cwd = project();
    const { stdout, code } = await orchestrate(['add', 'Ship: the mill', '--depends-on', 'test', '--priority', 'P0'], {
      cwd,
    });
    expect({ code, first: stdout.split('\n').slice(0, 2) }).toEqual({
      code: 0,
      first: ['Added ship-the-mill to one: Ship: the mill', `  ${FILE}:12`],
    });
    const line = '      - {id: ship-the-mill, title: "Ship: the mill", priority: P0, depends_on: [test]}\n';
    expect(planIn(cwd)).toBe(PLAN.replace('run: "true"}\n', `run: "true"}\n${line}`));
    expect(besidePlan(cwd)).toEqual(['phases.yaml']);
  });

  it('add leaves the plan parsed for the next command', async () => {
    const cwd = project();
    const env = { XDG_CACHE_HOME: folder({}) };
    await orchestrate(['add', 'Ship it'], { cwd, env });
    const cached = readdirSync(env.XDG_CACHE_HOME, { recursive: true, encoding: 'utf8' }).find((name) =>
      name.endsWith('/plan'),
    );
    const text = readFileSync(join(env.XDG_CACHE_HOME, cached ?? ''), 'utf8');
    expect(text.endsWith(planIn(cwd))).toBe(true);
    expect(text).toContain('"id":"ship-it"');
    const { data } = (await orchestrate(['show', 'ship-it', '--json'], { cwd, env })).json();
    expect(data.task).toMatchObject({ title: 'Ship it' });
  });

  it('add warns where the phase of the task is not active', async () => {
    const { code, stderr } = await orchestrate(['add', 'Later', '--phase', 'two'], { cwd: project() });
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'warning: phase two is paused, so task later does not start\n',
    });
  });

  it('a worker that adds a task hands it on: it goes to the phase of the worker, and says where it was found', async () => {
    const cwd = project();
    const env = { FORGE_TASK_ID: 'build' };
    const { json } = await orchestrate(['add', 'Found', '--description', '-', '--json'], {
      cwd,
      env,
      input: 'why\n\nso\n',
    });
    expect(json().data).toEqual({
      task_id: 'found',
      phase_id: 'one',
      title: 'Found',
      discovered_from: 'build',
      file: FILE,
      line: 12,
    });
    const { task } = await within(['show', 'found'], { cwd });
    expect(task).toMatchObject({ description: 'why\n\nso', discovered_from: 'build' });
  });

  it.each([
    [['--depends-on', 'biuld'], 'PHASES_PARSE_ERROR', /unknown dependency "biuld"\. Did you mean "build"\?/],
    [['--phase', 'tow'], 'INVALID_ARGS', /Did you mean two\?/],
    [['--id', 'build'], 'DUPLICATE_ID', /there is a task build/],
    [['--id', 'a b'], 'PHASES_PARSE_ERROR', /an id is at most 64 letters/],
    [['--discovered-from', 'tset'], 'TASK_NOT_FOUND', /Did you mean test\?/],
    [['--set', 'retri=3'], 'INVALID_ARGS', /Did you mean retry\?/],
  ])('%j is refused with %s, and nothing is written', async (args, code, words) => {
    const cwd = project();
    const { stderr, code: exit } = await orchestrate(['add', 'X', ...args], { cwd });
    expect(stderr).toContain(`error[${code}]`);
    expect(stderr.replace(/\s+/g, ' ')).toMatch(words);
    expect(exit).toBeGreaterThan(0);
    expect(planIn(cwd)).toBe(PLAN);
  });

  it('twenty at once are all there, once', async () => {
    const cwd = project();
    const all = Array.from({ length: 20 }, () => orchestrate(['add', 'At once', '--json'], { cwd }));
    const ids = (await Promise.all(all)).map(({ json }) => json().data.task_id as string);
    expect(new Set(ids).size).toBe(20);
    const { tasks } = await within(['graph'], { cwd });
    expect(tasks).toHaveLength(22);
    expect(besidePlan(cwd)).toEqual(['phases.yaml']);
  });

  it('what a killed process has left is not in the way, and is taken away', async () => {
    const cwd = project();
    await within(['add', 'First'], { cwd });
    writeFileSync(join(cwd, 'plans/.phases.yaml.forge-x.tmp'), 'half');
    const lock = join(cwd, '.forge/orchestrator/.plan.lock');
    mkdirSync(lock);
    const { ino, birthtimeNs } = statSync(lock, { bigint: true });
    // On Linux no process has a larger id than 2 ** 22.
    const gone = { ...identifyOwner(process.pid), pid: 2 ** 22 + 7 };
    writeFileSync(`${lock}.owner`, `${ino} ${birthtimeNs}\n${JSON.stringify(gone)}`);
    expect((await orchestrate(['add', 'Second'], { cwd })).code).toBe(0);
    expect(besidePlan(cwd)).toEqual(['phases.yaml']);
  });

  it('a run that is going on takes up a task that a worker adds', async () => {
    const script = '"$FORGE_CLI" orchestrate add "Found later" --run "touch found"';
    const cwd = project(
      `project: p\nphases:\n  - id: one\n    name: One\n    tasks:\n      - id: a\n        title: A\n        run: '${script}'\n`,
    );
    const { stdout, code } = await orchestrate(['run'], { cwd });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('found-later') });
    expect(readdirSync(cwd)).toContain('found');
  });
});

describe('edit', () => {
  it('edit changes keys in place, and says which', async () => {
    const cwd = project();
    const args = ['build', '--set', 'title=Build it', '--set', 'timeout=5m', '--set', 'env.A=1.10'];
    const { stdout } = await orchestrate(['edit', ...args], { cwd });
    expect(stdout).toBe(`Changed title, timeout, env.A of build (${FILE}:7).\n`);
    const lines = '        title: Build it\n        run: "true"\n        timeout: 5m\n        env: {A: "1.10"}\n';
    expect(planIn(cwd)).toBe(PLAN.replace('        title: Build\n        run: "true"\n', lines));
  });

  it('edit adds dependencies and takes them away; a cycle is refused with its place', async () => {
    const cwd = project();
    await within(['edit', 'test', '--depends-on', '-build'], { cwd });
    expect(planIn(cwd)).toBe(PLAN.replace('depends_on: [build]', 'depends_on: []'));
    await within(['edit', 'build', '--depends-on', '+test'], { cwd });
    const now = planIn(cwd);
    expect(now).toContain('        run: "true"\n        depends_on: [test]\n');
    const { stderr, code } = await orchestrate(['edit', 'test', '--depends-on', '+build'], { cwd });
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('tasks depend on each other in a cycle'),
    });
    expect(stderr).toContain('10 |         depends_on: [test]');
    expect(planIn(cwd)).toBe(now);
  });

  it.each([
    [['tset', '--set', 'title=x'], 'TASK_NOT_FOUND', 'Did you mean test?'],
    [['test'], 'INVALID_ARGS', 'say what to change'],
    [['test', '--set', 'priorty=P0'], 'INVALID_ARGS', 'Did you mean priority?'],
    [['test', '--set', 'priority=P7'], 'PHASES_PARSE_ERROR', 'expected P0, P1 or P2'],
  ])('%j is refused with %s', async (args, code, words) => {
    const cwd = project();
    const { json } = await orchestrate(['edit', ...args, '--json'], { cwd });
    expect(json().error.code).toBe(code);
    expect(JSON.stringify(json().error)).toContain(words);
    expect(planIn(cwd)).toBe(PLAN);
  });

  it('edit and add put no task into the plan that uses more than the limit, and mend or drop one of those that are there', async () => {
    const over = (n: number) => `\n      - {id: over${n}, title: O, run: "true", uses: [{gpu: 9}]}`;
    const cwd = project(PLAN.replace('run: "true"}', `run: "true"}${over(1)}${over(2)}`));
    mkdirSync(join(cwd, '.forge'));
    writeFileSync(join(cwd, '.forge/settings.yaml'), 'limits: {gpu: 2}\n');
    const before = planIn(cwd);
    for (const args of [
      ['edit', 'build', '--set', 'uses=[{gpu: 3}]'],
      ['add', 'Train', '--set', 'uses=[{gpu: 3}]'],
    ]) {
      const { json } = await orchestrate([...args, '--json'], { cwd });
      expect(json().error).toMatchObject({
        code: 'PHASES_PARSE_ERROR',
        details: {
          problems: [
            { message: expect.stringMatching(/^task "(build|train)": it uses 3 of gpu, more than the limit of 2$/) },
          ],
        },
      });
      expect(planIn(cwd)).toBe(before);
    }
    await within(['edit', 'over1', '--set', 'uses=gpu'], { cwd });
    expect((await orchestrate(['run', '--dry-run'], { cwd })).stderr).toContain('"over2": it uses 9');
    await within(['drop', 'over2'], { cwd });
    expect((await orchestrate(['run', '--dry-run'], { cwd })).code).toBe(0);
  });

  it('a part that an anchor shares is not changed; an alias is, where it stands', async () => {
    const cwd = project(PLAN.replace('run: "true"\n', 'run: &r "true"\n').replace('run: "true"}', 'run: *r}'));
    const { stderr } = await orchestrate(['edit', 'build', '--set', 'run=make'], { cwd });
    expect(stderr.replace(/\s+/g, ' ')).toContain(`${FILE}:9: this part cannot be changed in place`);
    await within(['edit', 'test', '--set', 'run=make test'], { cwd });
    expect(planIn(cwd)).toContain('depends_on: [build], run: make test}');
  });

  it('a file that is not UTF-8 is refused as such, and stays as it is', async () => {
    const cwd = project();
    const latin = Buffer.from(PLAN.replace('the mill', 'the caf\u00e9'), 'latin1');
    writeFileSync(join(cwd, FILE), latin);
    const { json } = await orchestrate(['edit', 'build', '--set', 'run=make', '--json'], { cwd });
    expect(json().error).toMatchObject({ code: 'INVALID_ARGS', hint: 'The file is not UTF-8. Save it as UTF-8.' });
    expect(readFileSync(join(cwd, FILE))).toEqual(latin);
  });
});

describe('drop', () => {
  it('drop names what waits for the task, and refuses one that is worked on', async () => {
    const cwd = project();
    await within(['claim', 'build'], { cwd });
    const refused = await orchestrate(['drop', 'build'], { cwd });
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('forge orchestrate cancel build') });
    await within(['cancel', 'build'], { cwd });
    const { stdout } = await orchestrate(['drop', 'build'], { cwd });
    expect(stdout).toContain(`build is dropped (${FILE}:7).\nIt blocks test`);
    expect(planIn(cwd)).toBe(PLAN.replace('run: "true"\n', 'run: "true"\n        status: dropped\n'));
    expect(await within(['drop', 'build'], { cwd })).toMatchObject({ changed: false, blocks: ['test'] });
    await within(['done', 'test'], { cwd });
    expect(await within(['drop', 'build'], { cwd })).toMatchObject({ blocks: [] });
  });
});

describe('graph', () => {
  it('graph fits thirty tasks into 80 columns, whatever their titles are', async () => {
    const tasks = Array.from({ length: 30 }, (_, i) => {
      const before =
        i === 0 ? [] : [`step-${Math.floor(i / 2)}-of-the-long-way`, ...(i > 6 ? ['step-3-of-the-long-way'] : [])];
      return {
        id: `step-${i}-of-the-long-way`,
        title: `A title that says more than fits ${i}`,
        depends_on: i < 2 ? [] : before,
      };
    });
    const cwd = project(JSON.stringify({ project: 'p', phases: [{ id: 'one', name: 'One', tasks }] }));
    const { stdout } = await orchestrate(['graph'], { cwd });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(31);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines[1]).toBe('  · step-0-of-the-long-way               unclaimed  A title that says more than…');
  });

  it('graph has room for the id of a task at the end of a branch', async () => {
    const chain = ['a', 'b', 'clean'].map((id, i, all) => ({
      id,
      title: 'T',
      depends_on: all.slice(Math.max(0, i - 1), i),
    }));
    const cwd = project(JSON.stringify({ project: 'p', phases: [{ id: 'one', name: 'One', tasks: chain }] }));
    const { stdout } = await orchestrate(['graph'], { cwd });
    expect(stdout).toMatch(/ {4}└─ clean {2}unclaimed {2}T\n/);
  });

  it('graph of one phase names what is outside of it, and prints what Mermaid, Graphviz and programs read', async () => {
    const cwd = project(PLAN.replace('tasks: []', 'tasks: [{id: end, title: End, depends_on: [test]}]'));
    const { stdout } = await orchestrate(['graph', '--phase', 'two'], { cwd });
    expect(stdout).toBe('two  Two\n  · end  unclaimed  (after test) End\n');
    const mermaid = await orchestrate(['graph', '--format', 'mermaid'], { cwd });
    expect(mermaid.stdout).toContain('  t0 --> t1\n  t1 --> t2\n');
    expect((await within(['graph', '--format', 'dot'], { cwd })).drawing).toContain('"test" -> "end";');
    const { stdout: data } = await orchestrate(['graph', '--format', 'json'], { cwd });
    expect(JSON.parse(data).tasks).toHaveLength(3);
    const { stderr } = await orchestrate(['graph', '--phase', 'tow'], { cwd });
    expect(stderr).toContain('Did you mean two?');
  });
});
