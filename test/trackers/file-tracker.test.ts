/** A tracker in a YAML file: what changes keep, what is refused, and concurrent writers. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import lockfile from 'proper-lockfile';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ForgeError } from '../../src/lib/errors.ts';
import { parseTrackerFile } from '../../src/trackers/file/document.ts';
import { FileTracker } from '../../src/trackers/file/file-tracker.ts';
import { bundle } from '../support/bundle.ts';

const TRACKER = `# Issues of the mill. Talk to Ann before you close one.
title:   "The mill"   # odd spaces, on purpose

issues:
- id: M-1
  title: 'It''s a title: with a colon'   # keep
  task_id: build
  state: open   # open until Monday
  # below the state
  labels: [ a,   b ]

-   id: M-2
    state: "in_progress"
    claimed_by: run-a   # by hand
    comments:
        - ts: 2029-01-01
          text: |
            first
            lines
- {id: M-3, state: open, task_id: ship}   # in one line
-   {  id: M-4,   state: done, claimed_by: run-b, comments: [] }
# the end
`;

interface World {
  project: string;
  file: string;
  tracker: FileTracker;
  text(): string;
}

function world(text: string | null = TRACKER, waitMs = 30): World {
  const project = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'forge-tracker-')));
  onTestFinished(() => fs.rmSync(project, { recursive: true, force: true }));
  const file = path.join(project, 'tracker.yaml');
  if (text !== null) fs.writeFileSync(file, text);
  let made = 0;
  const newOp = () => `op-${made++}`;
  const tracker = new FileTracker({
    project,
    file: 'tracker.yaml',
    now: () => Date.parse('2030-01-01T00:00:00.000Z'),
    newOp,
    waitMs,
  });
  return { project, file, tracker, text: () => fs.readFileSync(file, 'utf8') };
}

async function refused(act: Promise<unknown>): Promise<ForgeError> {
  const error = await act.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ForgeError)) throw new Error(`it was not refused: ${String(error)}`);
  expect(error.code).toBe('TRACKER_ERROR');
  return error;
}

/** Lines that were taken away, with "-", and those that came, with "+". */
function changes(before: string, after: string): string[] {
  const [a, b] = [before.split('\n'), after.split('\n')];
  let head = 0;
  while (head < Math.min(a.length, b.length) && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  return [
    ...a.slice(head, a.length - tail).map((line) => `-${line}`),
    ...b.slice(head, b.length - tail).map((line) => `+${line}`),
  ];
}

describe('file tracker changes', () => {
  it('a claim changes only its own lines, and releasing it restores every byte', async () => {
    const { tracker, text } = world();
    expect(await tracker.claim('M-1', 'run-1')).toBe(true);
    expect(changes(TRACKER, text())).toEqual([
      '-  state: open   # open until Monday',
      '-  # below the state',
      '-  labels: [ a,   b ]',
      '+  state: in_progress   # open until Monday',
      '+  # below the state',
      '+  labels: [ a,   b ]',
      '+  claimed_by: run-1',
    ]);
    await tracker.release('M-1', 'run-1');
    expect(text()).toBe(TRACKER);
  });

  it('a claim of an issue in a flow mapping keeps its line', async () => {
    const { tracker, text } = world();
    await tracker.claim('M-3', 'run-1');
    expect(changes(TRACKER, text())).toEqual([
      '-- {id: M-3, state: open, task_id: ship}   # in one line',
      '+- {id: M-3, state: in_progress, task_id: ship, claimed_by: run-1}   # in one line',
    ]);
  });

  it('releasing a claim keeps a comment beside it', async () => {
    const { tracker, text } = world();
    await tracker.release('M-2', 'run-a');
    expect(changes(TRACKER, text())).toEqual([
      '-    state: "in_progress"',
      '-    claimed_by: run-a   # by hand',
      '+    state: "open"',
      '+    claimed_by: null   # by hand',
    ]);
  });

  it.each([
    ['M-1', ['+  comments:', '+    - ts: "2030-01-01T00:00:00.000Z"', '+      text: "a \\"b\\": c"']],
    ['M-2', ['+        - ts: "2030-01-01T00:00:00.000Z"', '+          text: "a \\"b\\": c"']],
    [
      'M-3',
      [
        '-- {id: M-3, state: open, task_id: ship}   # in one line',
        '+- {id: M-3, state: open, task_id: ship, comments: [{ts: "2030-01-01T00:00:00.000Z", text: "a \\"b\\": c"}]}   # in one line',
      ],
    ],
    [
      'M-4',
      [
        '--   {  id: M-4,   state: done, claimed_by: run-b, comments: [] }',
        '+-   {  id: M-4,   state: done, claimed_by: run-b, comments: [{ts: "2030-01-01T00:00:00.000Z", text: "a \\"b\\": c"}] }',
      ],
    ],
  ])('a comment is added to %s once', async (id, expected) => {
    const { tracker, text } = world();
    await tracker.comment(id, 'a "b": c');
    expect(changes(TRACKER, text())).toEqual(expected);
    const once = text();
    await tracker.comment(id, 'a "b": c');
    expect(text()).toBe(once);
    await tracker.comment(id, 'and more');
    await tracker.comment(id, 'a "b": c');
    expect(text().match(/and more|a \\"b\\": c/g)).toHaveLength(3);
  });

  it.each([
    ['Windows line ends', TRACKER.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\ufeff${TRACKER}`],
    ['no line break at the end', 'issues:\n  - id: M-1\n    state: open'],
    ['an empty claim with a comment', 'issues:\n  - id: M-1\n    claimed_by: # none\n    state: open\n'],
    ['keys in quotes', 'issues:\n  - "id": "M-1"\n    "state": \'open\'\n'],
    ['state first', 'issues:\n  - state: open\n    id: M-1\n'],
    ['JSON', '{"issues": [{"id": "M-1", "state": "open", "claimed_by": null, "comments": null}]}'],
    ['anchors elsewhere', 'x: &x {a: 1}\nissues:\n  - id: M-1\n    state: open\n    more: *x\n'],
  ])('a change is made in a file with %s', async (_what, text) => {
    const { tracker, text: now } = world(text);
    expect(await tracker.claim('M-1', '019a0000-0000-7000-8000-000000000001')).toBe(true);
    await tracker.comment('M-1', 'said');
    await tracker.comment('M-1', 'done');
    await tracker.setState('M-1', 'in_review');
    expect(await tracker.list()).toContainEqual(
      expect.objectContaining({ id: 'M-1', state: 'in_review', claimed_by: '019a0000-0000-7000-8000-000000000001' }),
    );
    await tracker.release('M-1', '019a0000-0000-7000-8000-000000000001');
    expect(await tracker.list()).toContainEqual(
      expect.objectContaining({ id: 'M-1', state: 'open', claimed_by: null }),
    );
    expect(parseTrackerFile(now(), 'x').ok).toBe(true);
    expect(now().match(/text"?: ?"?(said|done)\b/g)).toHaveLength(2);
    if (text.includes('\r\n')) expect(now().replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    if (text.startsWith('\ufeff')) expect(now().startsWith('\ufeff#')).toBe(true);
  });

  it('a change keeps the mode of the file and leaves nothing beside it', async () => {
    const { tracker, file, project } = world();
    fs.chmodSync(file, 0o640);
    await tracker.setState('M-1', 'done');
    expect(fs.statSync(file).mode & 0o777).toBe(0o640);
    expect(fs.readdirSync(project)).toEqual(['tracker.yaml']);
  });

  it('a change without effect writes nothing', async () => {
    const { tracker, file } = world();
    const seen = () => {
      const { ino, mtimeNs, ctimeNs } = fs.statSync(file, { bigint: true });
      return [ino, mtimeNs, ctimeNs];
    };
    const before = seen();
    await tracker.setState('M-1', 'open');
    await tracker.release('M-1', 'ann');
    await tracker.release('gone', 'ann');
    expect(await tracker.claim('gone', 'run')).toBe(false);
    expect(await tracker.claim('M-4', 'run-b')).toBe(false);
    expect(await tracker.claim('M-2', 'run-b')).toBe(false);
    expect(await tracker.claim('M-2', 'run-a')).toBe(true);
    expect(seen()).toEqual(before);
  });

  it('releasing a claim on a closed issue leaves it closed', async () => {
    const { tracker } = world();
    await tracker.release('M-4', 'run-b');
    expect((await tracker.list())[3]).toEqual({ id: 'M-4', task_id: null, state: 'done', claimed_by: null });
  });
});

describe('file tracker refusals', () => {
  const writing = (tracker: FileTracker) => [
    tracker.list(),
    tracker.claim('M-1', 'r'),
    tracker.setState('M-1', 'done'),
    tracker.comment('M-1', 'x'),
    tracker.release('M-1', 'r'),
  ];

  it.each([
    ['not YAML', 'issues: [\n', /^tracker\.yaml:\d+: /],
    [
      'another shape',
      'issues:\n  - id: M-1\n    state: opened\n',
      /^tracker\.yaml:3: issues\[0\]\.state: expected open/,
    ],
  ])('the tracker file is refused and unchanged: %s', async (_what, text, message) => {
    const { tracker, text: now } = world(text);
    for (const act of writing(tracker)) expect((await refused(act)).message).toMatch(message);
    expect(now()).toBe(text);
  });

  it('a missing tracker file is refused', async () => {
    const { tracker, project } = world(null);
    for (const act of writing(tracker)) {
      expect((await refused(act)).message).toBe('reading tracker.yaml: there is no such file');
    }
    expect(fs.readdirSync(project)).toEqual([]);
  });

  it('a tracker file behind a symlink is refused', async () => {
    const { tracker, project, file } = world(null);
    const elsewhere = world();
    fs.symlinkSync(elsewhere.file, file);
    for (const act of writing(tracker)) expect((await refused(act)).message).toContain('is a symlink');
    fs.symlinkSync(elsewhere.project, path.join(project, 'plans'));
    const below = new FileTracker({ project, file: 'plans/tracker.yaml', now: () => 0, newOp: () => 'op' });
    for (const act of writing(below)) expect((await refused(act)).message).toContain('is a symlink');
    expect(elsewhere.text()).toBe(TRACKER);
  });

  it('a tracker file that is a folder, endless or not UTF-8 is refused', async () => {
    const folder = world(null);
    fs.mkdirSync(folder.file);
    expect((await refused(folder.tracker.list())).message).toContain('it is not a regular file');
    const large = world(null);
    fs.writeFileSync(large.file, '');
    fs.truncateSync(large.file, 5 * 1024 * 1024);
    expect((await refused(large.tracker.list())).message).toContain('it is larger than');
    const latin = world(null);
    fs.writeFileSync(latin.file, Buffer.from('# M\xfchle\nissues: [{id: M-1, state: open}]\n', 'latin1'));
    expect((await refused(latin.tracker.setState('M-1', 'done'))).message).toBe('tracker.yaml is not UTF-8');
  });

  it('a write-protected tracker file is refused', async () => {
    const { tracker, file, text, project } = world();
    fs.chmodSync(file, 0o444);
    expect((await refused(tracker.claim('M-1', 'r'))).message).toContain('write-protected');
    expect(text()).toBe(TRACKER);
    expect(fs.readdirSync(project)).toEqual(['tracker.yaml']);
  });

  it('an issue that does not exist is refused', async () => {
    const { tracker } = world();
    expect((await refused(tracker.setState('M-9', 'done'))).message).toBe('tracker.yaml has no issue M-9');
    expect((await refused(tracker.comment('M-9', 'x'))).message).toBe('tracker.yaml has no issue M-9');
  });

  it.each([
    ['a state that others share', 'issues:\n  - {id: M-1, state: &s open}\n  - {id: M-2, state: *s}\n'],
    ['an issue that is an alias', 's: &s {id: M-1, state: open}\nissues:\n  - *s\n'],
  ])('an issue cannot be changed when it has %s', async (_what, text) => {
    const { tracker, text: now } = world(text);
    const { message } = await refused(tracker.setState('M-1', 'done'));
    expect(message).toBe('tracker.yaml: issue M-1 is written in a way that cannot be changed in place');
    expect(now()).toBe(text);
  });
});

/** Processes that stand ready to write. */
async function writers(project: string, orders: { name: string; rounds: number; dies?: boolean }[]) {
  const writer = await bundle(
    path.join(path.dirname(fileURLToPath(import.meta.url)), '../support/store/tracker-writer.ts'),
  );
  const started = orders.map((order) => {
    const args = [writer, JSON.stringify({ project, ...order })];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    return {
      child,
      lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](),
      ended: once(child, 'close'),
    };
  });
  for (const { lines } of started) expect((await lines.next()).value).toBe('ready');
  return started;
}

describe('concurrent writers', () => {
  it('a lock on the tracker file is waited for, with a limit', async () => {
    const { tracker, file, text } = world();
    const release = await lockfile.lock(file, { lockfilePath: `${file}.lock`, realpath: false });
    const error = await refused(tracker.claim('M-1', 'r'));
    expect(error.message).toContain('another process has held');
    expect(error.retriable).toBe(true);
    expect(text()).toBe(TRACKER);
    await release();
    expect(await tracker.claim('M-1', 'r')).toBe(true);
  });

  it('a writer killed while writing leaves the file unchanged and no residue', async () => {
    const { tracker, project, text } = world();
    // As a process leaves it that was killed before it renamed its copy.
    fs.writeFileSync(path.join(project, '.tracker.yaml.forge-gone.tmp'), 'issues: [{id: half');
    expect(await tracker.list()).toHaveLength(4);
    expect(text()).toBe(TRACKER);
    await tracker.setState('M-1', 'done');
    expect(fs.readdirSync(project)).toEqual(['tracker.yaml']);
  });

  it('writers killed before their rename change nothing, and their lock expires', async () => {
    const { tracker, project, text } = world(TRACKER, 60_000);
    const [writer] = await writers(project, [{ name: 'M-1', rounds: 1, dies: true }]);
    writer?.child.stdin.write('go\n');
    expect(await writer?.ended).toEqual([null, 'SIGKILL']);
    expect(text()).toBe(TRACKER);
    expect(fs.readdirSync(project)).toEqual([
      expect.stringMatching(/^\.tracker\.yaml\..+\.tmp$/),
      'tracker.yaml',
      'tracker.yaml.lock',
    ]);
    expect(await tracker.claim('M-1', 'run-1')).toBe(true);
    expect(fs.readdirSync(project)).toEqual(['tracker.yaml']);
  });

  it('concurrent writers lose no write', async () => {
    const names = ['ann', 'bob', 'cat', 'dan'];
    const rounds = 6;
    const issues = ['shared', ...names].map((name) => `  # about ${name}\n  - id: ${name}\n    state: open\n`).join('');
    const { project, tracker, text } = world(`# all of them\nissues:\n${issues}`);
    const started = await writers(
      project,
      names.map((name) => ({ name, rounds })),
    );
    for (const { child } of started) child.stdin.write('go\n');
    const won: boolean[] = [];
    for (const { lines, ended } of started) {
      won.push((JSON.parse((await lines.next()).value as string) as { won: boolean }).won);
      expect(await ended).toEqual([0, null]);
    }
    expect(won.filter(Boolean)).toHaveLength(1);
    const winner = names[won.indexOf(true)];
    expect(await tracker.list()).toEqual([
      { id: 'shared', task_id: null, state: 'in_progress', claimed_by: winner },
      ...names.map((id) => ({ id, task_id: null, state: 'open', claimed_by: null })),
    ]);
    for (const name of names) {
      expect(text()).toContain(`# about ${name}\n`);
      for (let round = 0; round < rounds; round++) expect(text().split(`text: ${name} ${round}\n`)).toHaveLength(2);
    }
    expect(fs.readdirSync(project)).toEqual(['tracker.yaml']);
  });
});
