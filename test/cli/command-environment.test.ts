/** Which FORGE_ variables each kind of command gets: the table of spec/ORCHESTRATOR.md. */

import fs from 'node:fs';
import { expect, it } from 'vitest';
import { finishing, WORK } from '../support/finishing.ts';

const KINDS = ['worker', 'verification', 'review', 'verification of a merge'];

/** Names of variables by kind of command, as the spec has them. */
function specified(): Record<string, string[]> {
  const text = fs.readFileSync(new URL('../../spec/ORCHESTRATOR.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| (FORGE_[A-Z_]+) \| [^|]+ \| (.+) \|$/gm)].map(([, name, given]) => ({
    name: name ?? '',
    given: given?.split(' | ') ?? [],
  }));
  return Object.fromEntries(
    KINDS.map((kind, column) => [kind, rows.flatMap(({ name, given }) => (given[column] === 'yes' ? [name] : []))]),
  );
}

const NOTE = "env | sed -n 's/^\\(FORGE_[A-Z_]*\\)=.*/\\1/p' | sort >";

it('a worker, its verification, its review, the verification of its merge and its setups get the variables that the spec lists', async () => {
  const { at, forge, read, state } = finishing(
    [
      `id: a, title: A, run: 'sh "$FORGE_DIR/note.sh" worker; ${WORK}', verify: ['sh "$FORGE_DIR/note.sh" check$FORGE_PHASE']`,
    ],
    'review: {command: \'sh "$FORGE_DIR/note.sh" review; echo "{\\"verdict\\": \\"pass\\"}" > "$FORGE_REVIEW_FILE"\'}\nship: {policy: merge}\nagents: {setup: \'sh "$FORGE_DIR/note.sh" setup$FORGE_PHASE\'}',
    { 'note.sh': `${NOTE} "$FORGE_DIR/.forge/told-$1"\n` },
  );
  expect(await forge('run', '--json'), at).toMatchObject({ code: 0 });
  expect(await state('a')).toMatchObject({ state: 'shipped' });
  const files = ['worker', 'check', 'review', 'checkship'];
  const told = files.map((name) => read(`told-${name}`).trim().split('\n'));
  const expected = specified();
  for (const setup of ['setupimplement', 'setupship'])
    expect(read(`told-${setup}`).trim().split('\n')).toEqual(expected['verification of a merge']?.toSorted());
  expect(Object.fromEntries(KINDS.map((kind, at) => [kind, told[at]]))).toEqual(
    Object.fromEntries(KINDS.map((kind) => [kind, expected[kind]?.toSorted()])),
  );
});
