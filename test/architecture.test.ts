/**
 * The layers of the source: `LAYERS` says which folder may import which. No files import each other in a circle.
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
  /** Relative to the project's folder. */
  file: string;
  text: string;
  /** Modules that it imports, by any syntax. */
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

/** What the package exports: they may import anything. */
const EXPORTED = ['src/index.ts', 'src/worker.ts'];

/** Which folders of `src` a folder may import, beside itself. */
const LAYERS: Record<string, readonly string[]> = {
  lib: [],
  domain: ['lib'],
  store: ['lib', 'domain'],
  process: ['lib', 'domain'],
  git: ['lib', 'domain', 'store', 'process'],
  project: ['lib', 'domain', 'store'],
  trackers: ['lib', 'domain', 'store', 'project'],
  engine: ['lib', 'domain', 'store', 'process', 'git', 'project', 'trackers'],
  commands: ['lib', 'domain', 'store', 'process', 'git', 'project', 'trackers', 'engine'],
  mcp: ['lib', 'domain', 'store', 'process', 'git', 'project', 'trackers', 'engine', 'commands'],
  acp: ['lib', 'domain', 'process'],
  // It starts the other face, and the client of agents.
  cli: ['lib', 'domain', 'store', 'process', 'git', 'project', 'trackers', 'engine', 'commands', 'mcp', 'acp'],
};

/** The folder below `src` that a file is in. */
const layerOf = (file: string) => file.split('/')[1] ?? '';

const isBelow = (folder: string) => (file: string) => file.startsWith(`src/${folder}/`);

/** Decides by what it is given: no clock, no chance, no file system. */
const isPure = (file: string) => layerOf(file) === 'domain' || (layerOf(file) === 'lib' && !isBelow('lib/fs')(file));

/** The file that a relative import names. */
const target = (file: string, named: string) => path.join(path.dirname(file), named);

/** Which files may import a module that is not ours. What is not listed may be imported by none. */
const MODULES: Record<string, (file: string) => boolean> = {
  'zod/mini': (file) =>
    ['lib', 'domain', 'trackers', 'commands'].includes(layerOf(file)) || file === 'src/cli/input.ts',
  'js-yaml': (file) => file === 'src/lib/yaml.ts',
  // Changes a file and keeps its comments; loaded only where one is changed.
  yaml: (file) => file === 'src/lib/yaml-edit.ts',
  '@modelcontextprotocol/server': (file) => file === 'src/mcp/sdk.ts',
  '@modelcontextprotocol/server/stdio': (file) => file === 'src/mcp/sdk.ts',
  '@agentclientprotocol/sdk': (file) => file === 'src/acp/acp-sdk.ts',
  picocolors: (file) => layerOf(file) === 'cli',
  'proper-lockfile': (file) => file === 'src/lib/fs/locks.ts',
  'node:fs': (file) =>
    ['store', 'process', 'git', 'project', 'trackers'].includes(layerOf(file)) ||
    isBelow('lib/fs')(file) ||
    file in FS_EXCEPTIONS,
  'node:child_process': (file) => layerOf(file) === 'process' || ['src/git/git.ts', 'src/cli/start.ts'].includes(file),
  // Loads the bundle, and what that names.
  '(computed)': (file) => file === 'src/cli/start.ts',
  'node:crypto': (file) => file === 'src/lib/digest.ts',
  'node:zlib': (file) => file === 'src/lib/checksum.ts',
  // Of linear time; loaded with the first pattern of a project.
  re2js: (file) => file === 'src/lib/patterns.ts',
  croner: (file) => file === 'src/domain/steps/schedule.ts',
  'node:module': (file) => file === 'src/lib/patterns.ts',
  'node:vm': (file) => file === 'src/cli/start.ts',
  'node:v8': (file) => file === 'src/process/heap.ts',
  'node:path': () => true,
  'node:worker_threads': (file) => file === 'src/process/threads.ts',
  // Which step of a program calls another.
  'node:async_hooks': (file) => file === 'src/engine/steps/pass.ts',
  'node:events': (file) => file === 'src/engine/steps/worker-journal.ts',
  'node:os': (file) => ['process', 'commands'].includes(layerOf(file)),
  'node:timers/promises': (file) => layerOf(file) === 'commands',
  // What programs are talked to by.
  'node:stream': (file) => ['gated-worker', 'lane', 'piped'].some((name) => file === `src/process/${name}.ts`),
  // Compares values, and reads the words of a command line.
  'node:util': (file) =>
    [
      'src/cli/program.ts',
      'src/project/settings-file.ts',
      'src/project/claude-settings.ts',
      'src/store/file/file-store.ts',
    ].includes(file),
  'node:tty': (file) => layerOf(file) === 'cli',
};

/** Files outside of the layers above that use the file system, and why. */
const FS_EXCEPTIONS: Record<string, string> = {
  'src/cli/output.ts': 'prints to file descriptors 1 and 2 without a buffer in between',
  'src/cli/input.ts': 'reads what a flag takes from file descriptor 0',
  'src/cli/start.ts': 'reads the files of the command',
};

/** What reads files that no person, worker or clone has put there: /proc and devices, the package, file descriptor 0. */
const OWN_READS = ['src/process/', 'src/project/build.ts', 'src/cli/input.ts', 'src/cli/start.ts'];

/** What opens /proc, a device or file descriptor 1; or tries what a disk allows. */
const OWN_WRITES = ['src/process/', 'src/cli/output.ts', 'src/store/file/checks.ts'];

const MAX_LINES = 400;

/** Names that make a decision depend on something that was not passed in. */
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
    const allowed = EXPORTED.includes(file) ? Object.keys(LAYERS) : LAYERS[own];
    if (allowed === undefined) return [`${file} is in no layer`];
    return imports
      .filter((named) => named.startsWith('.'))
      .map((named) => ({ named, layer: layerOf(target(file, named)) }))
      .filter(({ layer }) => layer !== own && !allowed.includes(layer))
      .map(({ named }) => `${file} imports ${named}`);
  },
  'only the file that opens the stores imports a backend': ({ file, imports }) =>
    isBelow('store/file')(file) || file === 'src/store/open.ts'
      ? []
      : imports
          .filter((named) => named.startsWith('.') && isBelow('store/file')(target(file, named)))
          .map((named) => `${file} imports ${named}`),
  'an import names an existing file': ({ file, imports }) =>
    imports
      .filter((named) => named.startsWith('.') && !fs.existsSync(path.join(ROOT, target(file, named))))
      .map((named) => `${file} imports ${named}`),
  'other modules are imported only where they are listed': ({ file, imports }) =>
    imports
      .filter((named) => !named.startsWith('.') && MODULES[named]?.(file) !== true)
      .map((named) => `${file} imports ${named}`),
  'a command imports no other command': ({ file, imports }) => {
    if (path.dirname(file) !== 'src/commands' || file === 'src/commands/registry.ts') return [];
    return imports.filter((named) => /^\.\/[^/]*$/.test(named)).map((named) => `${file} imports ${named}`);
  },
  'a pure file uses only what it is given': ({ file, globals }) =>
    // They load a module late, and decide by what they are given all the same.
    isPure(file) && !['checksum', 'digest', 'patterns'].some((name) => file === `src/lib/${name}.ts`)
      ? IMPURE.filter((name) => globals.has(name)).map((name) => `${file} uses ${name}`)
      : [],
  'a pure file imports no effect': ({ file, imports }) =>
    isPure(file)
      ? imports.filter((named) => isBelow('lib/fs')(target(file, named))).map((named) => `${file} imports ${named}`)
      : [],
  'files are opened for reading by lib/fs alone': ({ file, globals }) =>
    isBelow('lib/fs')(file) || OWN_READS.some((own) => file.startsWith(own))
      ? []
      : ['readFileSync', 'createReadStream', 'openAsBlob', 'readSync'].flatMap((name) =>
          globals.has(name) || globals.has(`fs.${name}`) ? [`${file} uses ${name}`] : [],
        ),
  'files are created by lib/fs alone': ({ file, globals }) =>
    isBelow('lib/fs')(file) || OWN_WRITES.some((own) => file.startsWith(own))
      ? []
      : ['writeFileSync', 'appendFileSync', 'openSync', 'createWriteStream', 'copyFileSync', 'cpSync'].flatMap(
          (name) => (globals.has(name) || globals.has(`fs.${name}`) ? [`${file} uses ${name}`] : []),
        ),
  'only cli prints': ({ file, globals }) =>
    layerOf(file) !== 'cli' &&
    (globals.has('console') || globals.has('process.stdout') || globals.has('process.stderr'))
      ? [`${file} prints`]
      : [],
  'only cli ends the process': ({ file, globals }) =>
    layerOf(file) !== 'cli' &&
    file !== 'src/process/program-end.ts' &&
    (globals.has('process.exit') || globals.has('process.exitCode'))
      ? [`${file} exits`]
      : [],
  'only cli listens to signals': ({ file, globals }) =>
    layerOf(file) !== 'cli' &&
    !['interrupts', 'program-end'].some((name) => file === `src/process/${name}.ts`) &&
    ['listenToSignals', 'process.on', 'process.once'].some((name) => globals.has(name))
      ? [`${file} listens to signals`]
      : [],
  'no file is longer than the limit': ({ file, text }) => {
    const lines = text.split('\n').length - 1;
    return lines > MAX_LINES ? [`${file} has ${lines} lines`] : [];
  },
  'a file begins with a comment that says what it is for': ({ file, text }) => (text.startsWith('/**') ? [] : [file]),
};

/** Files that import each other, in whatever number of steps; each circle sorted. */
function circles(sources: readonly Source[]): string[][] {
  const imports = new Map(
    sources.map(({ file, imports }) => [
      file,
      imports.filter((named) => named.startsWith('.')).map((named) => target(file, named)),
    ]),
  );
  const reachable = (from: string): Set<string> => {
    const seen = new Set<string>();
    const open = [...(imports.get(from) ?? [])];
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      if (seen.has(file)) continue;
      seen.add(file);
      open.push(...(imports.get(file) ?? []));
    }
    return seen;
  };
  const reached = new Map(sources.map(({ file }) => [file, reachable(file)]));
  const found = new Map<string, string[]>();
  for (const [file, there] of reached) {
    if (!there.has(file)) continue;
    const circle = [...there].filter((other) => reached.get(other)?.has(file) === true).sort();
    found.set(circle.join(), circle);
  }
  return [...found.values()];
}

describe('architecture of src', () => {
  test('src has files in every layer and nowhere else', () => {
    expect([...new Set(SOURCES.map(({ file }) => layerOf(file)))].sort()).toEqual(
      [...Object.keys(LAYERS), ...EXPORTED.map((file) => path.basename(file))].sort(),
    );
  });

  test.each(Object.entries(RULES))('in src %s', (_name, rule) => {
    expect(SOURCES.flatMap(rule)).toEqual([]);
  });

  test('no files of src import each other in a circle', () => {
    expect(circles(SOURCES)).toEqual([]);
    const pair = [parse('src/a.ts', "import './b.ts';"), parse('src/b.ts', "import './a.ts';")];
    expect(circles(pair)).toEqual([['src/a.ts', 'src/b.ts']]);
  });

  test('every exception to an import rule is still needed', () => {
    const unneeded = (files: readonly string[], module: string) =>
      files.filter((file) => SOURCES.find((source) => source.file === file)?.imports.includes(module) !== true);
    expect(unneeded(Object.keys(FS_EXCEPTIONS), 'node:fs')).toEqual([]);
    const everywhere = new Set(SOURCES.flatMap(({ imports }) => imports));
    expect(Object.keys(MODULES).filter((module) => !everywhere.has(module))).toEqual([]);
  });
});

/** For each rule a file that breaks it. */
const OFFENDERS: [rule: string, file: string, text: string][] = [
  [
    'only the file that opens the stores imports a backend',
    'src/engine/env.ts',
    "import type { FileStore } from '../store/file/file-store.ts';",
  ],
  ['a layer imports only what is below it', 'src/lib/time.ts', "import { changeTask } from '../store/change.ts';"],
  ['a layer imports only what is below it', 'src/domain/context.ts', "import type { Env } from '../engine/env.ts';"],
  [
    'a layer imports only what is below it',
    'src/store/change.ts',
    "export { thisMachine } from '../process/machine.ts';",
  ],
  ['a layer imports only what is below it', 'src/process/machine.ts', "export * from '../store/change.ts';"],
  ['a layer imports only what is below it', 'src/engine/env.ts', "const verb = await import('../commands/run.ts');"],
  ['a layer imports only what is below it', 'src/commands/run.ts', "let x: import('../cli/output.ts').Output;"],
  ['a layer imports only what is below it', 'src/extra/new.ts', ''],
  ['an import names an existing file', 'src/lib/time.ts', "import './gone.ts';"],
  ['an import names an existing file', 'src/lib/time.ts', "import './text';"],
  ['other modules are imported only where they are listed', 'src/lib/time.ts', "import fs from 'node:fs';"],
  ['other modules are imported only where they are listed', 'src/lib/time.ts', "import yaml from 'js-yaml';"],
  ['other modules are imported only where they are listed', 'src/lib/yaml.ts', "await import('yaml');"],
  ['other modules are imported only where they are listed', 'src/lib/time.ts', "import * as z from 'zod';"],
  ['other modules are imported only where they are listed', 'src/engine/env.ts', "import fs from 'node:fs';"],
  ['files are opened for reading by lib/fs alone', 'src/git/git.ts', "fs.readFileSync('x');"],
  ['files are created by lib/fs alone', 'src/git/git.ts', "fs.writeFileSync('x', '');"],
  [
    'other modules are imported only where they are listed',
    'src/commands/run.ts',
    "import { spawn } from 'node:child_process';",
  ],
  [
    'other modules are imported only where they are listed',
    'src/engine/env.ts',
    "const { spawn } = process.getBuiltinModule('node:child_process');",
  ],
  ['other modules are imported only where they are listed', 'src/commands/run.ts', "import pc from 'picocolors';"],
  ['other modules are imported only where they are listed', 'src/cli/main.ts', "import lock from 'proper-lockfile';"],
  ['other modules are imported only where they are listed', 'src/cli/main.ts', 'await import(name);'],
  ['other modules are imported only where they are listed', 'src/store/journal.ts', "import fs from 'fs';"],
  ['a command imports no other command', 'src/commands/exec.ts', "import { run } from './run.ts';"],
  ['a pure file imports no effect', 'src/domain/context.ts', "import { asIoError } from '../lib/fs/io-errors.ts';"],
  ['a pure file uses only what it is given', 'src/lib/time.ts', 'export const now = () => Date.now();'],
  ['a pure file uses only what it is given', 'src/lib/time.ts', 'export const now = () => new Date();'],
  ['a pure file uses only what it is given', 'src/lib/time.ts', 'export const now = () => Date();'],
  ['a pure file uses only what it is given', 'src/lib/time.ts', 'export const { random } = Math; Math.random();'],
  ['a pure file uses only what it is given', 'src/lib/time.ts', "export const home = process.env['HOME'];"],
  ['a pure file uses only what it is given', 'src/lib/time.ts', 'export const bag = { process };'],
  ['a pure file uses only what it is given', 'src/lib/time.ts', "export const log = console['log'];"],
  ['only cli ends the process', 'src/commands/run.ts', 'process.exit(1);'],
  ['only cli listens to signals', 'src/commands/run.ts', 'const interrupts = listenToSignals();'],
  ['no file is longer than the limit', 'src/lib/time.ts', '\n'.repeat(MAX_LINES)],
];

const INNOCENT: [what: string, file: string, text: string][] = [
  ['a comment', 'src/lib/time.ts', "// import fs from 'node:fs'; process.exit(); Date.now()"],
  ['a string', 'src/lib/time.ts', 'export const text = "console.log(process.env) and import(\'node:fs\')";'],
  ['a property', 'src/lib/time.ts', 'export const seen = (worker: { process: string }) => worker.process;'],
  ['a time that was given', 'src/lib/time.ts', 'export const iso = (ms: number) => new Date(ms).toISOString();'],
  ['a path in the other layer', 'src/engine/env.ts', "import type { TaskStore } from '../store/port.ts';"],
];

describe('architecture rules', () => {
  test.each(OFFENDERS)('the rule "%s" catches %s with %s', (rule, file, text) => {
    const source = parse(file, `/** What it is for. */\n${text}`);
    const caught = Object.keys(RULES).filter((name) => (RULES[name] as Rule)(source).length > 0);
    expect(caught).toContain(rule);
  });

  test.each(INNOCENT)('no architecture rule refuses %s', (_what, file, text) => {
    const source = parse(file, `/** What it is for. */\n${text}`);
    expect(Object.entries(RULES).flatMap(([, rule]) => rule(source))).toEqual([]);
  });

  test('every architecture rule can fail', () => {
    const shown = new Set(OFFENDERS.map(([rule]) => rule));
    const unshown = Object.keys(RULES).filter((rule) => !shown.has(rule));
    expect(unshown).toEqual(['only cli prints', 'a file begins with a comment that says what it is for']);
    expect(RULES['only cli prints']?.(parse('src/commands/run.ts', 'console.log(1)'))).toHaveLength(1);
    expect(
      RULES['a file begins with a comment that says what it is for']?.(parse('src/lib/x.ts', 'const x = 1;')),
    ).toHaveLength(1);
  });
});

describe('spec/ARCHITECTURE.md', () => {
  const page = fs.readFileSync(path.join(ROOT, 'spec/ARCHITECTURE.md'), 'utf8');

  test('the architecture page names only files that exist', () => {
    const named = [...page.matchAll(/`([\w-]+\/[\w/-]*\.ts)`/g)].map((match) => match[1] as string);
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((name) => ![`src/${name}`, name].some((at) => fs.existsSync(path.join(ROOT, at))))).toEqual([]);
  });

  test('the architecture page has a row for every folder of src', () => {
    const rows = [...page.matchAll(/^\| `(\w+)\/` \|/gm)].map((match) => match[1]);
    expect(rows.sort()).toEqual(Object.keys(LAYERS).sort());
  });

  test('the picture of the architecture page has no arrow that the code may not take', () => {
    const arrows = [...page.matchAll(/^ {2}(\w+) --> (\w+)$/gm)].map(([, from = '', to = '']) => [from, to] as const);
    expect(arrows.length).toBeGreaterThan(5);
    expect(arrows.filter(([from, to]) => LAYERS[from]?.includes(to) !== true)).toEqual([]);
  });
});

describe('text of the project', () => {
  const SKIPPED = new Set(['node_modules', '.git', 'dist', 'coverage', '.scratch']);
  const TEXT = /\.(ts|mjs|cjs|js|json|jsonl|md|yaml|yml|sh|txt|csv)$|^(LICENSE|run|SHA256SUMS)$/;

  const texts = fs
    .readdirSync(ROOT)
    .filter((name) => !SKIPPED.has(name) && name !== 'package-lock.json')
    .flatMap((name) =>
      fs.statSync(path.join(ROOT, name)).isDirectory() ? filesBelow(name, (file) => TEXT.test(file)) : [name],
    )
    .map((file) => ({ file, text: fs.readFileSync(path.join(ROOT, file), 'utf8') }));

  /** Names of the machine that the project was written on. */
  const machine = [
    `${ROOT}/`,
    ...(os.homedir().length > 1 ? [`${os.homedir()}/`] : []),
    // A short or common name would be found everywhere by chance.
    ...(/^(localhost|.{0,6})$/.test(os.hostname()) ? [] : [os.hostname()]),
  ];

  test('the text files of the project are found', () => {
    expect(texts.length).toBeGreaterThan(SOURCES.length);
    expect(texts.map(({ file }) => file)).toEqual(
      expect.arrayContaining(['package.json', 'test/architecture.test.ts']),
    );
  });

  test('no file of the project names this machine or its folders', () => {
    const told = texts.flatMap(({ file, text }) =>
      machine.filter((name) => text.includes(name)).map((name) => `${file}: ${name}`),
    );
    expect(told).toEqual([]);
  });

  test('no file of the project names a home folder', () => {
    const homes = new RegExp(`/(?:home|Users)/${'[a-z][\\w.-]*/'}`);
    const told = texts.flatMap(({ file, text }) => homes.exec(text)?.[0].concat(` in ${file}`) ?? []);
    expect(told).toEqual([]);
  });
});
