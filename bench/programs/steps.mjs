/**
 * A worker whose steps do nothing.
 *
 * usage: node steps.mjs LIBRARY COUNT [bare]. The task and the attempt come from FORGE_*. `bare`: loads the library, and has a loop in place
 * of steps. Prints, as JSON, milliseconds from the first step to the last (`took`), and of each 1,000 (`wall`, `cpu`).
 */

import { pathToFileURL } from 'node:url';

const [library, count, bare] = process.argv.slice(2);
const { worker } = await import(pathToFileURL(library).href);
const cpuMs = () => Object.values(process.cpuUsage()).reduce((sum, us) => sum + us / 1000, 0);
const pass = bare === undefined ? (index) => worker.step(`step-${index}`, () => index) : async () => {};

const [wall, cpu] = [[performance.now()], [cpuMs()]];
for (let index = 0; index < Number(count); index++) {
  await pass(index);
  if ((index + 1) % 1000 !== 0) continue;
  wall.push(performance.now());
  cpu.push(cpuMs());
}
const took = performance.now() - wall[0];
const each = (times) => times.slice(1).map((time, index) => time - times[index]);
process.stdout.write(`${JSON.stringify({ took, wall: each(wall), cpu: each(cpu) })}\n`);
