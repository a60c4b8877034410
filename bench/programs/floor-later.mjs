/**
 * The least that a look at an unchanged tree can be: reads what an earlier look has kept, checks that all it was read from is as it was, and prints
 * the summaries. It makes no plan, no row and no comparison of its own.
 *
 * usage: node floor-later.mjs CACHE TASKS. CACHE: the cache file of the tree, in the format of src/store/file/snapshot-cache.ts.
 */

import fs from 'node:fs';

const [cache, tasks] = process.argv.slice(2);
// Behind the line that says whose it is, and the one that lists the tasks.
const lines = fs.readFileSync(cache, 'utf8').split('\n').slice(2, -1);
const summaries = lines.map((line) => {
  const [taskId, stamps, , , record] = JSON.parse(line);
  const folder = `${tasks}/${taskId.replaceAll('/', '+')}`;
  for (const [path, inode, changedMs] of stamps) {
    const stat = fs.lstatSync(folder + path, { throwIfNoEntry: false });
    if (stat?.ino !== inode || Math.trunc(stat.ctimeMs) !== changedMs) throw new Error(`${folder}${path} has changed`);
  }
  return record;
});
process.stdout.write(`${JSON.stringify(summaries)}\n`);
