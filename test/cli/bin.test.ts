/** The installed entry point, in copies of it: whatever is beside the bundle, forge starts or says why it cannot. */

import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { codeCache } from '../../src/lib/fs/code-cache.ts';
import { environment, folder, project } from '../support/cli.ts';
import { until } from '../support/processes.ts';

const REPO = join(import.meta.dirname, '../..');
let built: string;

beforeAll(() => {
  built = folder();
  for (const part of ['bin', 'dist/cli', 'package.json']) {
    cpSync(join(REPO, part), join(built, part), { recursive: true });
  }
});

/** A copy of the installed package, to be damaged. */
function copy(): string {
  const dir = folder();
  cpSync(built, dir, { recursive: true });
  return dir;
}

function start(bin: string, args: readonly string[], { cwd = folder(), node = [] as string[] } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node, bin, ...args], {
    cwd,
    encoding: 'utf8',
    env: environment(),
  });
  return { status, stdout, stderr };
}

const WHY = ['orchestrate', 'why', 'a', '--json'];

/** The code that a call of `why` has left in a cache of its own; `again` makes that call again, and says for each file that it loads whether V8 has refused its code; null: it had none. */
function codeOf(dir: string, cwd = project(['id: a, title: A'])) {
  const cache = folder();
  const env = { ...environment(), XDG_CACHE_HOME: cache };
  const call = (args: readonly string[], node: readonly string[] = []) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...node, join(dir, 'bin/forge.cjs'), ...args], {
      cwd,
      encoding: 'utf8',
      env,
    });
    return { status, stdout, stderr };
  };
  const answer = call(WHY);
  expect(answer).toMatchObject({ status: 0, stderr: '' });
  const below = readdirSync(cache, { recursive: true, encoding: 'utf8' });
  const files = () => below.filter((name) => /code-[^/]*\/./.test(name)).map((name) => join(cache, name));
  const watch = join(
    folder({
      'watch.cjs': `
        const vm = require('node:vm');
        const refused = [];
        vm.Script = class extends vm.Script {
          constructor(...given) {
            super(...given);
            refused.push(this.cachedDataRejected ?? null);
          }
        };
        process.once('exit', () => require('node:fs').writeSync(2, JSON.stringify(refused)));`,
    }),
    'watch.cjs',
  );
  const again = (): (boolean | null)[] => {
    const { stdout, stderr } = call(WHY, ['--require', watch]);
    expect(stdout).toBe(answer.stdout);
    return JSON.parse(stderr);
  };
  return { cache, files, again, call };
}

describe('the code that V8 has compiled', () => {
  it('is kept for the next call of the same verb', () => {
    const { files, again } = codeOf(built);
    expect(files().map((file) => basename(file))).toEqual(['why']);
    expect(new Set(again())).toEqual(new Set([false]));
  });

  it.each<[string, (file: string) => void]>([
    ['missing', (file) => rmSync(file)],
    ['empty', (file) => writeFileSync(file, '')],
    ['cut within its first line', (file) => writeFileSync(file, readFileSync(file).subarray(0, 10))],
    ['text', (file) => writeFileSync(file, 'not a cache\n'.repeat(500))],
    [
      'a folder',
      (file) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
    [
      'a link',
      (file) => {
        renameSync(file, `${file}.real`);
        symlinkSync(`${file}.real`, file);
      },
    ],
    ['writable for others', (file) => chmodSync(file, 0o666)],
    ['in a folder that is writable for others', (file) => chmodSync(dirname(file), 0o777)],
  ])('is not used where it is %s, and forge starts all the same', (_, spoil) => {
    const { files, again } = codeOf(built);
    for (const file of files()) spoil(file);
    expect(new Set(again())).toEqual(new Set([null]));
  });

  it.each<[string, (file: string) => void]>([
    ['a block of it is lost', (file) => writeFileSync(file, readFileSync(file).fill(0, 4096, 8192))],
    ['it is cut', (file) => writeFileSync(file, readFileSync(file).subarray(0, -1))],
  ])('is not used where %s, and made again', (_, spoil) => {
    const { files, again, call } = codeOf(built);
    for (const file of files()) spoil(file);
    expect(new Set(again())).toEqual(new Set([null]));
    expect(call(WHY).status).toBe(0);
    expect(new Set(again())).toEqual(new Set([false]));
  });

  it('is refused by V8 where another V8 has made it, and made again', () => {
    const { cache, files, again, call } = codeOf(built);
    const [file = ''] = files();
    const kept = codeCache({ XDG_CACHE_HOME: cache }, basename(dirname(file)).replace('code-', ''), basename(file));
    kept.save(new Map([...kept.kept].map(([name, code]) => [name, ofAnotherV8(code)])));
    expect(again()).toContain(true);
    expect(call(WHY).status).toBe(0);
    expect(new Set(again())).toEqual(new Set([false]));
  });

  it('of another build is not used', () => {
    const { files, again } = codeOf(built);
    for (const file of files()) {
      const other = dirname(file).replace(/code-[0-9a-f]+/, 'code-0000000000000000');
      renameSync(dirname(file), other);
    }
    expect(new Set(again())).toEqual(new Set([null]));
  });

  it('is kept for no word that is no verb, and not where options of Node may change how V8 compiles', () => {
    const { cache, call } = codeOf(built);
    const kept = () => readdirSync(cache, { recursive: true, encoding: 'utf8' }).map((name) => basename(name));
    expect(call(['orchestrate', 'nothing']).status).not.toBe(0);
    expect(call(['orchestrate', 'status'], ['--no-lazy']).status).toBe(0);
    expect(kept()).toContain('why');
    expect(kept()).not.toEqual(expect.arrayContaining(['nothing']));
    expect(kept()).not.toEqual(expect.arrayContaining(['status']));
  });
});

/** V8 writes a hash of its version behind the magic number. Source: V8, src/snapshot/code-serializer.h, SerializedCodeData. */
function ofAnotherV8(code: Buffer): Buffer {
  const foreign = Buffer.from(code);
  foreign.writeUInt32LE((foreign.readUInt32LE(4) ^ 0xffff_ffff) >>> 0, 4);
  return foreign;
}

describe('forge that cannot start', () => {
  /** A line for Node to run first, in a file of its own. */
  const pretending = (line: string) => ['--require', join(folder({ 'pretend.cjs': line }), 'pretend.cjs')];

  it('forge without a build says how to build it', () => {
    const dir = copy();
    rmSync(join(dir, 'dist'), { recursive: true });
    expect(start(join(dir, 'bin/forge.cjs'), ['orchestrate', 'status'])).toEqual({
      status: 1,
      stdout: '',
      stderr: 'forge is not built. Run `npm run build` in its folder.\n',
    });
  });

  it.each([
    [
      'Node is too old',
      "Object.defineProperty(process, 'versions', { value: { node: '20.18.3' } });",
      '20.19 or newer',
    ],
    ['it is Windows', "Object.defineProperty(process, 'platform', { value: 'win32' });", 'does not support Windows'],
  ])('forge reports that it cannot start because %s', (_, line, message) => {
    const node = pretending(line);
    const { status, stdout, stderr } = start(join(built, 'bin/forge.cjs'), ['--version'], { node });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

it('forge starts through a symlink, from any folder', () => {
  const link = join(folder(), 'a forge');
  symlinkSync(join(built, 'bin/forge.cjs'), link);
  const { version } = JSON.parse(readFileSync(join(REPO, 'package.json'), 'utf8'));
  expect(start(link, ['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

it('forge-orchestrate is forge orchestrate, and FORGE_CLI calls it where another forge is first on PATH', () => {
  const place = join(folder(), 'a place');
  cpSync(built, place, { recursive: true });
  const cwd = project([`id: a, title: A, run: 'forge; "$FORGE_CLI" --version > version'`], {
    'other/forge': '#!/bin/sh\necho other > called\n',
  });
  chmodSync(join(cwd, 'other/forge'), 0o755);
  const env = { ...environment(), PATH: `${join(cwd, 'other')}:${process.env['PATH']}` };
  const args = [join(place, 'bin/forge-orchestrate.cjs'), 'run', '--json'];
  expect(spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env }).status).toBe(0);
  expect(readFileSync(join(cwd, 'called'), 'utf8')).toBe('other\n');
  expect(readFileSync(join(cwd, 'version'), 'utf8')).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it('a command that finds plan and settings in the cache does not load the YAML parser', () => {
  const cwd = project(['id: a, title: A, run: "true"'], { '.forge/settings.yaml': 'version: 1\n' });
  const env = { ...environment(), XDG_CACHE_HOME: folder() };
  const program = `
    const { loader } = require(${JSON.stringify(join(built, 'dist/cli/start.cjs'))});
    const load = loader(${JSON.stringify(join(built, 'dist/cli'))}, new Map());
    load('./main.cjs')
      .main({ argv: ['orchestrate', 'why', 'a'], version: () => '' })
      .then(() => console.error(JSON.stringify([...load.compiled().keys()])));`;
  const loadsYaml = () => {
    const { stderr } = spawnSync(process.execPath, ['-e', program], { cwd, encoding: 'utf8', env });
    const loaded = (JSON.parse(stderr) as string[]).map((name) => readFileSync(join(built, 'dist/cli', name), 'utf8'));
    return loaded.some((text) => text.includes('YAMLException'));
  };
  expect([loadsYaml(), loadsYaml()]).toEqual([true, false]);
});

it('a run goes on with what it was started with when forge is removed meanwhile, and any other command says so', async () => {
  const dir = copy();
  const cwd = project([
    `id: a, title: A, run: "touch begun; until test -e go; do sleep 0.02; done", verify: ["true"]`,
    'id: b, title: B, run: "exit 3", retry: {max_attempts: 1}',
  ]);
  const run = spawn(process.execPath, [join(dir, 'bin/forge.cjs'), 'orchestrate', 'run'], {
    cwd,
    env: environment(),
  });
  const ended = new Promise((resolve) => run.once('close', resolve));
  await until('the worker runs', () => existsSync(join(cwd, 'begun')));
  rmSync(join(dir, 'dist'), { recursive: true });
  writeFileSync(join(cwd, 'go'), '');
  let said = '';
  run.stdout.on('data', (text) => {
    said += text;
  });
  expect(await ended).toBe(1);
  expect(said).toContain('✓ a');
  expect(said).toContain('✗ failed');
});

it.each(['show', 'base', 'common', 'main'])('a file of forge that is gone (%s) is named, with what to do', (which) => {
  const dir = copy();
  for (const name of readdirSync(join(dir, 'dist/cli')))
    if (name.startsWith(`${which}-`) || name === `${which}.cjs`) rmSync(join(dir, 'dist/cli', name));
  const { status, stderr } = start(join(dir, 'bin/forge.cjs'), ['orchestrate', 'show', 'a'], {
    cwd: project(['id: a, title: A']),
  });
  expect(status).toBe(1);
  expect(stderr.replace(/\s+/g, ' ')).toMatch(
    /^error\[IO_ERROR\]: .* a file of forge itself, is gone: forge was replaced or removed while it ran hint: Start the command again\. $/,
  );
});
