/** Questions with real processes: workers that ask and end, people who answer or don't, and runs that are killed. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FORGE, jsonLines, orchestrate, project, type StartedCli, startCli } from '../support/cli.ts';
import { until } from '../support/processes.ts';

type Event = Record<string, unknown> & { type: string };

/** The lines of `run --json` so far. */
function eventsOf(run: StartedCli): () => Event[] {
  let text = '';
  run.process.stdout?.on('data', (chunk: string) => {
    text += chunk;
  });
  return () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
}

/** A worker that asks; once it is answered it writes down what it was told. */
function asker(key: string, more = ''): string {
  const forge = `"${process.execPath}" "${FORGE}" orchestrate`;
  const ask = `${forge} question --decision-key ${key} --question "Keep it?" --options-file options.json ${more} --json`;
  return `out=$(${ask}) || exit 4; case "$out" in *answered*) echo "$out" >> ${key}.told ;; esac`;
}

function planned(tasks: Record<string, string>): string {
  const cwd = project(
    Object.entries(tasks).map(
      ([id, run]) => `id: ${id}, title: ${id}, retry: { max_attempts: 9, base: 0 }, run: '${run}'`,
    ),
  );
  writeFileSync(join(cwd, 'options.json'), '[{"id":"keep","label":"Keep it"},{"id":"drop","label":"Drop it"}]');
  return cwd;
}

async function openQuestions(cwd: string): Promise<{ question_id: string; task_id: string }[]> {
  return (await orchestrate(['questions', '--open', '--json'], { cwd })).json().data.questions;
}

describe('run', () => {
  it('run goes on with other tasks and resumes each when its question is settled', async () => {
    const cwd = planned({
      answered: asker('answered'),
      defaulted: asker('defaulted', '--default drop --deadline 1s'),
      ignored: asker('ignored', '--deadline 1ms'),
      other: 'touch other.done',
    });
    const run = startCli(['orchestrate', 'run', '--wait', '--json'], { cwd });
    const events = eventsOf(run);
    const asked = () => events().find(({ type, task_id }) => type === 'question_opened' && task_id === 'answered');
    await until('the question', () => asked() !== undefined);
    expect(asked()).toMatchObject({ decision_key: 'answered', question: { question: 'Keep it?' } });
    const question = String(asked()?.['question_id']);
    const given = await orchestrate(['answer', question, '--option', 'keep', '--note', '-'], {
      cwd,
      input: 'as ever\n',
    });
    expect(given.code).toBe(0);
    const { code } = await run.ended;
    expect(code).toBe(1);
    const ends = events().filter(({ type }) => type === 'task_finished');
    expect(Object.fromEntries(ends.map(({ task_id, state }) => [task_id, state]))).toEqual({
      answered: 'shipped',
      defaulted: 'shipped',
      ignored: 'failed',
      other: 'shipped',
    });
    expect(ends.find(({ task_id }) => task_id === 'ignored')).toMatchObject({ failure_reason: 'decision_key_budget' });
    expect(readFileSync(join(cwd, 'answered.told'), 'utf8')).toMatch(/"option_id":"keep".*"note":"as ever"/);
    expect(readFileSync(join(cwd, 'defaulted.told'), 'utf8')).toContain('"option_id":"drop"');
    const settled = events().filter(({ type }) => type === 'question_settled');
    expect(settled.map(({ task_id, answered_by }) => `${task_id} ${answered_by}`).sort()).toEqual(
      expect.arrayContaining(['defaulted default', 'ignored expiry', 'ignored expiry', 'ignored expiry']),
    );
  });

  it('without a terminal run ends when all that is left waits for an answer, and --wait has it go on', async () => {
    const cwd = planned({ a: asker('k', '--default drop --deadline 1h'), b: 'touch b.done', c: asker('c') });
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(4);
    expect(stdout).toMatch(/\nLeft\n {2}a +it asked about k/);
    expect(stdout).toMatch(/\nNext\n {2}forge orchestrate answer a OPTION\n {2}forge orchestrate run\n/);
    expect(existsSync(join(cwd, 'b.done'))).toBe(true);
    const run = startCli(['orchestrate', 'run', '--wait', '--json'], { cwd });
    await until('the run waits', () => run.stdout().includes('"waiting"'));
    for (const task of ['a', 'c']) await orchestrate(['answer', task, '1'], { cwd });
    expect((await run.ended).code).toBe(0);
  });

  it('run --wait waits for checkpoints too, and names what is to be done about them', async () => {
    const cwd = project([
      'id: approve, title: approve, owner_type: human',
      'id: publish, title: publish, depends_on: [approve], run: "true"',
      'id: announced, title: announced, owner_type: human, depends_on: [publish]',
    ]);
    const run = startCli(['orchestrate', 'run', '--wait'], { cwd });
    for (const id of ['approve', 'announced']) {
      await until(`the run waits for ${id}`, () => run.stdout().includes(`… waiting for ${id} (a person does it`));
      await orchestrate(['done', id], { cwd });
    }
    expect(await run.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^✓ publish +shipped/m) });
  });

  it('a run with a failure and an open question names both commands that move it on', async () => {
    const cwd = planned({ a: asker('k') });
    const more = "\n      - { id: b, title: b, retry: { max_attempts: 1 }, run: 'false' }\n";
    writeFileSync(
      join(cwd, 'plans/phases.yaml'),
      readFileSync(join(cwd, 'plans/phases.yaml'), 'utf8').trimEnd() + more,
    );
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect({ code, next: stdout.split('\nNext\n')[1] }).toEqual({
      code: 1,
      next: '  forge orchestrate retry b\n  forge orchestrate answer a OPTION\n  forge orchestrate run\n',
    });
  });

  it('run prints a question with the command that answers it', async () => {
    const cwd = planned({ a: asker('k', '--default drop --deadline 1s') });
    const { code, stdout } = await orchestrate(['run', '--wait'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^\? a +asks: Keep it\?\n {4}1\. keep — Keep it\n {4}2\. drop — Drop it \(default\)\n {4}forge orchestrate answer a OPTION\n/m,
    );
    expect(stdout).toMatch(/^\? a +k: drop \(default\)$/m);
  });

  it('run tells of a question that is over before it is first seen, and then what settled it', async () => {
    const cwd = planned({ a: asker('k', '--default drop --deadline 1ms') });
    const { code, stdout } = await orchestrate(['run', '--json'], { cwd });
    expect(code).toBe(0);
    const told = jsonLines(stdout).filter(({ type }) => type.startsWith('question_'));
    expect(told).toMatchObject([
      { type: 'question_opened', question: { question: 'Keep it?' } },
      { type: 'question_settled', option_id: 'drop', answered_by: 'default' },
    ]);
  });

  it.each([
    ['edit a --set status=paused', 'it is paused'],
    ['drop a', 'it is dropped'],
  ])('answer says that the task does not go on after %s', async (change, why) => {
    const cwd = planned({ a: asker('a') });
    await orchestrate(['run'], { cwd });
    await orchestrate([...change.split(' ')], { cwd });
    const { stdout, stderr, code } = await orchestrate(['answer', 'a', 'keep'], { cwd });
    expect({ stdout, code }).toEqual({ stdout: 'a has its answer, keep; it is awaiting_respawn.\n', code: 0 });
    expect(stderr).toContain(`task a does not go on: the plan says that ${why}`);
    await orchestrate(['edit', 'a', '--set', 'status=active'], { cwd });
    expect((await orchestrate(['answer', 'a', 'keep'], { cwd })).stdout).toContain('a goes on with keep');
  });

  it('after a run is killed while it waits, an answer counts and the next run goes on', async () => {
    const cwd = planned({ a: asker('k') });
    const run = startCli(['orchestrate', 'run', '--wait', '--json'], { cwd });
    const events = eventsOf(run);
    await until('a question', () => events().some(({ type }) => type === 'question_opened'));
    run.process.kill('SIGKILL');
    await run.ended;
    const [open] = await openQuestions(cwd);
    expect((await orchestrate(['answer', open?.question_id ?? '', '--option', 'drop'], { cwd })).code).toBe(0);
    expect((await orchestrate(['run', '--wait'], { cwd })).code).toBe(0);
    expect(readFileSync(join(cwd, 'k.told'), 'utf8').trimEnd().split('\n')).toHaveLength(1);
  });
});

it('of an answer, the default and two runs at once exactly one settles the question', async () => {
  const cwd = planned({
    a: asker('a', '--default drop --deadline 1s'),
    b: asker('b', '--default drop --deadline 1s'),
  });
  const runs = [1, 2].map(() => startCli(['orchestrate', 'run', '--wait', '--json'], { cwd }));
  const seen = runs.map(eventsOf);
  const asked = () => seen.flatMap((events) => events().filter(({ type }) => type === 'question_opened'));
  await until('both questions', () => new Set(asked().map(({ task_id }) => task_id)).size === 2);
  const open = [...new Set(asked().map(({ question_id }) => String(question_id)))];
  const given = await Promise.all(
    open.flatMap((question_id) =>
      ['keep', 'drop', 'keep'].map((option) =>
        orchestrate(['answer', question_id, '--option', option, '--json'], { cwd }),
      ),
    ),
  );
  for (const { code } of await Promise.all(runs.map(({ ended }) => ended))) expect(code).toBe(0);
  const { questions } = (await orchestrate(['questions', '--json'], { cwd })).json().data;
  for (const question of questions as { question_id: string; task_id: string; option_id: string; status: string }[]) {
    expect(question.status).toBe('answered');
    const told = readFileSync(join(cwd, `${question.task_id}.told`), 'utf8');
    expect(told).toContain(`"option_id":"${question.option_id}"`);
    const mine = given.map((result) => result.json()).filter(({ data }) => data?.question_id === question.question_id);
    for (const { data } of mine) expect(data.option_id).toBe(question.option_id);
  }
});

it('attach shows the questions of a run until it is over', async () => {
  const cwd = planned({ a: asker('k') });
  const run = startCli(['orchestrate', 'run', '--wait', '--json'], { cwd });
  const events = eventsOf(run);
  await until('a question', () => events().some(({ type }) => type === 'question_opened'));
  const { run_id } = events()[0] as unknown as { run_id: string };
  const attached = startCli(['orchestrate', 'attach', '--run', run_id, '--json'], { cwd });
  const seen = eventsOf(attached);
  await until('the attached question', () => seen().length > 0);
  await orchestrate(['answer', String(seen()[0]?.['question_id']), '--option', 'keep', '--by', 'ada'], { cwd });
  expect((await run.ended).code).toBe(0);
  expect((await attached.ended).code).toBe(0);
  expect(seen()).toMatchObject([
    { type: 'question_opened', status: 'open', decision_key: 'k' },
    { type: 'question_settled', status: 'answered', option_id: 'keep', answered_by: 'ada' },
  ]);
  expect((await orchestrate(['attach', '--run', '00000000-0000-7000-8000-000000000bad'], { cwd })).code).toBe(2);
});

it('run and attach tell a question too that is settled between two looks of theirs', async () => {
  const answers = `test -e k.told || { "${process.execPath}" "${FORGE}" orchestrate answer a keep; touch answered; }`;
  const cwd = planned({ a: `until test -e go; do sleep 0.02; done; ${asker('k')}; ${answers}`, b: asker('other') });
  const run = startCli(['orchestrate', 'run', '--wait', '--max-parallel', '2', '--json'], { cwd });
  const events = eventsOf(run);
  await until('the run', () => events().length > 0);
  const attached = startCli(['orchestrate', 'attach', '--run', String(events()[0]?.['run_id']), '--json'], { cwd });
  const seen = eventsOf(attached);
  await until('the question of the other', () => seen().length > 0);
  // Neither looks until it is answered.
  for (const each of [run, attached]) each.process.kill('SIGSTOP');
  writeFileSync(join(cwd, 'go'), '');
  await until('the answer', () => existsSync(join(cwd, 'answered')));
  for (const each of [run, attached]) each.process.kill('SIGCONT');
  await until('what comes of it', () => existsSync(join(cwd, 'k.told')));
  await orchestrate(['answer', 'b', 'keep'], { cwd });
  for (const each of [run, attached]) expect((await each.ended).code).toBe(0);
  for (const all of [events(), seen()]) {
    const about = all.filter(({ type, decision_key: key }) => type.startsWith('question') && key === 'k');
    expect(about.map(({ type }) => type)).toEqual(['question_opened', 'question_settled']);
  }
});

it('a worker that does not end after asking is stopped', async () => {
  const cwd = planned({ a: `${asker('k', '--default keep --deadline 1ms')}; test -e k.told || sleep 600` });
  const settings = await orchestrate(['init'], { cwd });
  expect(settings.code).toBe(0);
  writeFileSync(join(cwd, '.forge/settings.yaml'), 'version: 1\nagents: { kill_grace_ms: 100ms }\n');
  expect((await orchestrate(['run', '--wait'], { cwd })).code).toBe(0);
});

it('question and complete read from stdin what their files would have', async () => {
  const cwd = planned({ a: 'true' });
  const within = async (args: string[], input?: string) =>
    (await orchestrate([...args, '--json'], { cwd, ...(input === undefined ? {} : { input }) })).json();
  const begun = async () => {
    const { claim_id, run_id } = (await within(['claim', 'a'])).data;
    return (await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id])).data.attempt_id;
  };
  const ask = ['question', 'a', '--attempt', await begun(), '--decision-key', 'k', '--question', 'Keep?'];
  expect(await within([...ask, '--options-file', '-'], '[{id: keep, label: K}, {id: drop, label: D}]')).toMatchObject({
    data: { status: 'open' },
  });
  await within(['answer', 'a', 'keep']);
  const done = ['complete', 'a', '--attempt', await begun(), '--verdict-file', '-'];
  const verdict = '{"verdict": "ready_for_review", "summary": "done"}';
  expect(await within(done, verdict)).toMatchObject({ data: { state: 'shipped' } });
});
