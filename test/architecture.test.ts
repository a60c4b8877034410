/**
 * Where a line goes: `core <- store, host <- runner <- verbs <- cli`; an arrow points at what is imported.
 *
 * The source is parsed, so neither a comment nor a string can pass for an import, and a dynamic import counts like any other.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

interface Source {
  /** Seen from the project's folder. */
  file: string;
  text: string;
  /** Modules that it names, in whatever way. */
  imports: string[];
  /** Names that are used without being a property: `Math`, `process`; and members of some: `Math.random`. */
  globals: Set<string>;
}

type Node = { type: string } & Record<string, unknown>;

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

function visit(node: Node, see: (node: Node, parent: Node | null, key: string) => void): void {
  const walk = (at: Node, parent: Node | null, parentKey: string): void => {
    see(at, parent, parentKey);
    for (const [key, value] of Object.entries(at)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, at, key);
    }
  };
  walk(node, null, '');
}

const literal = (node: unknown): string | null =>
  isNode(node) && node.type === 'Literal' && typeof node['value'] === 'string' ? node['value'] : null;

const nameOf = (node: unknown): string | null =>
  isNode(node) && node.type === 'Identifier' ? (node['name'] as string) : null;

function parse(file: string, text: string): Source {
  const imports: string[] = [];
  const globals = new Set<string>();
  visit(parseAst(text, { lang: 'ts' }) as unknown as Node, (node, parent, key) => {
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
      case 'ImportExpression':
      case 'TSImportType': {
        const named = literal(node['source'] ?? node['argument']);
        if (named !== null) imports.push(named);
        else if (node.type === 'ImportExpression') imports.push('(computed)');
        return;
      }
      case 'CallExpression': {
        const [first] = node['arguments'] as Node[];
        const callee = node['callee'] as Node;
        const called = callee.type === 'MemberExpression' ? nameOf(callee['property']) : nameOf(callee);
        if (called === 'getBuiltinModule' || called === 'require') imports.push(literal(first) ?? '(computed)');
        if (nameOf(callee) === 'Date') globals.add('new Date()');
        return;
      }
      case 'NewExpression':
        if (nameOf(node['callee']) === 'Date' && (node['arguments'] as Node[]).length === 0) globals.add('new Date()');
        return;
      case 'MemberExpression': {
        const object = nameOf(node['object']);
        const property = node['computed'] === true ? literal(node['property']) : nameOf(node['property']);
        if (object !== null) globals.add(`${object}.${property ?? '*'}`);
        return;
      }
      case 'Identifier': {
        const isKey = key === 'key' && parent?.['computed'] !== true && parent?.['shorthand'] !== true;
        const isProperty = parent?.type === 'MemberExpression' && key === 'property' && parent['computed'] !== true;
        if (!isKey && !isProperty) globals.add(node['name'] as string);
        return;
      }
    }
  });
  return { file, text, imports, globals };
}

function filesBelow(dir: string, wanted: (name: string) => boolean): string[] {
  return fs
    .readdirSync(path.join(ROOT, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted(entry.name))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .sort();
}

const SOURCES = filesBelow('src', (name) => name.endsWith('.ts')).map((file) =>
  parse(file, fs.readFileSync(path.join(ROOT, file), 'utf8')),
);

/** What stands in the way of whom: the layer of a file, or of what it imports. */
const LAYERS: Record<string, readonly string[]> = {
  core: [],
  store: ['core'],
  host: ['core'],
  runner: ['core', 'store', 'host'],
  verbs: ['core', 'store', 'host', 'runner'],
  cli: ['core', 'store', 'host', 'runner', 'verbs'],
};

const layerOf = (file: string) => file.split('/')[1] ?? '';

/** Files that a relative import may name. */
const target = (file: string, named: string) => path.join(path.dirname(file), named);

/** Which files may import a module that is not ours. Whatever is not here may be imported by nobody. */
const MODULES: Record<string, (file: string) => boolean> = {
  'zod/mini': (file) => layerOf(file) === 'core',
  'js-yaml': (file) => file === 'src/core/yaml.ts',
  // Changes a file and keeps its comments; loaded only by who has a file tracker.
  yaml: (file) => file === 'src/store/tracker-edit.ts',
  commander: (file) => layerOf(file) === 'cli',
  picocolors: (file) => layerOf(file) === 'cli',
  'proper-lockfile': (file) => layerOf(file) === 'store',
  'node:fs': (file) => ['store', 'host'].includes(layerOf(file)) || file in FS_EXCEPTIONS,
  'node:child_process': (file) => layerOf(file) === 'host' || file === 'src/runner/worker.ts',
  'node:path': (file) => ['store', 'verbs', 'cli'].includes(layerOf(file)),
  'node:os': (file) => ['host', 'verbs'].includes(layerOf(file)) || file === 'src/store/stamps.ts',
  'node:url': (file) => layerOf(file) === 'host',
  // A type: what the gate of a worker is written to.
  'node:stream': (file) => file === 'src/runner/worker.ts',
  // Compares; only where something was parsed.
  'node:util': (file) => file === 'src/store/settings-file.ts',
  'node:tty': (file) => layerOf(file) === 'cli',
  'node:worker_threads': (file) => file === 'src/store/stamps.ts',
};

/** Files outside of store and host that use the file system, and why. */
const FS_EXCEPTIONS: Record<string, string> = {
  'src/cli/output.ts': 'prints to file descriptors 1 and 2 without a buffer in between',
  'src/cli/stdin.ts': 'reads what a flag takes from file descriptor 0',
  'src/cli/catalog/working.ts': 'looks whether the worker left a verdict where its environment says',
};

/** Verbs that are no verbs: what several of them share. Everything else in src/verbs stands for itself. */
const SHARED_BY_VERBS = ['session.ts', 'auto-gc.ts', 'not-enforced.ts', 'run-rows.ts'];

const MAX_LINES = 400;

/** What would make a decision depend on something that was not passed in. */
const IMPURE = [
  'Date.now',
  'new Date()',
  'Math.random',
  'process',
  'console',
  'globalThis',
  'performance',
  'crypto',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'fetch',
  'require',
  'Buffer',
  '__dirname',
  '__filename',
];

type Rule = (source: Source) => string[];

const RULES: Record<string, Rule> = {
  'a layer imports only what is below it': ({ file, imports }) => {
    const own = layerOf(file);
    const allowed = file === 'src/index.ts' ? ['core', 'host', 'runner', 'verbs'] : LAYERS[own];
    if (allowed === undefined) return [`${file} is in no layer`];
    return imports
      .filter((named) => named.startsWith('.'))
      .map((named) => ({ named, layer: layerOf(target(file, named)) }))
      .filter(({ layer }) => layer !== own && !allowed.includes(layer))
      .map(({ named }) => `${file} imports ${named}`);
  },
  'an import names a file that is there': ({ file, imports }) =>
    imports
      .filter((named) => named.startsWith('.') && !fs.existsSync(path.join(ROOT, target(file, named))))
      .map((named) => `${file} imports ${named}`),
  'modules that are not ours are imported where they belong': ({ file, imports }) =>
    imports
      .filter((named) => !named.startsWith('.') && MODULES[named]?.(file) !== true)
      .map((named) => `${file} imports ${named}`),
  'verbs share only what is made to be shared': ({ file, imports }) => {
    if (layerOf(file) !== 'verbs') return [];
    return imports
      .filter((named) => named.startsWith('./') && !SHARED_BY_VERBS.includes(named.slice(2)))
      .map((named) => `${file} imports ${named}`);
  },
  'core decides by what it is given': ({ file, globals }) =>
    layerOf(file) === 'core' ? IMPURE.filter((name) => globals.has(name)).map((name) => `${file} uses ${name}`) : [],
  'only cli prints': ({ file, globals }) =>
    layerOf(file) !== 'cli' &&
    (globals.has('console') || globals.has('process.stdout') || globals.has('process.stderr'))
      ? [`${file} prints`]
      : [],
  'only cli ends the process': ({ file, globals }) =>
    layerOf(file) !== 'cli' && (globals.has('process.exit') || globals.has('process.exitCode'))
      ? [`${file} exits`]
      : [],
  'a file can be read at a sitting': ({ file, text }) => {
    const lines = text.split('\n').length - 1;
    return lines > MAX_LINES ? [`${file} has ${lines} lines`] : [];
  },
  'a file begins with what it is for': ({ file, text }) => (text.startsWith('/**') ? [] : [file]),
};

describe('in src', () => {
  test('there is something of every layer', () => {
    expect([...new Set(SOURCES.map(({ file }) => layerOf(file)))].sort()).toEqual(
      [...Object.keys(LAYERS), 'index.ts'].sort(),
    );
  });

  test.each(Object.entries(RULES))('%s', (_name, rule) => {
    expect(SOURCES.flatMap(rule)).toEqual([]);
  });

  test('every exception is still needed', () => {
    const unneeded = (files: readonly string[], module: string) =>
      files.filter((file) => SOURCES.find((source) => source.file === file)?.imports.includes(module) !== true);
    expect(unneeded(Object.keys(FS_EXCEPTIONS), 'node:fs')).toEqual([]);
    const imported = new Set(SOURCES.filter(({ file }) => layerOf(file) === 'verbs').flatMap(({ imports }) => imports));
    expect(SHARED_BY_VERBS.filter((name) => !imported.has(`./${name}`))).toEqual([]);
    const everywhere = new Set(SOURCES.flatMap(({ imports }) => imports));
    expect(Object.keys(MODULES).filter((module) => !everywhere.has(module))).toEqual([]);
  });
});

/** What each rule is there to catch: a file that breaks it, and only it. */
const OFFENDERS: [rule: string, file: string, text: string][] = [
  ['a layer imports only what is below it', 'src/core/time.ts', "import { blocking } from '../store/drivers.ts';"],
  ['a layer imports only what is below it', 'src/core/time.ts', "import type { Env } from '../runner/env.ts';"],
  ['a layer imports only what is below it', 'src/store/lines.ts', "export { thisMachine } from '../host/machine.ts';"],
  ['a layer imports only what is below it', 'src/host/machine.ts', "export * from '../store/lines.ts';"],
  ['a layer imports only what is below it', 'src/runner/env.ts', "const verb = await import('../verbs/run.ts');"],
  ['a layer imports only what is below it', 'src/verbs/run.ts', "let x: import('../cli/output.ts').Output;"],
  ['a layer imports only what is below it', 'src/index.ts', "export { FileStore } from './store/store.ts';"],
  ['a layer imports only what is below it', 'src/extra/new.ts', ''],
  ['an import names a file that is there', 'src/core/time.ts', "import './gone.ts';"],
  ['an import names a file that is there', 'src/core/time.ts', "import './text';"],
  ['modules that are not ours are imported where they belong', 'src/core/time.ts', "import fs from 'node:fs';"],
  ['modules that are not ours are imported where they belong', 'src/core/time.ts', "import yaml from 'js-yaml';"],
  ['modules that are not ours are imported where they belong', 'src/core/yaml.ts', "await import('yaml');"],
  ['modules that are not ours are imported where they belong', 'src/core/time.ts', "import * as z from 'zod';"],
  ['modules that are not ours are imported where they belong', 'src/runner/env.ts', "import fs from 'node:fs';"],
  [
    'modules that are not ours are imported where they belong',
    'src/verbs/run.ts',
    "import { spawn } from 'node:child_process';",
  ],
  [
    'modules that are not ours are imported where they belong',
    'src/runner/env.ts',
    "const { spawn } = process.getBuiltinModule('node:child_process');",
  ],
  ['modules that are not ours are imported where they belong', 'src/verbs/run.ts', "import pc from 'picocolors';"],
  [
    'modules that are not ours are imported where they belong',
    'src/cli/main.ts',
    "import lock from 'proper-lockfile';",
  ],
  ['modules that are not ours are imported where they belong', 'src/cli/main.ts', 'await import(name);'],
  ['modules that are not ours are imported where they belong', 'src/store/lines.ts', "import fs from 'fs';"],
  ['verbs share only what is made to be shared', 'src/verbs/exec.ts', "import { run } from './run.ts';"],
  ['core decides by what it is given', 'src/core/time.ts', 'export const now = () => Date.now();'],
  ['core decides by what it is given', 'src/core/time.ts', 'export const now = () => new Date();'],
  ['core decides by what it is given', 'src/core/time.ts', 'export const now = () => Date();'],
  ['core decides by what it is given', 'src/core/time.ts', 'export const { random } = Math; Math.random();'],
  ['core decides by what it is given', 'src/core/time.ts', "export const home = process.env['HOME'];"],
  ['core decides by what it is given', 'src/core/time.ts', 'export const bag = { process };'],
  ['core decides by what it is given', 'src/core/time.ts', "export const log = console['log'];"],
  ['only cli ends the process', 'src/verbs/run.ts', 'process.exit(1);'],
  ['a file can be read at a sitting', 'src/core/time.ts', '\n'.repeat(MAX_LINES)],
];

const INNOCENT: [what: string, file: string, text: string][] = [
  ['a comment', 'src/core/time.ts', "// import fs from 'node:fs'; process.exit(); Date.now()"],
  ['a string', 'src/core/time.ts', 'export const text = "console.log(process.env) and import(\'node:fs\')";'],
  ['a property', 'src/core/time.ts', 'export const seen = (worker: { process: string }) => worker.process;'],
  ['a time that was given', 'src/core/time.ts', 'export const iso = (ms: number) => new Date(ms).toISOString();'],
  ['a path in the other layer', 'src/runner/env.ts', "import type { Layout } from '../store/layout.ts';"],
];

describe('a rule', () => {
  test.each(OFFENDERS)('"%s" catches %s: %s', (rule, file, text) => {
    const source = parse(file, `/** What it is for. */\n${text}`);
    const caught = Object.keys(RULES).filter((name) => (RULES[name] as Rule)(source).length > 0);
    expect(caught).toContain(rule);
  });

  test.each(INNOCENT)('lets %s pass', (_what, file, text) => {
    const source = parse(file, `/** What it is for. */\n${text}`);
    expect(Object.entries(RULES).flatMap(([, rule]) => rule(source))).toEqual([]);
  });

  test('has an offender to show that it can fail, or needs none', () => {
    const shown = new Set(OFFENDERS.map(([rule]) => rule));
    const unshown = Object.keys(RULES).filter((rule) => !shown.has(rule));
    expect(unshown).toEqual(['only cli prints', 'a file begins with what it is for']);
    expect(RULES['only cli prints']?.(parse('src/verbs/run.ts', 'console.log(1)'))).toHaveLength(1);
    expect(RULES['a file begins with what it is for']?.(parse('src/core/x.ts', 'const x = 1;'))).toHaveLength(1);
  });
});

describe('the whole project', () => {
  const SKIPPED = new Set(['node_modules', '.git', 'dist', 'coverage', '.scratch']);
  const TEXT = /\.(ts|mjs|cjs|js|json|jsonl|md|yaml|yml|sh|txt|csv)$|^(LICENSE|run|SHA256SUMS)$/;

  const texts = fs
    .readdirSync(ROOT)
    .filter((name) => !SKIPPED.has(name) && name !== 'package-lock.json')
    .flatMap((name) =>
      fs.statSync(path.join(ROOT, name)).isDirectory() ? filesBelow(name, (file) => TEXT.test(file)) : [name],
    )
    .map((file) => ({ file, text: fs.readFileSync(path.join(ROOT, file), 'utf8') }));

  /** What would tell of the machine that it was made on. */
  const machine = [
    `${ROOT}/`,
    ...(os.homedir().length > 1 ? [`${os.homedir()}/`] : []),
    // A short or common name would be found everywhere by chance.
    ...(/^(localhost|.{0,6})$/.test(os.hostname()) ? [] : [os.hostname()]),
  ];

  test('is looked through', () => {
    expect(texts.length).toBeGreaterThan(SOURCES.length);
    expect(texts.map(({ file }) => file)).toEqual(
      expect.arrayContaining(['package.json', 'test/architecture.test.ts']),
    );
  });

  test('names neither this machine nor its folders', () => {
    const told = texts.flatMap(({ file, text }) =>
      machine.filter((name) => text.includes(name)).map((name) => `${file}: ${name}`),
    );
    expect(told).toEqual([]);
  });

  test("names nobody's home", () => {
    const homes = new RegExp(`/(?:home|Users)/${'[a-z][\\w.-]*/'}`);
    const told = texts.flatMap(({ file, text }) => homes.exec(text)?.[0].concat(` in ${file}`) ?? []);
    expect(told).toEqual([]);
  });
});
