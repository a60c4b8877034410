/** Where `bin/forge.cjs` starts: loads the command, with what V8 has compiled of it for an earlier call of the same verb. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { codeCache } from '../lib/fs/code-cache.ts';
import { goneError, isGone, START_AGAIN } from '../lib/own-files.ts';
import { BUILD } from '../project/build.ts';
import type { MainOptions } from './main.ts';
import { leadingWords } from './words.ts';

interface Loader {
  (name: string): Record<string, unknown>;
  /** Reads all that may still be loaded: the files may be replaced by those of another version, or removed, while a command goes on. */
  keep(): void;
  /** What V8 has compiled by now of each file that was loaded; null when that came from `kept`. */
  compiled(): Map<string, Buffer> | null;
}

/** Loads files of the bundle in `dir`. `kept`: what V8 has compiled of them before; it refuses what another version of it has made. */
export function loader(dir: string, kept: ReadonlyMap<string, Buffer>): Loader {
  const loaded = new Map<string, { exports: Record<string, unknown> }>();
  const scripts = new Map<string, Script>();
  const texts = new Map<string, string>();
  const load = (name: string): Record<string, unknown> => {
    const known = loaded.get(name);
    if (known !== undefined) return known.exports;
    const filename = join(dir, name);
    const script = new Script(texts.get(name) ?? textOf(filename), { filename, cachedData: kept.get(name) });
    // Without a prototype V8 takes it for a table at once, and not only after hundreds of names were added.
    const module = { exports: Object.create(null) };
    loaded.set(name, module);
    scripts.set(name, script);
    const requireFrom = (id: string) => {
      if (id === 'node:child_process') return CHILD_PROCESS;
      if (COPIED.has(id)) return Object.create(require(id));
      return id.startsWith('./') ? load(id) : require(id);
    };
    script.runInThisContext()(module.exports, requireFrom, module, filename, dir);
    return module.exports;
  };
  return Object.assign(load, {
    keep() {
      if (texts.size > 0) return;
      const names = readdirSync(dir).filter((name) => name.endsWith('.cjs'));
      for (const name of names) texts.set(`./${name}`, textOf(join(dir, name)));
    },
    compiled() {
      if ([...scripts.values()].every(({ cachedDataRejected }) => cachedDataRejected === false)) return null;
      return new Map([...scripts].map(([name, script]) => [name, script.createCachedData()]));
    },
  });
}

/** Of such a module the bundler copies what is its own, all hundred functions, for `import fs from`: it finds none on an object above it. */
const COPIED = new Set(['node:fs', 'node:path']);

/** Loading it takes a fifth of what a start takes beyond Node's own, so that waits until something is started. */
const CHILD_PROCESS = new Proxy({}, { get: (_, name) => Reflect.get(require('node:child_process'), name) });

function textOf(filename: string): string {
  try {
    // All of it is ASCII; of the encodings that hold for it, Node reads this one quickest.
    return readFileSync(filename, 'utf8');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    throw goneError(filename);
  }
}

interface Main {
  main(options: MainOptions): Promise<boolean>;
}

function mainOf(load: Loader): Main {
  try {
    return load('./main.cjs') as unknown as Main;
  } catch (error) {
    if (!isGone(error)) throw error;
    // What says it otherwise is not there.
    process.stderr.write(`error[IO_ERROR]: ${error.message}\nhint: ${START_AGAIN}\n`);
    process.exit(1);
  }
}

/** `argv`: without node and script. */
export async function start(argv: readonly string[], version: () => string): Promise<void> {
  const words = leadingWords(argv).map(({ word }) => word);
  const [word = 'home'] = words[0] === 'orchestrate' ? words.slice(1) : words;
  const made = `${BUILD}-${process.version}-${process.arch}`;
  const code = /^\w[\w-]*$/.test(word) ? codeCache(process.env, made, word) : null;
  const load = loader(__dirname, code?.kept ?? new Map());
  // Else Node, with nothing left to do, takes its heap down piece by piece.
  process.once('beforeExit', () => process.exit());
  const { main } = mainOf(load);
  const understood = await main({ argv, version, keep: load.keep });
  // Options of Node may be options of V8, with which it compiles otherwise.
  if (!understood || code === null || process.execArgv.length > 0 || process.env['NODE_OPTIONS']) return;
  process.once('exit', () => {
    const compiled = load.compiled();
    if (compiled !== null) code.save(compiled);
  });
}
