/** The installed entry point, in copies of it: whatever is beside the bundle, forge starts or says why it cannot. */

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
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

/** Paths of the code caches of a copy. */
function caches(dir: string): string[] {
  const names = readdirSync(join(dir, 'dist/cli')).filter((name) => name.endsWith('.cache'));
  return names.map((name) => join(dir, 'dist/cli', name));
}

/** Whether V8 has refused the cache of each file that a start loads; null where there was none. */
function refusals(dir: string): (boolean | null)[] {
  const program = `
    const scripts = new Map();
    require(${JSON.stringify(join(dir, 'bin/forge.cjs'))}).loader(${JSON.stringify(join(dir, 'dist/cli'))}, scripts)('./main.cjs');
    console.log(JSON.stringify([...scripts.values()].map((script) => script.cachedDataRejected ?? null)));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', env: environment() });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

describe('the code cache beside the bundle', () => {
  it('the code cache is used as the build wrote it', () => {
    const taken = refusals(copy());
    expect(taken.length).toBeGreaterThan(0);
    expect(new Set(taken)).toEqual(new Set([false]));
  });

  it.each<[string, (file: string, others: readonly Buffer[]) => void, boolean | null]>([
    ['missing', (file) => rmSync(file), null],
    ['empty', (file) => writeFileSync(file, ''), true],
    ['cut', (file) => writeFileSync(file, readFileSync(file).subarray(0, -100)), true],
    ['cut within its header', (file) => writeFileSync(file, readFileSync(file).subarray(0, 10)), true],
    ['text', (file) => writeFileSync(file, 'not a cache\n'.repeat(500)), true],
    ['that of another file', (file, others) => writeFileSync(file, otherThan(readFileSync(file), others)), true],
    ['of another V8', (file) => writeFileSync(file, ofAnotherV8(readFileSync(file))), true],
  ])('forge starts when the code cache is %s', (_, damage, refused) => {
    const dir = copy();
    const files = caches(dir);
    const before = files.map((file) => readFileSync(file));
    for (const file of files) damage(file, before);
    expect(new Set(refusals(dir))).toEqual(new Set([refused]));
    const cwd = project(['id: a, title: A, run: "true"']);
    const bin = join(dir, 'bin/forge.cjs');
    expect(start(bin, ['orchestrate', 'run', '--json'], { cwd })).toMatchObject({ status: 0, stderr: '' });
    const { stdout, stderr, status } = start(bin, ['orchestrate', 'status', '--json'], { cwd });
    expect({ stderr, status, counts: JSON.parse(stdout).data.counts }).toEqual({
      stderr: '',
      status: 0,
      counts: { shipped: 1 },
    });
  });
});

function otherThan(own: Buffer, all: readonly Buffer[]): Buffer {
  const other = all.find((cache) => !cache.equals(own));
  if (other === undefined) throw new Error('there is only one cache');
  return other;
}

/** V8 writes a hash of its version behind the magic number. Source: V8, src/snapshot/code-serializer.h, SerializedCodeData. */
function ofAnotherV8(cache: Buffer): Buffer {
  const foreign = Buffer.from(cache);
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
    const scripts = new Map();
    const { loader, version } = require(${JSON.stringify(join(built, 'bin/forge.cjs'))});
    loader(${JSON.stringify(join(built, 'dist/cli'))}, scripts)('./main.cjs')
      .main({ argv: ['orchestrate', 'why', 'a'], version })
      .then(() => console.error(JSON.stringify([...scripts.keys()])));`;
  const loadsYaml = () => {
    const { stderr } = spawnSync(process.execPath, ['-e', program], { cwd, encoding: 'utf8', env });
    return (JSON.parse(stderr) as string[]).some((file) => readFileSync(file, 'utf8').includes('YAMLException'));
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

it('a file of forge that is gone is named as one', () => {
  const dir = copy();
  for (const name of readdirSync(join(dir, 'dist/cli')))
    if (/^show-.*\.cjs$/.test(name)) rmSync(join(dir, 'dist/cli', name));
  const { status, stderr } = start(join(dir, 'bin/forge.cjs'), ['orchestrate', 'show', 'a'], {
    cwd: project(['id: a, title: A']),
  });
  expect(status).toBe(1);
  expect(stderr.replace(/\s+/g, ' ')).toContain(
    'a file of forge itself, is gone: forge was replaced or removed while it ran',
  );
});
