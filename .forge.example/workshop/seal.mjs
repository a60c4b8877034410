// seal.mjs FOLDER          writes FOLDER/SHA256SUMS, which `sha256sum -c` reads too
// seal.mjs --check FOLDER  compares the files with it; exit 1 when one was changed, is missing or is new

import fs from 'node:fs';
import path from 'node:path';
import { fail, read, sha256, write } from './lib.mjs';

const check = process.argv[2] === '--check';
const folder = process.argv.at(-1);
const list = path.join(folder, 'SHA256SUMS');

const files = fs
  .readdirSync(folder, { recursive: true })
  .filter((name) => fs.statSync(path.join(folder, name)).isFile())
  .filter((name) => name !== 'SHA256SUMS' && !name.endsWith('.tar.gz'))
  .sort();
const sums = files.map((name) => `${sha256(fs.readFileSync(path.join(folder, name)))}  ${name}\n`).join('');

if (!check) write(list, sums);
else if (read(list) !== sums) fail(1, `${folder} is not what ${list} says`);
console.log(`${files.length} files in ${folder} ${check ? 'are as they were sealed' : 'sealed'}`);
