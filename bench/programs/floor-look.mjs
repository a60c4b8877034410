/**
 * The least that a first look can be: lists the folders of each task and its attempts, where anything may lie, reads its newest record, asks
 * for the times by which the next look knows both again, and reads the plan by js-yaml alone. usage: floor-look.mjs TASKS PLAN
 */

import fs from 'node:fs';
import { load } from 'js-yaml';

const [tasks, plan] = process.argv.slice(2);
let found = 0;
for (const id of fs.readdirSync(tasks)) {
  const task = `${tasks}/${id}`;
  const names = fs.readdirSync(task);
  const versions = names.filter((name) => /^v\d+\.json$/.test(name)).sort();
  const read = versions.length > 0 ? versions.slice(-1) : names.filter((name) => name.endsWith('.json'));
  for (const name of read) if (JSON.parse(fs.readFileSync(`${task}/${name}`, 'utf8')) !== null) found++;
  for (const name of ['', '/state.json']) fs.lstatSync(task + name);
  if (!names.includes('attempts')) continue;
  fs.lstatSync(`${task}/attempts`);
  for (const attempt of fs.readdirSync(`${task}/attempts`)) {
    fs.lstatSync(`${task}/attempts/${attempt}`);
    found += fs.readdirSync(`${task}/attempts/${attempt}`).length;
  }
}
if (load(fs.readFileSync(plan, 'utf8')) === null || found === 0) process.exitCode = 1;
