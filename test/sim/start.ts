/** What a schedule begins with: no task yet, a tree written by hand, or a record with some versions behind it. */

import { freshRecord, type TaskRecord } from '../../src/domain/task/records.ts';
import { isoTime } from '../../src/lib/time.ts';
import { encodeVersion, versionName, viewsOf } from '../../src/store/file/record-file.ts';
import { File, Folder, newEdit } from './disk.ts';
import { type Request, TASK, type Tally } from './requests.ts';
import type { World } from './world.ts';

const LONG_AGO = 1_600_000_000_000;
const NO_REQUEST: Request = { kind: 'count', number: 0, claimId: '', asks: null };

interface StartVersion {
  record: TaskRecord;
  text: string;
  views: ReturnType<typeof viewsOf>;
}

const chain: StartVersion[] = [];

/** Version `n` of a record that earlier commands have written. The same for every schedule, so made only once. */
function startVersion(n: number): StartVersion {
  let known = chain[n];
  if (known === undefined) {
    const record = recordWith({ self: `start-${n}`, total: n, done: {} });
    record.state.state_version = n;
    record.memo.generation = 2;
    known = { record, text: encodeVersion({ n, op: `start-${n}`, record }), views: viewsOf(record) };
    chain[n] = known;
  }
  return known;
}

function recordWith(sim: Tally): TaskRecord {
  const record = freshRecord(TASK, isoTime(LONG_AGO));
  return { ...record, state: { ...record.state, sim } };
}

/** Fills the disk. Everything that is there at the start is durable. */
export function prepare(world: World): void {
  const { disk, random } = world;
  const steps = world.journal !== null;
  // The folder of a journal's parts is made by the first writer.
  if (!steps) disk.place(disk.root, 'q', new Folder());
  const { views } = world.layer;
  const kind = !views || steps ? random.pick([1, 4]) : world.focus === 'adoption' ? 2 : random.below(10);
  if (kind === 0) return;
  const folder = new Folder();
  disk.place(disk.root, 'a', folder);
  if (kind === 1) return;
  if (kind < 4) writeByHand(world, folder);
  else writeVersions(world, folder, random.between(1, world.retention.compactAt));
  // Left by a process that was killed long ago.
  if (random.chance(0.3)) put(world, folder, '.tmp-killed', 'half a rec');
}

function put(world: World, folder: Folder, name: string, text: string): File {
  const file = new File(text, text, LONG_AGO);
  world.disk.place(folder, name, file);
  return file;
}

function writeVersions(world: World, folder: Folder, count: number): void {
  const oldest = world.random.chance(0.5) ? 1 : Math.max(1, count - world.retention.kept);
  for (let n = oldest; n <= count; n++) {
    const { record, text } = startVersion(n);
    world.oracle.assume(n, `start-${n}`, record, put(world, folder, versionName(n), text), NO_REQUEST);
  }
  if (world.random.chance(0.05)) world.rot();
  if (!world.layer.views) return;
  const { views } = startVersion(count);
  if (views['state.json'] !== null) put(world, folder, 'state.json', views['state.json']);
}

function writeByHand(world: World, folder: Folder): void {
  const { random, oracle } = world;
  const { state } = recordWith({ self: 'hand', total: 0, done: {} });
  const leased = random.chance(0.5);
  const byHand: Record<string, unknown> = { ...state, note: 'hand', state: leased ? 'running' : 'unclaimed' };
  if (random.chance(0.5)) delete byHand['state_version'];
  else byHand['state_version'] = 40;
  const lease = leased ? leaseByHand(random.chance(0.5) ? LONG_AGO : world.nowMs + 300) : null;
  tagged(world, folder, 'state.json', byHand, 'hand');
  if (lease !== null) tagged(world, folder, 'lease.json', lease, 'hand-lease');
  const seen = random.chance(0.5) ? 7 : 0;
  if (seen > 0) put(world, folder, 'claim-history.jsonl', `{"event":"acquired","generation": ${seen}}\n`);
  oracle.startFrom('hand', Math.max(seen, lease?.generation ?? 0), lease);
}

function leaseByHand(expiresMs: number) {
  return {
    version: 1 as const,
    claim_id: 'claim-by-hand',
    task_id: TASK,
    attempt_id: null,
    owner_run_id: 'by-hand',
    generation: 5,
    acquired_at: isoTime(LONG_AGO),
    expires_at: isoTime(expiresMs),
    last_heartbeat_at: null,
    state_version: 0,
    note: 'hand-lease',
  };
}

/** Writes a view as a person would, and tells the oracle to look after it. */
function tagged(world: World, folder: Folder, view: string, value: object, mark: string): void {
  const text = JSON.stringify(value);
  const file = put(world, folder, view, text);
  const edit = newEdit(mark, view, file, -1);
  file.edit = edit;
  world.oracle.edits.push(edit);
}
