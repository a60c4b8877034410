/** Who reviews, what a reviewing agent may do, and how its review is found in its last words. */

import { expect, test } from 'vitest';
import { PRESETS } from '../../../src/domain/plan/task-command.ts';
import { reviewCommand, reviewIn, reviewWarnings } from '../../../src/domain/review/reviewer.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { onePhase } from '../../support/domain/plans.ts';

const REVIEW = DEFAULT_SETTINGS.review;

test('a reviewing agent is started by its own command line, with model and arguments as words', () => {
  expect(reviewCommand(REVIEW)).toBeNull();
  expect(reviewCommand({ ...REVIEW, command: './review.sh' })).toEqual({ command: './review.sh', agent: null });
  expect(reviewCommand({ ...REVIEW, worker: 'codex', model: "o'3", args: ['-c', 'a b'] })).toEqual({
    command: `codex exec --json --sandbox read-only -c allow_login_shell=false --model 'o'\\''3' -c 'a b' - < "$FORGE_PROMPT_FILE"`,
    agent: 'codex',
  });
});

test.each(Object.entries(PRESETS))('%s reviews without the rights of a worker', (_name, { review, program }) => {
  expect(review).toContain(program);
  expect(review).toContain(' "$@"');
  expect(review).not.toMatch(
    /yolo|auto-edit|acceptEdits|--auto |--force|workspace-write|--allow-tool=(?:shell|write) |--add-dir/,
  );
});

const PASS = '{"verdict":"pass","findings":[]}';

test.each([
  ['alone', PASS, PASS],
  ['in a fence behind words', `Here:\n\n\`\`\`json\n${PASS}\n\`\`\`\nBye.`, PASS],
  ['in the last of several fences', `\`\`\`json\n{"a": 1}\n\`\`\`\n~~~\n${PASS}\n~~~`, PASS],
  ['with words around it', `I think: ${PASS} is right.`, PASS],
  ['not there', 'Looks good to me!', null],
  ['a list', '[1]', null],
  ['cut short', '{"verdict": "pa', null],
  ['empty', '', null],
])('a review in the last words of an agent: %s', (_what, said, found) => {
  expect(reviewIn(said)).toBe(found);
});

test.each([
  ['another agent', { worker: 'codex' }, null, 0],
  ['the same agent', { worker: 'claude' }, null, 1],
  ['the same agent with another model', { worker: 'claude', model: 'opus' }, 'sonnet', 0],
  ['the same agent with the same model', { worker: 'claude', model: 'opus' }, 'opus', 1],
  ['the same agent whose own model is not known', { worker: 'claude', model: 'opus' }, null, 1],
  ['a command', { command: 'claude -p' }, null, 0],
] as const)('a review by %s warns as often as it has to', (_what, review, model, count) => {
  const { tasks } = onePhase({ id: 'a' }, { id: 'shell', run: 'make' }, { id: 'other', worker: 'codex', model: 'x' });
  const agents = { worker: 'claude', worker_command: null, model, args: [] } as const;
  const others = 'worker' in review && review.worker === 'codex' ? 1 : 0;
  const warnings = reviewWarnings(tasks, { agents, review: { ...REVIEW, ...review } });
  expect(warnings).toHaveLength(count + others);
});
