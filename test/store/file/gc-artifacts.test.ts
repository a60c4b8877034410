/** What gc reads of a task's attempts, whatever is in its folder. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { freshRecord } from '../../../src/domain/task/records.ts';
import { attemptsOf } from '../../../src/store/file/gc-files.ts';
import { emptyFolder, id, Tree } from '../../support/store/tree.ts';

const CURRENT = id(1);
const OTHER = id(2);

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

const at = (...names: string[]) => tree.at('build', 'attempts', ...names);
const fresh = freshRecord('build', '2030-01-01T00:00:00.000Z');
const seen = (current: string | null = CURRENT) =>
  attemptsOf(tree.layout, 'build', { ...fresh, state: { ...fresh.state, current_attempt_id: current } });
const logOf = (attempt: string) => tree.write(at(attempt, 'logs', 'stdout.log'), '');

/** What was found, in a line an attempt. */
const found = (current: string | null = CURRENT) =>
  seen(current)
    .map(({ attempt_id, verdict, verified, questions, answers }) => {
      const which = attempt_id === CURRENT ? 'current' : attempt_id === OTHER ? 'other' : attempt_id;
      return `${which}: ${verdict} ${verified} ${questions.length} ${answers.length}`;
    })
    .sort();

describe('attempts seen by gc', () => {
  test('gc sees no attempts without a folder or in an empty one', () => {
    expect(found()).toEqual([]);
    fs.mkdirSync(at(), { recursive: true });
    expect(found()).toEqual([]);
  });

  test.each<[string, (() => void)[], string[]]>([
    ['the current one alone', [() => logOf(CURRENT)], ['current: null false 0 0']],
    ['another one alone', [() => logOf(OTHER)], ['other: null false 0 0']],
    ['both', [() => logOf(CURRENT), () => logOf(OTHER)], ['current: null false 0 0', 'other: null false 0 0']],
    [
      'the current one beside a file and a folder of another name, which is a stray',
      [() => logOf(CURRENT), () => tree.write(at('notes.txt'), ''), () => fs.mkdirSync(at('notes'))],
      ['current: null false 0 0', 'notes: stray false 0 0'],
    ],
    [
      'another one beside a symlink in place of the current one',
      [() => logOf(OTHER), () => fs.symlinkSync(emptyFolder(), at(CURRENT))],
      [': stray false 0 0', 'other: null false 0 0'],
    ],
    [
      'another one beside a file in place of the current one',
      [() => logOf(OTHER), () => tree.write(at(CURRENT), '')],
      [': stray false 0 0', 'other: null false 0 0'],
    ],
  ])('gc sees the attempts: %s', (_what, made, lines) => {
    for (const make of made) make();
    expect(found()).toEqual(lines);
  });

  test('gc sees the same attempts whichever is current', () => {
    logOf(CURRENT);
    logOf(OTHER);
    for (const current of [CURRENT, OTHER, id(3), 'no id', null]) expect(seen(current)).toHaveLength(2);
    fs.rmSync(at(OTHER), { recursive: true });
    for (const current of [CURRENT, OTHER, id(3), 'no id', null]) expect(seen(current)).toHaveLength(1);
  });

  test.each([CURRENT, OTHER])('gc reads questions and answers of attempt %s', (attempt) => {
    logOf(CURRENT);
    tree.write(at(attempt, 'questions', `${id(7)}.json`), {});
    tree.write(at(attempt, 'answers', `${id(8)}.json`), {});
    const one = seen().find(({ attempt_id }) => attempt_id === attempt);
    expect(one?.questions).toMatchObject([{ question_id: id(7), status: null }]);
    expect(one?.answers).toMatchObject([{ question_id: id(8), option_id: undefined }]);
  });

  test('gc reads the verdict of the current attempt until it has a twin', () => {
    const verdict = { version: 1, verdict: 'ready_for_review', summary: '' };
    tree.write(at(CURRENT, 'verdict.json'), verdict);
    tree.write(at(OTHER, 'verdict.json'), verdict);
    expect(found()).toEqual(['current: ready_for_review false 0 0', 'other: null false 0 0']);
    tree.write(at(CURRENT, 'verdict.json'), 'no verdict');
    expect(found()).toEqual(['current: unreadable false 0 0', 'other: null false 0 0']);
    tree.write(at(CURRENT, 'verdict.verified.json'), '');
    expect(found()).toEqual(['current: null true 0 0', 'other: null false 0 0']);
  });

  test.each(['', CURRENT, `${CURRENT}/questions`, `${CURRENT}/answers`])(
    'gc does not follow a symlink in attempts/%s',
    (name) => {
      const place = at(name);
      tree.write(at(CURRENT, 'questions', `${id(7)}.json`), {});
      tree.write(at(CURRENT, 'answers', `${id(7)}.json`), {});
      const outside = `${emptyFolder()}/moved`;
      fs.renameSync(place, outside);
      fs.symlinkSync(outside, place);
      const strays = seen().filter(({ verdict }) => verdict === 'stray');
      expect(strays).toMatchObject([{ attempt_id: '', verdict_path: path.join('attempts', name) }]);
      const documents = seen().flatMap(({ questions, answers }) => [...questions, ...answers]);
      expect(documents).toHaveLength(name.includes('/') ? 1 : 0);
    },
  );
});
