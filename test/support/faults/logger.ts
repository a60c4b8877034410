/** Writes lines to a project's log when it is told to. Its first argument names the project, itself and the size to rotate at. */

import { createInterface } from 'node:readline';
import { layoutOf } from '../../../src/store/file/tree.ts';
import { journalIn } from '../../../src/store/journal.ts';

const { dir, name, maxBytes } = JSON.parse(process.argv[2] ?? '') as { dir: string; name: string; maxBytes: number };
const journal = journalIn(layoutOf(dir), () => Date.now(), maxBytes);

console.log(JSON.stringify('ready'));
let written = 0;
for await (const _line of createInterface({ input: process.stdin })) {
  const message = `${name}-${written++}`;
  await journal([{ type: 'warning', task_id: 'a', message }]);
  console.log(JSON.stringify(message));
}
