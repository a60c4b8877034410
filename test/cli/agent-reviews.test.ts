/** Reviews by a coding agent of `review.worker`. The agents here are scripts that write what Codex writes. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { folder, orchestrate } from '../support/cli.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { GIT_ENV } from '../support/repository.ts';

const RECORDINGS = path.resolve('test/domain/agents/recordings');

/** A project whose tasks are reviewed by a `codex` that runs these lines, with its prompt on stdin. */
function reviewed(tasks: readonly string[], lines: string, settings = 'retry: {max_attempts: 2, base: 1ms}') {
  const play = finishing(tasks, `review: {worker: codex}\n${settings}`);
  const bin = folder();
  const codex = (script: string) => {
    fs.writeFileSync(path.join(bin, 'codex'), `#!/bin/sh\ncat > "$FORGE_DIR/.forge/prompt"\n${script}\n`, {
      mode: 0o755,
    });
  };
  codex(lines);
  const env = { ...GIT_ENV, PATH: [bin, path.dirname(process.execPath), '/usr/bin', '/bin'].join(':') };
  const forge = (...args: string[]) => orchestrate(args, { cwd: play.at, env });
  const data = async (...args: string[]) => (await forge(...args, '--json')).json().data;
  return { ...play, forge, data, codex };
}

/** A script that has the agent say this last. */
function says(text: string): string {
  const item = { type: 'item.completed', item: { type: 'agent_message', text } };
  return `cat <<'END'\n${JSON.stringify(item)}\nEND`;
}

const task = (id: string) => `id: ${id}, title: Do ${id}, run: '${WORK}'`;
const CHANGES = {
  verdict: 'changes_requested',
  summary: 'nearly',
  findings: [
    { severity: 'block', path: 'a.txt', line: 1, category: 'tests', message: 'no test', suggestion: 'add one' },
  ],
};

describe('a review by an agent', () => {
  test('the last message of the agent is the review, and its prompt asks for that', async () => {
    const play = reviewed([task('a')], says('{"verdict": "pass", "findings": []}'));
    expect((await play.forge('run')).code).toBe(0);
    const prompt = play.read('prompt');
    expect(prompt).toContain('Your last message is your review');
    expect(prompt).not.toContain('FORGE_REVIEW_FILE');
    const [, review] = (await play.data('show', 'a')).attempts;
    expect(review).toMatchObject({ phase: 'review', review: { verdict: 'pass', error: null } });
  });

  test('what it has used is told, and counted for run and project', async () => {
    const used = JSON.stringify({ type: 'turn.completed', usage: { input_tokens: 900, output_tokens: 100 } });
    const play = reviewed([task('a')], `${says('{"verdict": "pass", "findings": []}')}\necho '${used}'`);
    const run = await play.forge('run');
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining('used 1.0k tokens') });
    const [, review] = (await play.data('show', 'a')).attempts;
    expect(review.session).toMatchObject({ agent: 'codex', input_tokens: 900, output_tokens: 100 });
    expect((await play.data('status')).spent).toMatchObject({ attempts: 0, tokens: 1000 });
  });

  test('findings in a fence go to the next attempt, with category and suggestion', async () => {
    const play = reviewed(
      [`${task('a')}, retry: {max_attempts: 1}`],
      says(`Here:\n\`\`\`json\n${JSON.stringify(CHANGES)}\n\`\`\``),
    );
    expect((await play.forge('run')).code).toBe(1);
    const { prompt } = await play.data('render-worker-prompt', 'a');
    expect(prompt).toContain('block: a.txt:1: tests: no test (add one)');
    expect((await play.forge('show', 'a')).stdout).toContain('block a.txt:1: tests: no test (add one)');
  });

  test('an agent that says no review leaves the task as it is', async () => {
    const play = reviewed([task('a')], says('Looks good to me!'), 'retry: {max_attempts: 1}');
    expect((await play.forge('run')).code).toBe(4);
    const { state, held } = await play.data('show', 'a');
    expect(state).toMatchObject({ state: 'ready_for_review', failure_count: 0 });
    expect(held.message).toContain(
      'review.invalid: the last message of the reviewer is not a review: Looks good to me!',
    );
  });

  test('a login that is over holds all reviews, charges none, and is mended by a review by hand', async () => {
    const play = reviewed([task('a'), task('b')], `cat "${RECORDINGS}/codex-401.jsonl"; exit 1`, '');
    const { code, stdout } = await play.forge('run', '--max-parallel', '1');
    expect(code).toBe(4);
    expect(stdout).toContain("codex can't be used: auth:");
    const { agents, tasks } = await play.data('status');
    const [met] = agents;
    expect(met).toMatchObject({ agent: 'codex', until: null });
    expect(met.message).toMatch(/log in with `codex login`, then `forge orchestrate review [ab]`$/);
    for (const row of tasks) expect(row).toMatchObject({ state: 'ready_for_review', last_error: null });
    play.codex(says('{"verdict": "pass"}'));
    expect((await play.data('review', met.task_id)).verdict).toBe('pass');
    expect((await play.data('status')).agents).toEqual([]);
    expect((await play.forge('run')).code).toBe(0);
  });

  test("a limit of the agent's account waits for its end, is shown, and charges nothing", async () => {
    const play = reviewed([task('a')], `cat "${RECORDINGS}/codex-401.jsonl"; exit 1`, '');
    expect((await play.forge('run')).code).toBe(4);
    play.codex(`cat "${RECORDINGS}/codex-plan.jsonl"; exit 1`);
    expect((await play.forge('review', 'a')).code).toBe(4);
    // It is told in the time zone of the machine.
    const until = new Date('Mar 17, 2030 5:46 PM').toISOString();
    expect((await play.data('status')).agents).toEqual([
      { agent: 'codex', task_id: 'a', until, message: `codex: limit until ${until} (review of task a)` },
    ]);
    const { ready, reasons } = await play.data('why', 'a');
    expect([ready, reasons.map(({ code }: { code: string }) => code)]).toEqual([
      false,
      ['TASK_WAITS_FOR_REVIEW', 'AGENT_LIMIT'],
    ]);
    expect(await play.state('a')).toMatchObject({ state: 'ready_for_review', failure_count: 0 });
  });

  test('an agent that is not installed is named, with the package of its maker', async () => {
    const play = finishing([task('a')], 'review: {worker: codex}\nretry: {max_attempts: 1}');
    const { code, stdout } = await play.forge('run');
    expect(code).toBe(4);
    expect(stdout).toContain('there is no codex on PATH to review task a');
    expect(stdout).toContain('npm install -g @openai/codex');
  });
});

test.each([
  ['{command: ./r, worker: codex}', 'review.command', 'both this and worker would review'],
  ['{model: x}', 'review.model', 'counts for worker alone'],
  ['{worker: custom}', 'review.worker', 'claude'],
])('settings refuse a reviewer that can not be: %s', async (review, place, said) => {
  const play = finishing([task('a')], `review: ${review}`);
  const { code, stderr } = await play.forge('run');
  expect(code).toBe(2);
  expect(stderr).toContain(place);
  expect(stderr).toContain(said);
});
