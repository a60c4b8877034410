/**
 * The floor under `forge orchestrate run`: what the promises alone cost, with nothing that decides.
 *
 * usage: node bare-run.mjs FOLDER COUNT [commits] [workers]
 *
 * Two lanes. For each task: with `commits` a durable file is made before and one after (write, fsync, link, fsync of the
 * folder), with `workers` a `sh -c true` runs in between.
 */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { promisify } from 'node:util';

const [folder, count, ...parts] = process.argv.slice(2);
const fsync = promisify(fs.fsync);
const record = `${JSON.stringify({ filler: 'x'.repeat(900) })}\n`;
let next = 0;

for (let index = 0; index < Number(count); index++) fs.mkdirSync(`${folder}/${index}`);
await Promise.all([lane(), lane()]);

async function lane() {
  while (next < Number(count)) {
    const dir = `${folder}/${next++}`;
    if (parts.includes('commits')) await commit(dir, 'v1.json');
    if (parts.includes('workers')) await work();
    if (parts.includes('commits')) await commit(dir, 'v2.json');
  }
}

async function commit(dir, name) {
  const fd = fs.openSync(`${dir}/tmp`, 'wx', 0o600);
  fs.writeSync(fd, record);
  await fsync(fd);
  fs.closeSync(fd);
  fs.linkSync(`${dir}/tmp`, `${dir}/${name}`);
  const held = fs.openSync(dir, 'r');
  await fsync(held);
  fs.closeSync(held);
  fs.unlinkSync(`${dir}/tmp`);
}

function work() {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', 'true'], { stdio: 'ignore' });
    child.on('exit', resolve);
    child.on('error', reject);
  });
}
