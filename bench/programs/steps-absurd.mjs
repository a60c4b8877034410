/**
 * A task of Absurd whose steps do nothing, and which then fails, so that another attempt comes to them again.
 *
 * usage: node steps-absurd.mjs DATABASE COUNT [first], in a folder with its packages. Prints, as JSON, milliseconds from asking for work until
 * the last step is passed.
 */

import { Absurd } from 'absurd-sdk';

const [database, count, first] = process.argv.slice(2);
const quiet = () => {};
const app = new Absurd({ db: database, log: { log: quiet, info: quiet, warn: quiet, error: quiet } });
let took;
let start;
app.registerTask({ name: 'steps' }, async (_, context) => {
  for (let index = 0; index < Number(count); index++) await context.step(`step-${index}`, async () => index);
  took = performance.now() - start;
  throw new Error('once more');
});
if (first !== undefined) {
  await app.createQueue('default');
  await app.spawn('steps', {}, { maxAttempts: 1000, retryStrategy: { kind: 'none' } });
}
start = performance.now();
await app.workBatch();
await app.close();
process.stdout.write(`${JSON.stringify({ took })}\n`);
