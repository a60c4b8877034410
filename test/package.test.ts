/** What `npm pack` puts into the package, and that it works by itself. */

import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { environment, folder } from './support/cli.ts';

const ROOT = join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env: environment() });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

describe('the package', () => {
  let files: string[] = [];
  let tarball = '';
  /** What is unpacked where it is installed. */
  let unpacked = '';

  beforeAll(() => {
    const place = folder();
    // The build that the tests use is packed: another would take it from under them.
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', place, '--cache', join(place, 'cache')];
    const [packed] = JSON.parse(run('npm', args, ROOT));
    files = packed.files.map(({ path }: { path: string }) => path);
    tarball = join(place, packed.filename);
    run('tar', ['-xf', packed.filename], place);
    unpacked = join(place, 'package');
  });

  test('the package has the command, the library with its types, and what both read', () => {
    const { types, default: library } = manifest.exports['.'];
    const named = [...Object.values<string>(manifest.bin), library, types].map((path: string) =>
      path.replace('./', ''),
    );
    const read = ['dist/cli/main.cjs', 'spec/schema/phases.schema.json', 'templates/AGENTS.md', 'LICENSE', 'README.md'];
    expect(files).toEqual(expect.arrayContaining([...named, ...read]));
  });

  test('the package has no compiled cache, which could run other code than the source beside it shows', () => {
    const compiled = files.filter(
      (file) => /^(bin|dist)\//.test(file) && !/(^bin\/forge|\.(cjs|js|d\.ts))$/.test(file),
    );
    expect(compiled).toEqual([]);
  });

  test('the package has nothing but what is listed: no source, no test, no state, nothing unfinished', () => {
    expect(
      files.filter((file) => /^(src|test|scripts|bench|node_modules|\.git|\.forge|\.scratch)\//.test(file)),
    ).toEqual([]);
    expect(files.filter((file) => /\.(tmp|tgz|log)$/.test(file))).toEqual([]);
  });

  test('the package takes at most a megabyte to download', () => {
    expect(statSync(tarball).size).toBeLessThanOrEqual(1_000_000);
  });

  test('the library of workers needs no other package before a step is tried again or repeated', () => {
    const program = `const { memoryWorker } = await import('./dist/lib/worker.js'); console.log(await memoryWorker().step('one', () => 'done'));`;
    expect(run(process.execPath, ['--input-type=module', '-e', program], unpacked).trim()).toBe('done');
  });

  test('the package is built before it is packed', () => {
    expect(manifest.scripts.prepack).toBe('npm run build');
  });

  test('installs without running anything', () => {
    expect(Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
  });

  test('the package works where it is unpacked', () => {
    const project = folder();
    const forge = (...args: string[]) => run(process.execPath, [join(unpacked, 'bin/forge.cjs'), ...args], project);
    expect(forge('--version').trim()).toBe(manifest.version);
    forge('orchestrate', 'init');
    expect(JSON.parse(forge('orchestrate', 'status', '--json'))).toMatchObject({ ok: true });
  });

  test('installs into a project with the dependencies that it names, and runs a plan there by npx', () => {
    const project = folder();
    const dependencies = { [manifest.name]: `file:${tarball}` };
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, dependencies }));
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify(lockFor(dependencies)));
    // With what installing the packages of this repository has left in npm's cache; only what is missing there is asked for.
    run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'], project);
    const forge = (...args: string[]) => run('npx', ['--offline', manifest.name, ...args], project);
    expect(forge('init')).toContain('  npx forge-orchestrate run\n');
    writeFileSync(join(project, 'plans/phases.yaml'), PLAN);
    expect(forge('run')).toContain('all done');
    const library = `import('${manifest.name}').then(({ planGc }) => console.log(typeof planGc));`;
    const worker = `import('${manifest.name}/worker').then(({ memoryWorker }) => console.log(typeof memoryWorker));`;
    expect(run(process.execPath, ['-e', library + worker], project)).toBe('function\nfunction\n');
  });
});

const PLAN = 'project: p\nphases: [{id: one, name: One, tasks: [{id: a, title: A, run: "true"}]}]\n';

/** A lock file with this package and its dependencies, in the versions of this repository: npm then needs no registry to find them. */
function lockFor(dependencies: Record<string, string>) {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const others = Object.entries<{ dev?: boolean; optional?: boolean }>(lock.packages).filter(
    ([place, { dev, optional }]) => place !== '' && dev !== true && optional !== true,
  );
  const { version, bin, dependencies: own } = manifest;
  const packed = { version, bin, dependencies: own, resolved: dependencies[manifest.name] };
  return {
    name: 'project',
    lockfileVersion: 3,
    requires: true,
    packages: { '': { dependencies }, [`node_modules/${manifest.name}`]: packed, ...Object.fromEntries(others) },
  };
}
