/** What a worker leaves about its next attempt. */

import { describe, expect, it } from 'vitest';
import { dataOf, orchestrate, project } from '../support/cli.ts';

const STEP = '"$FORGE_CLI" orchestrate step one';
const TOLD = `echo 1h > "$FORGE_RETRY_AFTER_FILE"; exit 7`;

/** One attempt by this script, that fails; the task then, and how long it waits, milliseconds. */
async function attempted(body: string, { errors = '[]', retry = '{max_attempts: 3, base: 5s}' } = {}) {
  const cwd = project([`id: a, title: A, retry: ${retry}`], {
    'body.sh': body,
    '.forge/settings.yaml': `errors: ${errors}\n`,
  });
  const { stderr, code } = await orchestrate(['exec', 'a', '--', 'sh', 'body.sh'], { cwd });
  const { state } = await dataOf(cwd, 'show', 'a');
  return { code, stderr, state, waitMs: Date.parse(state.next_eligible_at) - Date.parse(state.last_failed_at) };
}

/** `ms` from the failure on, less the moment until it was decided. */
const about = (ms: number) => expect.toSatisfy((found: number) => found > ms - 60_000 && found <= ms, `about ${ms} ms`);

describe('FORGE_RETRY_AFTER_FILE', () => {
  it('FORGE_RETRY_AFTER_FILE of a worker that fails says when its next attempt begins', async () => {
    const { state, waitMs } = await attempted('echo 3600 > "$FORGE_RETRY_AFTER_FILE"; exit 3\n');
    expect({ waitMs, state }).toMatchObject({ waitMs: about(3_600_000), state: { failure_count: 1 } });
  });

  it('FORGE_RETRY_AFTER_FILE holds a limit that is not charged, like one that an agent reports', async () => {
    const errors = '[{class: rate_limit, exit: [75]}]';
    const { state, waitMs } = await attempted('echo 2h > "$FORGE_RETRY_AFTER_FILE"; exit 75\n', { errors });
    expect({ waitMs, state }).toMatchObject({ waitMs: about(7_200_000), state: { failure_count: 0 } });
  });

  it.each([
    ['soon', 'FORGE_RETRY_AFTER_FILE has "soon", which is none of seconds (120), a duration'],
    ['$(seq 2000)', 'FORGE_RETRY_AFTER_FILE is not read: '],
  ])('with anything else (%s) is a warning, and the policy decides', async (text, warning) => {
    const { stderr, waitMs } = await attempted(`echo "${text}" > "$FORGE_RETRY_AFTER_FILE"; exit 3\n`);
    expect(stderr).toContain(warning);
    expect(waitMs).toBe(5000);
  });

  it('FORGE_RETRY_AFTER_FILE that is empty says nothing', async () => {
    const { stderr, waitMs } = await attempted(': > "$FORGE_RETRY_AFTER_FILE"; exit 3\n');
    expect(stderr).not.toContain('RETRY_AFTER');
    expect(waitMs).toBe(5000);
  });

  it('FORGE_RETRY_AFTER_FILE does not count where the worker has done its work', async () => {
    const { code, stderr, state } = await attempted('echo soon > "$FORGE_RETRY_AFTER_FILE"\n');
    expect(code).toBe(0);
    expect(stderr).not.toContain('RETRY_AFTER');
    expect(state.next_eligible_at).toBeNull();
  });

  it.each([
    ['a step', `step one --retry '{max_attempts: 1}' -- sh -c '${TOLD}'`],
    ['a wait for a condition', `wait-until one -- sh -c '${TOLD}'`],
    ['a repeat', `repeat one --every 1h --on-error fail --retry '{max_attempts: 1}' -- sh -c '${TOLD}'`],
    ['the end of a repeat', `repeat one --every 1h --till '${TOLD}' -- true`],
  ])('FORGE_RETRY_AFTER_FILE of what has ended its attempt counts for the task: %s', async (_, call) => {
    const { state, waitMs } = await attempted(`"$FORGE_CLI" orchestrate ${call}\n`);
    expect({ waitMs, message: state.last_error.message }).toEqual({
      waitMs: about(3_600_000),
      message: expect.stringContaining('step one: exited with code 7'),
    });
  });

  it('FORGE_RETRY_AFTER_FILE is another file for each try of a step', async () => {
    const body =
      'echo "$FORGE_RETRY_AFTER_FILE" >> "$OUT"; test $FORGE_STEP_TRY = 2 || echo 0 > "$FORGE_RETRY_AFTER_FILE"; exit 7';
    const { waitMs } = await attempted(
      `export OUT=$PWD/files\n${STEP} --retry '{max_attempts: 2, base: 1h, cap: 1h}' -- sh -c '${body}'\ncode=$?\ntest "$(sort -u files | wc -l)" -eq 2 && exit $code\n`,
    );
    // The last try has said nothing.
    expect(waitMs).toBe(5000);
  });
});

it('an error rule finds in the output when to try again', async () => {
  const errors = `[{class: busy, output: '429, retry-after: (?<retry_after>\\w+)'}]`;
  const body = `${STEP} --retry '{max_attempts: 2, base: 1h, cap: 1h}' -- sh -c 'echo "429, retry-after: 0s"; echo "429, retry-after: $((FORGE_STEP_TRY - 1))h"; exit 7'\n`;
  const { state, waitMs } = await attempted(body, { errors });
  expect({ waitMs, state }).toMatchObject({ waitMs: about(3_600_000), state: { last_error: { class: 'busy' } } });
});
