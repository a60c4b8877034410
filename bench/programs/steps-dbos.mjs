/**
 * A workflow of DBOS whose steps do nothing. Its process ends behind the last of them, so the next one recovers it.
 *
 * usage: node steps-dbos.mjs DATABASE COUNT [first], in a folder with its packages. Prints, as JSON, milliseconds from asking for work until
 * the last step is passed.
 */

import { DBOS } from '@dbos-inc/dbos-sdk';

const [database, count, first] = process.argv.slice(2);
let start;
const steps = DBOS.registerWorkflow(
  async () => {
    for (let index = 0; index < Number(count); index++)
      await DBOS.runStep(async () => index, { name: `step-${index}` });
    const took = performance.now() - start;
    process.stdout.write(`${JSON.stringify({ took })}\n`, () => process.exit(0));
    await new Promise(() => {});
  },
  { name: 'steps' },
);
DBOS.setConfig({ name: 'bench', systemDatabaseUrl: database, logLevel: 'error', applicationVersion: '1' });
start = performance.now();
await DBOS.launch();
if (first !== undefined) {
  start = performance.now();
  await DBOS.startWorkflow(steps)();
}
