/**
 * Other programs for durable steps, to compare with. They are no dependencies: each is installed into a scratch folder by npm, and keeps its
 * state in a PostgreSQL of this machine.
 */

import fs from 'node:fs';
import path from 'node:path';
import { installed } from './npm.mjs';
import { startPostgres } from './postgres.mjs';

const OTHERS = {
  DBOS: { packages: ['@dbos-inc/dbos-sdk@5.3.0'], program: 'steps-dbos.mjs', sql: () => null },
  // The package comes without the tables that it needs.
  Absurd: { packages: ['absurd-sdk@0.4.0', 'pg@8'], program: 'steps-absurd.mjs', sql: ({ absurdSql }) => absurdSql },
};
export const OTHER_NAMES = Object.keys(OTHERS);

/**
 * Makes each ready to be measured, and calls `measure` with its name and the file to run, and `database(number)`: the URL of an own database.
 * One that can't be had is left out, with a word. `files.absurdSql`: the file that makes the tables of Absurd.
 */
export async function withOthers(files, rounds, measure) {
  const databasesOf = (name) => Array.from({ length: rounds }, (_, round) => `${name.toLowerCase()}_${round}`);
  const server = await startPostgres(OTHER_NAMES.flatMap(databasesOf));
  if (server === null) return leftOut(OTHER_NAMES.join(', '), 'PostgreSQL is not installed');
  try {
    for (const [name, { packages, program, sql }] of Object.entries(OTHERS)) {
      const file = sql(files);
      if (file === undefined) {
        leftOut(name, 'its tables are needed: --absurd-sql FILE, which is sql/absurd.sql of its repository');
        continue;
      }
      const started = install(packages, program);
      if (started === null) continue;
      if (file !== null) for (const database of databasesOf(name)) server.load(database, path.resolve(file));
      await measure(name, started, (round) => server.url(databasesOf(name)[round]));
    }
  } finally {
    server.stop();
  }
}

function leftOut(name, why) {
  console.log(`  ${name} is left out: ${why}`);
}

/** The program, in a folder with its packages; null where npm can't install them. */
function install(packages, program) {
  const cwd = installed(packages);
  if (cwd === null) return null;
  fs.copyFileSync(path.join(import.meta.dirname, '..', 'programs', program), path.join(cwd, program));
  return path.join(cwd, program);
}
