/** The cache between processes: used only for the text that it was made from, and never a cause of failure. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { pathsOf } from '../../src/domain/project-paths.ts';
import { type Cache, type CacheName, cacheOf, NO_CACHE } from '../../src/lib/fs/cache.ts';
import { parsePlanText } from '../../src/project/plan-file.ts';
import { loadSettings } from '../../src/project/settings-file.ts';
import fc from '../support/properties.ts';
import { emptyFolder } from '../support/store/tree.ts';

let home: string;
let project: string;
beforeEach(() => {
  home = emptyFolder();
  project = emptyFolder();
});

const cache = (build: string | null = 'b1', of = project) => cacheOf(of, { XDG_CACHE_HOME: home }, build);
const kept = (from: Cache, name: CacheName = 'plan') => from.read(name);
const LONG = 'ä long text\n'.repeat(50_000);

/** The one file that is below the cache's folder. */
function onlyFile(): string {
  const files = fs.readdirSync(home, { recursive: true, encoding: 'utf8' }).map((name) => path.join(home, name));
  const [file, ...others] = files.filter((each) => fs.statSync(each).isFile());
  expect(others).toEqual([]);
  return file ?? '';
}

describe('cache', () => {
  test.each([
    ['nothing', ''],
    ['a short text', 'one\ntwo'],
    ['a long text', LONG],
  ])('the cache returns %s', (_, text) => {
    expect(kept(cache())).toBeNull();
    cache().write('plan', [text]);
    expect(kept(cache())).toBe(text);
    expect(kept(cache(), 'tree')).toBeNull();
    cache().write('plan', [`${text}.`]);
    expect(kept(cache())).toBe(`${text}.`);
    expect(fs.statSync(onlyFile()).mode & 0o777).toBe(0o600);
  });

  test('the cache joins text that was written in parts', () => {
    const parts = ['first', LONG, '', LONG, LONG, 'ü', LONG, 'last'];
    cache().write('tree', parts);
    expect(kept(cache(), 'tree') === parts.join('')).toBe(true);
  });

  test('a failing producer leaves the cached text unchanged', () => {
    cache().write('plan', ['before']);
    const parts = function* () {
      yield LONG;
      throw new Error('it cannot be had');
    };
    cache().write('plan', parts());
    expect(kept(cache())).toBe('before');
    expect(fs.readdirSync(path.dirname(onlyFile()))).toEqual(['plan']);
  });

  test('the cache returns nothing to another build or another project', () => {
    cache().write('plan', ['text']);
    expect(kept(cache('b2'))).toBeNull();
    expect(kept(cache('b1', `${project}/other`))).toBeNull();
    const file = onlyFile();
    cache('b1', `${project}/other`).write('plan', ['else']);
    const other = fs.readdirSync(path.join(home, 'forge')).map((name) => path.join(home, 'forge', name, 'plan'));
    fs.copyFileSync(file, other.find((each) => each !== file) ?? '');
    expect(kept(cache('b1', `${project}/other`))).toBeNull();
  });

  test('the cache ignores a file with a damaged beginning', () => {
    for (const damaged of ['', 'b', 'b1 "', '\0\0\0\0']) {
      cache().write('plan', ['text']);
      fs.writeFileSync(onlyFile(), damaged);
      expect(cache().read('plan')).toBeNull();
    }
  });

  test('the cache is neither read nor written where others may write', () => {
    cache().write('plan', ['text']);
    fs.chmodSync(path.dirname(onlyFile()), 0o777);
    expect(kept(cache())).toBeNull();
    cache().write('plan', ['other']);
    expect(fs.readFileSync(onlyFile(), 'utf8')).toMatch(/text$/);
  });

  test('the cache is neither read nor written below a folder in which others may put another one', () => {
    cache().write('plan', ['text']);
    fs.chmodSync(home, 0o777);
    expect(kept(cache())).toBeNull();
    // A sticky one, such as /tmp, lets only the owner move what is there.
    fs.chmodSync(home, 0o1777);
    expect(kept(cache())).toBe('text');
  });

  test('a cache file that others may write is not read', () => {
    cache().write('plan', ['text']);
    fs.chmodSync(onlyFile(), 0o666);
    expect(kept(cache())).toBeNull();
    fs.chmodSync(onlyFile(), 0o600);
    expect(kept(cache())).toBe('text');
  });

  test('the cache is below the home folder by default, and does not create a home', () => {
    cacheOf(project, { HOME: home, XDG_CACHE_HOME: 'relative' }, 'b1').write('plan', ['text']);
    expect(onlyFile()).toContain(path.join(home, '.cache', 'forge'));
    const missing = path.join(home, 'missing');
    const nowhere = cacheOf(project, { HOME: missing }, 'b1');
    nowhere.write('plan', ['text']);
    expect(kept(nowhere)).toBeNull();
    expect(fs.existsSync(missing)).toBe(false);
  });

  test.each([
    ['without a home', () => cacheOf(project, {}, 'b1')],
    ['of no build', () => cache(null)],
    ['in a file', () => cacheOf(project, { XDG_CACHE_HOME: '/dev/null' }, 'b1')],
  ])('a cache %s keeps nothing and reports nothing', (_, open) => {
    open().write('plan', ['text']);
    expect(kept(open())).toBeNull();
    expect(fs.readdirSync(home)).toEqual([]);
  });

  test('the cache removes what killed processes left and the caches of projects that are gone', () => {
    cache().write('plan', ['text']);
    const file = onlyFile();
    fs.writeFileSync(`${file}.4711.tmp`, 'half');
    cache().write('plan', ['more']);
    expect(onlyFile()).toBe(file);
    fs.writeFileSync(path.join(home, 'forge', 'notes'), 'mine');
    fs.rmSync(project, { recursive: true });
    const next = emptyFolder();
    cache('b1', next).write('plan', ['next']);
    expect(fs.existsSync(path.dirname(file))).toBe(false);
    expect(kept(cache('b1', next))).toBe('next');
    expect(fs.readFileSync(path.join(home, 'forge', 'notes'), 'utf8')).toBe('mine');
  });
});

const TASK = `
      - id: build
        title: "Bäu \\u2028 ✓"
        description: |
          two
          lines
        depends_on: [other]
        write_globs: ["src/**"]
        question_budget: { soft: 1 }
        verify: ["npm test"]
        timeout: 5m
        env: { A: 1.10, B: yes, C: "" }
        retry: [{ retry_on: [network], max_attempts: unlimited, base: 0 }, { max_attempts: 2, jitter: false }]
        tracker_issue_id: "12"
        run: "true"`;
const planWith = (title: string) =>
  `project: mill\nphases:\n  - id: phase-1\n    name: One\n    tasks:\n      - { id: other, title: ${JSON.stringify(title)}, owner_type: human, run: x, retry: {}, env: {} }${TASK}\n`;

describe('cached plan', () => {
  const file = 'plans/phases.yaml';

  test('a plan is the same whether it comes from the cache or from parsing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }), async (title) => {
        const text = planWith(`t${title.replace(/[\p{C}\p{Z}]/gu, '_')}`);
        const kept = cache();
        const first = await parsePlanText({ file, text }, kept);
        const reads: string[] = [];
        const counted: Cache = { ...kept, write: (name) => void reads.push(name) };
        expect(await parsePlanText({ file, text }, counted)).toEqual(first);
        // What was kept was used.
        expect(reads).toEqual([]);
        expect(first).toEqual(await parsePlanText({ file, text }, NO_CACHE));
      }),
      { numRuns: 50 },
    );
  });

  test('a process that reads an unchanged plan twice parses it once', async () => {
    const kept = cache();
    const load = (title: string, name = file) => parsePlanText({ file: name, text: planWith(title) }, kept);
    const first = await load('One');
    expect((await load('One')).plan).toBe(first.plan);
    expect((await load('One', 'other.yaml')).file).toBe('other.yaml');
    expect((await load('Two')).plan.byId.get('other')?.title).toBe('Two');
    expect(await load('One')).toEqual(first);
  });

  test('a plan is parsed again when a file that it includes has changed or is gone', async () => {
    const text = `include: [more.yaml]\n${planWith('One')}`;
    const more = (title: string) => `phases: [{id: more, name: More, tasks: [{id: b, title: ${title}}]}]\n`;
    const kept = cache();
    const titleOf = async (read: (file: string) => string | null) =>
      (await parsePlanText({ file, text }, kept, read)).plan.byId.get('b')?.title;
    expect(await titleOf(() => more('One'))).toBe('One');
    let reads = 0;
    const counted = () => {
      reads += 1;
      return more('One');
    };
    // Once, to compare.
    expect([await titleOf(counted), reads]).toEqual(['One', 1]);
    expect(await titleOf(() => more('Two'))).toBe('Two');
    await expect(titleOf(() => null)).rejects.toThrow('one problem');
  });

  test('a plan is parsed again when its cache file is incomplete', async () => {
    const text = planWith('One');
    const first = await parsePlanText({ file, text }, cache());
    const whole = fs.readFileSync(onlyFile());
    const half = Math.trunc(whole.length / 2);
    for (const [begin, end] of [
      [half, whole.length],
      [100, 110],
      [100, half],
      [whole.length - 5, whole.length],
    ]) {
      const zeros = Buffer.from(whole).fill(0, begin, end);
      for (const left of [zeros, whole.subarray(0, begin)]) {
        fs.writeFileSync(onlyFile(), left);
        expect(await parsePlanText({ file, text }, cache())).toEqual(first);
      }
    }
  });

  test('any other plan text is parsed again, and an invalid plan is not cached', async () => {
    await parsePlanText({ file, text: planWith('One') }, cache());
    const edited = await parsePlanText({ file, text: planWith('Two') }, cache());
    expect(edited.plan.byId.get('other')?.title).toBe('Two');
    const renamed = planWith('Two').replace('id: other', 'id: another').replace('[other]', '[another]');
    const { plan } = await parsePlanText({ file, text: renamed }, cache());
    expect(plan.tasks.map(({ id, tracker_issue_id }) => [id, tracker_issue_id])).toEqual([
      ['another', null],
      ['build', '12'],
    ]);
    const wrong = planWith('One').replace('id: other', 'id: ../other');
    for (let i = 0; i < 2; i++)
      await expect(parsePlanText({ file, text: wrong }, cache())).rejects.toThrow('in plans/phases.yaml');
    expect(kept(cache())).toContain('Two');
  });
});

describe('cached settings', () => {
  const TEXTS = [
    '',
    'version: 1\n',
    '# all as it is\nversion: 1\n',
    'agents: { max_parallel: 2 }\nversion: 1\n',
    'project: { name: "M\u00fchle \u2028" }\nretry: [{ retry_on: [network], max_attempts: unlimited }, { max_attempts: 2 }]\n',
    'errors: [{ class: net, exit: [7] }]\ntracker: { type: file, path: t.yaml, x: 1 }\nx-mine: 1\n',
  ];

  /** As a command finds them in the project; and whether anything was kept for the next one. */
  async function settings(text: string, from: Cache) {
    fs.mkdirSync(path.join(project, '.forge'), { recursive: true });
    fs.writeFileSync(path.join(project, '.forge/settings.yaml'), text);
    let keeps = false;
    const write: Cache['write'] = (name, parts) => {
      keeps = true;
      from.write(name, parts);
    };
    return { read: await loadSettings(pathsOf(project), { ...from, write }), keeps };
  }

  test('settings are the same from the cache and from parsing, and any other text is parsed again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...TEXTS), { minLength: 2, maxLength: 6 }), async (texts) => {
        let last: string | null = null;
        for (const text of texts) {
          const { read, keeps } = await settings(text, cache());
          expect(read).toEqual((await settings(text, NO_CACHE)).read);
          if (last !== null) expect(keeps).toBe(text !== last);
          last = text;
        }
      }),
      { numRuns: 100 },
    );
  });

  test('settings are parsed again when their cache file is incomplete', async () => {
    const text = TEXTS[3] ?? '';
    const { read } = await settings(text, cache());
    const whole = fs.readFileSync(onlyFile());
    for (let begin = 0; begin < whole.length; begin += 7) {
      for (const left of [
        Buffer.from(whole).fill(0, begin, Math.min(begin + 40, whole.length)),
        whole.subarray(0, begin),
      ]) {
        fs.writeFileSync(onlyFile(), left);
        expect((await settings(text, cache())).read).toEqual(read);
      }
    }
  });

  test('settings that JSON cannot express, or that are invalid, are not cached', async () => {
    const endless = 'tracker: { type: file, patience: .inf }\n';
    for (let i = 0; i < 2; i++) {
      const { read, keeps } = await settings(endless, cache());
      expect([read.settings.tracker.options['patience'], keeps]).toEqual([Number.POSITIVE_INFINITY, false]);
      await expect(settings('agents: { workers: 2 }\n', cache())).rejects.toThrow('.forge/settings.yaml');
    }
    expect(kept(cache(), 'settings')).toBeNull();
  });
});
