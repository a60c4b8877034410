/** A PostgreSQL with its defaults, so it waits for the disk, and with its data in a scratch folder. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { scratchFolder } from './scratch.mjs';

/** Debian keeps the programs of each version out of PATH. */
const FOLDERS = '/usr/lib/postgresql';

function programsFolder() {
  const versions = fs.existsSync(FOLDERS) ? fs.readdirSync(FOLDERS).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => path.join(FOLDERS, version, 'bin')).find((dir) => fs.existsSync(`${dir}/initdb`));
}

/** PostgreSQL refuses to run as root; Debian's package makes a user for it. */
function owner() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/**
 * Starts a server with these databases; null where PostgreSQL is not installed. `url(database)`: where it is. `load(database, file)`: runs a
 * file of SQL. `stop()` ends it.
 */
export async function startPostgres(databases) {
  const bin = programsFolder();
  if (bin === undefined) return null;
  const home = scratchFolder('postgres');
  const user = owner();
  if (user.uid !== undefined) fs.chownSync(home, user.uid, user.gid);
  const call = (program, ...args) =>
    execFileSync(path.join(bin, program), args, { cwd: home, stdio: ['ignore', 'ignore', 'pipe'], ...user });
  call('initdb', '-D', `${home}/data`, '-A', 'trust', '-U', 'bench');
  const port = await freePort();
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''`;
  call('pg_ctl', '-D', `${home}/data`, '-l', `${home}/log`, '-o', options, '-w', 'start');
  const url = (database) => `postgresql://bench@127.0.0.1:${port}/${database}`;
  const psql = (database, ...args) => call('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url(database), ...args);
  for (const database of databases) psql('postgres', '-c', `CREATE DATABASE ${database}`);
  return {
    url,
    load: (database, file) => psql(database, '-f', file),
    stop: () => void call('pg_ctl', '-D', `${home}/data`, '-m', 'fast', '-w', 'stop'),
  };
}

/** One on which nothing listens now. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
