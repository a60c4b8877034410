/** A backend of the store in memory; artifacts of attempts are files, as in the file backend. */

import { isDeepStrictEqual } from 'node:util';
import type { GcAttempt } from '../../../src/domain/gc/gc-plan.ts';
import type { Question } from '../../../src/domain/question/questions.ts';
import type { AttemptManifest, RunManifest, TaskRecord, Verdict } from '../../../src/domain/task/records.ts';
import { crc32 } from '../../../src/lib/checksum.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { requireTaskId } from '../../../src/lib/ids.ts';
import { openStores, type Stores } from '../../../src/store/open.ts';
import type {
  ChangeCursor,
  Changes,
  CommitRequest,
  DocumentKind,
  Documents,
  EndedRun,
  EventLog,
  GcArtifacts,
  GcStore,
  LogStream,
  NewDocument,
  QuestionPlace,
  Snapshot,
  StandingDocument,
  TaskCommit,
  TaskRead,
  TaskStore,
} from '../../../src/store/port.ts';

interface Task {
  version: number;
  record: TaskRecord | null;
  /** The number of its last change. */
  changed: number;
  documents: Map<string, NewDocument>;
}

const copy = <T>(value: T): T => structuredClone(value);

function nameOf(kind: DocumentKind, attemptId: string, questionId = ''): string {
  return `${attemptId}/${kind}/${questionId}`;
}

const questionOf = (value: object) => (value as { question_id?: string }).question_id;
const idOf = (value: object) => {
  const { chunk_id, fan_out_id } = value as { chunk_id?: string; fan_out_id?: string };
  return questionOf(value) ?? chunk_id ?? fan_out_id;
};

class Cursor implements ChangeCursor {
  readonly at: number;

  constructor(at: number) {
    this.at = at;
  }
}

export class MemoryStore implements TaskStore {
  readonly #tasks = new Map<string, Task>();
  readonly #runs = new Map<string, RunManifest>();
  #changes = 0;

  readonly gc: GcStore = {
    leaseFiles: async () => [],
    strayAttempts: async () => [],
    readLease: async () => null,
    removeLease: async () => false,
    archive: async (taskId, kind, { attempt_id, question_id, digest }) => {
      const name = nameOf(kind === 'questions' ? 'question' : 'answer', attempt_id, question_id);
      const { documents } = this.#task(taskId);
      const there = documents.get(name);
      return there !== undefined && digestOf(there.value) === digest && documents.delete(name);
    },
    legacyMoves: async () => [],
    moveLegacy: async () => [],
    litter: async () => [],
    removeRuns: async (runIds) => runIds.filter((id) => this.#runs.delete(id)),
    surplus: () => NO_SURPLUS,
    removeSurplus: async () => NO_SURPLUS,
    roomOf: () => NO_SURPLUS,
    emptyTrash: () => {},
    removeTasks: (taskIds) => {
      for (const id of taskIds) this.#tasks.delete(id);
      return NO_SURPLUS;
    },
    identity: async () => ({ path: 'memory', inode: 0 }),
    takeTurn: (_me, _onBusy, work) => work(),
  };

  #task(taskId: string): Task {
    const known = this.#tasks.get(requireTaskId(taskId));
    return known ?? { version: 0, record: null, changed: 0, documents: new Map() };
  }

  readonly place = 'memory';
  readonly upcoming = { next: () => [] };

  healthChecks(): [] {
    return [];
  }

  ensureTree(): void {}

  planTurn<T>(_owner: unknown, work: () => Promise<T>): Promise<T> {
    return work();
  }

  async list(): Promise<string[]> {
    return [...this.#tasks.keys()].sort();
  }

  async read(taskId: string): Promise<TaskRead> {
    const { version, record } = this.#task(taskId);
    const origin = record === null ? 'none' : 'record';
    return { task_id: taskId, version, origin, record: copy(record), problem: null, warnings: [] };
  }

  async changesSince(
    cursor: ChangeCursor | null,
    taskIds: readonly string[] = [...this.#tasks.keys()],
  ): Promise<Changes> {
    const since = cursor instanceof Cursor ? cursor.at : -1;
    return { cursor: new Cursor(this.#changes), changed: taskIds.filter((id) => this.#task(id).changed > since) };
  }

  async commit(taskId: string, { expected, record, documents = [] }: CommitRequest): Promise<TaskCommit> {
    const task = this.#task(taskId);
    if (task.version !== expected) return { kind: 'conflict' };
    const standing = this.#create(task, documents);
    if (standing !== null) return { kind: 'standing', document: standing };
    const version = expected + 1;
    const state = { ...record.state, state_version: Math.max(record.state.state_version + 1, version) };
    const lease = record.lease && { ...record.lease, state_version: state.state_version };
    const committed = copy({ ...record, state, lease });
    this.#keep(taskId, { ...task, version, record: committed });
    return { kind: 'committed', version, record: copy(committed), warnings: [] };
  }

  async createDocuments(taskId: string, documents: readonly NewDocument[]): Promise<StandingDocument | null> {
    const task = this.#task(taskId);
    const standing = this.#create(task, documents);
    if (standing === null) this.#keep(taskId, task);
    return standing;
  }

  #keep(taskId: string, task: Task): void {
    this.#changes += 1;
    this.#tasks.set(taskId, { ...task, changed: this.#changes });
  }

  /** Creates all documents, or none and returns one that exists with other content. */
  #create({ documents: there }: Task, documents: readonly NewDocument[]): StandingDocument | null {
    const named = documents.map((each) => [nameOf(each.kind, each.attemptId, idOf(each.value)), each] as const);
    for (const [name, { kind, value }] of named) {
      const found = kind === 'verified' ? undefined : there.get(name);
      if (found !== undefined && !isDeepStrictEqual(found.value, copy(value))) return found as StandingDocument;
    }
    for (const [name, document] of named) there.set(name, copy(document));
    return null;
  }

  async settle(): Promise<void> {}

  async readDocument<K extends DocumentKind>(
    kind: K,
    taskId: string,
    attemptId: string,
    questionId?: string,
  ): Promise<Documents[K] | null> {
    const found = this.#task(taskId).documents.get(nameOf(kind, attemptId, questionId));
    return (copy(found?.value) ?? null) as Documents[K] | null;
  }

  async parents(): Promise<string[]> {
    return (await this.list()).filter((taskId) => this.#all(taskId, 'fan-out').length > 0);
  }

  async findQuestion(questionId: string): Promise<QuestionPlace | null> {
    for (const task_id of this.#tasks.keys()) {
      const asked = await this.listQuestions(task_id);
      const found = asked.find(({ question }) => question.question_id === questionId);
      if (found !== undefined) return { task_id, attempt_id: found.attemptId };
    }
    return null;
  }

  async listQuestions(taskId: string): Promise<{ attemptId: string; question: Question }[]> {
    const found = this.#all(taskId, 'question').map(({ attemptId, value }) => ({
      attemptId,
      question: value as Question,
    }));
    return found.sort((a, b) => (a.attemptId + a.question.question_id < b.attemptId + b.question.question_id ? -1 : 1));
  }

  async showQuestion(taskId: string, attemptId: string, question: Question): Promise<void> {
    const name = nameOf('question', attemptId, question.question_id);
    this.#task(taskId).documents.set(name, copy({ kind: 'question', attemptId, value: question }));
  }

  async listAttempts(taskId: string): Promise<AttemptManifest[]> {
    const manifests = this.#all(taskId, 'manifest').map(({ value }) => copy(value) as AttemptManifest);
    return manifests.sort((a, b) => (a.attempt_id < b.attempt_id ? -1 : 1));
  }

  #all(taskId: string, kind: DocumentKind): NewDocument[] {
    return [...this.#task(taskId).documents.values()].filter((each) => each.kind === kind);
  }

  async createRun(manifest: RunManifest): Promise<void> {
    if (this.#runs.has(manifest.run_id))
      throw new ForgeError('DUPLICATE_ID', `there is a run ${manifest.run_id} already`);
    this.#runs.set(manifest.run_id, copy(manifest));
  }

  async discardRun(runId: string): Promise<void> {
    this.#runs.delete(runId);
  }

  async readRun(runId: string): Promise<RunManifest | null> {
    return copy(this.#runs.get(runId) ?? null);
  }

  async endRun(runId: string, endedAt: string): Promise<EndedRun | null> {
    const run = this.#runs.get(runId);
    if (run === undefined) return null;
    const ended = { ...run, ended_at: run.ended_at ?? endedAt };
    this.#runs.set(runId, ended);
    return copy(ended);
  }

  async listRuns(): Promise<RunManifest[]> {
    return [...this.#runs.keys()].sort().map((id) => copy(this.#runs.get(id) as RunManifest));
  }

  beginSnapshot(): void {}

  async snapshot(): Promise<Snapshot> {
    const tasks: TaskRead[] = [];
    for (const taskId of await this.list()) tasks.push(await this.read(taskId));
    const seen = { artifacts: (taskId: string) => this.#artifacts(taskId), keep: () => {} };
    return { tasks, runs: await this.listRuns(), seen };
  }

  #artifacts(taskId: string): GcArtifacts {
    const { record, documents } = this.#task(taskId);
    const attempts = [...new Set([...documents.values()].map(({ attemptId }) => attemptId))].sort();
    const of = (attemptId: string, kind: DocumentKind) =>
      this.#all(taskId, kind).filter((each) => each.attemptId === attemptId);
    return {
      lease_files: [],
      litter: [],
      attempts: attempts.map((attempt_id): GcAttempt => {
        const isCurrent = attempt_id === record?.state.current_attempt_id;
        const [verdict] = isCurrent ? of(attempt_id, 'verdict') : [];
        const verified = isCurrent && of(attempt_id, 'verified').length > 0;
        const entry = ({ kind, value }: NewDocument) => {
          const question_id = questionOf(value) ?? '';
          return { question_id, path: `${kind} ${question_id}`, digest: digestOf(value) };
        };
        return {
          attempt_id,
          verdict: verdict === undefined || verified ? null : (verdict.value as Verdict).verdict,
          verdict_path: 'verdict',
          verified,
          questions: of(attempt_id, 'question').map((each) => ({
            ...entry(each),
            status: (each.value as Question).status,
            why: '',
          })),
          answers: of(attempt_id, 'answer').map((each) => {
            const { option_id, answered_by } = each.value as Documents['answer'];
            return { ...entry(each), option_id, answered_by };
          }),
        };
      }),
    };
  }
}

/** Nothing but tasks takes room. */
const NO_SURPLUS = { attempts: 0, files: 0, bytes: 0 };

const digestOf = (value: object) => crc32(JSON.stringify(value));

class MemoryLog implements EventLog {
  readonly #lines = new Map<string, Record<string, unknown>[]>();

  async append(stream: LogStream, entry: object): Promise<{ from: number; to: number }> {
    const lines = await this.read(stream);
    this.#lines.set(JSON.stringify(stream), [...lines, copy(entry) as Record<string, unknown>]);
    return { from: lines.length, to: lines.length + 1 };
  }

  async read(stream: LogStream, having: readonly string[] = ['']): Promise<Record<string, unknown>[]> {
    const lines = this.#lines.get(JSON.stringify(stream)) ?? [];
    return copy(lines.filter((line) => having.some((part) => JSON.stringify(line).includes(part))));
  }
}

/** The stores of the project in `folder`. */
export function memoryStores(folder: string): Stores {
  const { artifacts } = openStores({ project: folder });
  return { store: new MemoryStore(), artifacts, eventLog: new MemoryLog() };
}
