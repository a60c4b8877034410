/** The least that a look at a state tree can be: reads and parses state and lease of every task. usage: bare-read.mjs TASKS */

import fs from 'node:fs';

const [tasks] = process.argv.slice(2);
let read = 0;
for (const id of fs.readdirSync(tasks)) {
  for (const name of ['state.json', 'lease.json']) {
    const file = `${tasks}/${id}/${name}`;
    // A task that nobody works on has no lease; asking first is cheaper than an exception.
    if (name === 'lease.json' && !fs.existsSync(file)) continue;
    if (typeof JSON.parse(fs.readFileSync(file, 'utf8')).task_id === 'string') read++;
  }
}
if (read === 0) process.exitCode = 1;
