/** Reading a tracker file. */

import { describe, expect, it } from 'vitest';
import { parseTrackerFile } from '../../src/trackers/file/document.ts';

function problemsOf(text: string): string[] {
  const parsed = parseTrackerFile(text, 'tracker.yaml');
  if (parsed.ok) throw new Error('it was read');
  return parsed.problems.map(({ message, place }) => `${place.line ?? '-'}: ${message}`);
}

describe('tracker file', () => {
  it('a tracker file is read as issues in order, with unknown keys', () => {
    const text = `
owner: ann
issues:
  - id: 12
    task_id: build
    title: Build it
    state: in_progress
    claimed_by: run-1
    labels: [a, b]
  - {id: B-2, state: open, task_id: null, claimed_by: }
`;
    const parsed = parseTrackerFile(text, 'tracker.yaml');
    expect(parsed).toMatchObject({
      ok: true,
      issues: [
        { id: '12', task_id: 'build', state: 'in_progress', claimed_by: 'run-1' },
        { id: 'B-2', task_id: null, state: 'open', claimed_by: null },
      ],
    });
  });

  it('a tracker file keeps numbers as they are spelled', () => {
    const parsed = parseTrackerFile('issues: [{id: 1.10, state: open}, {id: 1.1, state: open}]', 'tracker.yaml');
    expect(parsed).toMatchObject({ ok: true, issues: [{ id: '1.10' }, { id: '1.1' }] });
  });

  it.each([
    ['', 'nothing'],
    ['# later', 'a comment'],
    ['issues:', 'no list'],
    ['issues: []', 'an empty list'],
  ])('a tracker file %j (%s) has no issues', (text) => {
    expect(parseTrackerFile(text, 'tracker.yaml')).toMatchObject({ ok: true, issues: [] });
  });

  it.each([
    ['issues: [', ['1: not valid YAML: unexpected end of the stream within a flow collection']],
    ['- id: 1', ['1: expected a mapping, found a list']],
    ['issues: {a: 1}', ['1: issues: expected a list, found a mapping']],
    ['issues:\n  - id: 1\n', ['2: issues[0]: "state" is missing']],
    ['issues:\n  - state: open\n', ['2: issues[0]: "id" is missing']],
    [
      'issues:\n  - id: 1\n    state: opened\n',
      ['3: issues[0].state: expected open, in_progress, in_review, done or cancelled, found text "opened"'],
    ],
    [
      'issues:\n  - id: 1\n    state: open\n    claimed_by: [x]\n',
      ['4: issues[0].claimed_by: expected text or a number, found a list'],
    ],
    [
      'issues:\n  - {id: 1, state: open}\n  - {id: "1", state: done}\n',
      ['3: issue "1" is given twice (first in line 2)'],
    ],
  ])('an invalid tracker file is refused with the place: %j', (text, problems) => {
    const found = problemsOf(text);
    expect(found).toHaveLength(problems.length);
    for (const [i, problem] of problems.entries()) expect(found[i]?.slice(0, 40)).toBe(problem.slice(0, 40));
  });
});
