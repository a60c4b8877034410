/**
 * Builds dist/: `lib` is the package's library (ES modules and types), `cli` the command.
 *
 * The command is one bundle, split where the code imports dynamically, so that a verb loads what it uses and no more. It
 * is CommonJS, because loading an ES module takes a third of the time that a start may take on top of Node's own.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';

const repo = path.resolve(import.meta.dirname, '..');
/** Of the library. */
const ENTRIES = ['index', 'worker'];
const dist = path.join(repo, 'dist');
/** Which code lies in one file: each file costs a start its share. */
const GROUPS = [
  // What the command line needs before it knows the verb.
  {
    name: 'common',
    test: /src[\\/](lib[\\/](errors|text)|cli[\\/](called|errors|find-verb|layout|local-times|output|program|words)|commands[\\/](registry|shared[\\/]error-body))\.ts$/,
    priority: 2,
  },
  // What every verb needs, and small parts that several of the common ones do.
  {
    name: 'base',
    test: /src[\\/](commands[\\/]shared[\\/](session|planned|reads|runs|claimable|command|contents|data|whole-ids)|domain[\\/](plan[\\/]definition|task[\\/]held)|cli[\\/](input|views)|process[\\/](system-context|interrupts)|store[\\/]port|lib[\\/]fs[\\/]io-errors|project[\\/]user-files|engine[\\/](attempt[\\/](takeover|complete-attempt|retry-after|verdicts)|steps[\\/]call-log))\.ts$/,
    priority: 1,
  },
  // What a step needs from its start to its end.
  {
    name: 'steps',
    test: /src[\\/](commands[\\/](step|shared[\\/]steps)|cli[\\/]step|engine[\\/](attempt[\\/]lease-keeper|steps[\\/](mistakes|step-command|task-journal))|process[\\/]exit-code)\.ts$/,
  },
  // What verbs need that look at all tasks.
  {
    name: 'looks',
    test: /src[\\/](commands[\\/]shared[\\/](divergences|results)|domain[\\/]warnings)\.ts$/,
  },
  // What says where a task can be worked on: small parts of four folders.
  {
    name: 'place',
    test: /src[\\/](engine[\\/]attempt[\\/]workspace|process[\\/]programs|domain[\\/](plan[\\/]agent-programs|verify[\\/]git-setup))\.ts$/,
  },
];

/** What is used of each SDK becomes a file of its own, for the reason that is given there. By the name of the file that uses it. */
const SDKS = new Map([
  ['sdk.ts', { source: 'src/mcp/sdk.ts', made: 'mcp-sdk.cjs' }],
  ['acp-sdk.ts', { source: 'src/acp/acp-sdk.ts', made: 'acp-sdk.cjs' }],
]);

/** Names stay, for the stack of a bug that is reported. */
const MINIFY = {
  compress: { keepNames: { function: true, class: true } },
  mangle: { keepNames: { function: true, class: true } },
};

const sdkOf = (id) => SDKS.get(path.basename(id));

// Made beside and put in place whole, so that a forge that is started meanwhile finds one that works.
const out = path.join(repo, `dist.${process.pid}.tmp`);

try {
  writeTypes(path.join(out, 'lib'));
  await bundleLibrary(path.join(out, 'lib'));
  await bundleCommand(path.join(out, 'cli'));
  fs.rmSync(dist, { recursive: true, force: true });
  fs.renameSync(out, dist);
} finally {
  fs.rmSync(out, { recursive: true, force: true });
}

/** Of what the library exports, and of what that names. */
function writeTypes(outDir) {
  const tsc = path.join(repo, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', path.join(repo, 'tsconfig.build.json'), '--outDir', outDir];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`tsc exited with ${status}`);
  // Comments are a quarter of all that these take. What the entries name keeps its own; what that is made of is read in the source.
  const entries = ENTRIES.map((name) => path.join(outDir, `${name}.d.ts`));
  const named = entries.flatMap((file) =>
    Array.from(fs.readFileSync(file, 'utf8').matchAll(/ from '(\.[^']+)\.ts'/g), ([, from]) =>
      path.join(outDir, `${from}.d.ts`),
    ),
  );
  const kept = new Set([...entries, ...named]);
  for (const name of fs.readdirSync(outDir, { recursive: true })) {
    const file = path.join(outDir, name);
    if (!name.endsWith('.d.ts') || kept.has(file)) continue;
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^ *\/\*\*.*?\*\/\n/gms, ''));
  }
}

/** One file an entry and those that they share: a file each would make the package half as large again. */
async function bundleLibrary(outDir) {
  const worker = path.join(repo, 'src/worker.ts');
  const made = await build({
    input: Object.fromEntries(ENTRIES.map((name) => [name, path.join(repo, `src/${name}.ts`)])),
    platform: 'node',
    logLevel: 'warn',
    write: false,
    // Of zod it has what it uses: the package's own files, a hundred of them, take two thirds of the time that a program takes to load it.
    external: (id) => /^[^./]/.test(id) && !path.isAbsolute(id) && !/^zod\b/.test(id),
    // It shares the cache of plans and settings with the command: they are of one source.
    transform: { define: buildId() },
    output: {
      ...{ format: 'esm', entryFileNames: '[name].js', chunkFileNames: 'shared-[name]-[hash].js' },
      // Of an error that ends a program Node shows the line that made it: it must not be most of the file.
      minify: { ...MINIFY, codegen: false },
      comments: false,
      // What a worker needs before its first step: each file more costs it a millisecond.
      codeSplitting: {
        groups: [{ debugName: 'worker', name: (id, all) => (neededBy(worker, all).has(id) ? 'worker' : null) }],
      },
    },
  });
  for (const { fileName, code } of made.output) {
    const file = path.join(outDir, fileName);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, code);
  }
}

/** The modules that `id` loads with it. */
function neededBy(id, modules, found = new Set()) {
  if (found.has(id)) return found;
  found.add(id);
  for (const other of modules.getModuleInfo(id)?.importedIds ?? []) neededBy(other, modules, found);
  return found;
}

function buildId() {
  return { FORGE_BUILD: JSON.stringify(sumOfSources()) };
}

async function bundleCommand(dir) {
  const main = await bundle(path.join(repo, 'src/cli/main.ts'), {
    external: (id) => sdkOf(id) !== undefined,
    transform: { define: buildId() },
    output: {
      paths: (id) => (sdkOf(id) === undefined ? id : `./${sdkOf(id).made}`),
      codeSplitting: { groups: GROUPS },
    },
  });
  const [start] = await bundle(path.join(repo, 'src/cli/start.ts'), {
    transform: { define: buildId() },
    output: { entryFileNames: 'start.cjs', codeSplitting: false },
  });
  const sdks = [];
  for (const { source, made } of SDKS.values())
    sdks.push(
      ...(await bundle(path.join(repo, source), {
        output: { entryFileNames: made, codeSplitting: false, minify: true },
      })),
    );
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(path.join(dir, start.fileName), start.code);
  for (const { fileName, code } of [...main, ...sdks]) fs.writeFileSync(path.join(dir, fileName), asFunction(code));
}

async function bundle(file, { output, ...more }) {
  const made = await build({
    input: { main: file },
    platform: 'node',
    logLevel: 'warn',
    write: false,
    ...more,
    plugins: [{ name: 'values', renderChunk: withValues }],
    output: {
      format: 'cjs',
      entryFileNames: '[name].cjs',
      chunkFileNames: '[name]-[hash].cjs',
      minify: MINIFY,
      ...output,
    },
  });
  return made.output;
}

/**
 * What a file of the bundle gives to others, as values: the bundler makes a getter of each, which takes one in thirty of a start. Throws for
 * a variable that may be assigned later.
 */
function withValues(code) {
  const getter =
    /Object\.defineProperty\(exports, ("[$\w]+"), \{\s*enumerable: true,\s*get: function \(\) \{\s*return ([$\w]+);\s*\}\s*\}\);/g;
  return code.replace(getter, (_, name, value) => {
    if (new RegExp(`^let ${value}\\b`, 'm').test(code)) throw new Error(`export ${value} as a constant`);
    return `exports[${name}] = ${value};`;
  });
}

/** Names this build: what another one has put into its cache is not read. */
function sumOfSources() {
  const sources = fs.readdirSync(path.join(repo, 'src'), { recursive: true }).filter((name) => name.endsWith('.ts'));
  const others = ['package.json', 'package-lock.json', 'scripts/build.mjs'];
  const files = [...sources.sort().map((name) => path.join('src', name)), ...others];
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(fs.readFileSync(path.join(repo, file)));
  return hash.digest('hex').slice(0, 16);
}

/**
 * A file of the bundle as src/cli/start.ts loads it: the function that Node makes of a CommonJS file, in ASCII alone. So it is
 * read as it is, without being decoded, joined or held at two bytes a character.
 */
function asFunction(code) {
  const ascii = code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `(function (exports, require, module, __filename, __dirname) {${ascii}\n})`;
}
