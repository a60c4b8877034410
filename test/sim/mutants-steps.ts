/** Mutants of what a task's journal and its waits promise, each with one thing wrong. */

import type { Mutant } from './mutants.ts';

const DOCUMENTS = 'src/store/file/documents.ts';
const PROTOCOL = 'src/store/file/protocol.ts';
const RECORDS = 'src/store/file/record-file.ts';
const CHANGES = 'src/domain/steps/changes.ts';
const JOURNAL = 'src/domain/steps/journal.ts';
const PARKING = 'src/domain/steps/parking.ts';
const WAITS = 'src/domain/steps/waits.ts';
const TRIES = 'src/domain/steps/tries.ts';
const TICKS = 'src/domain/steps/ticks.ts';
const SEAL = 'src/domain/fan-out/seal.ts';
const JOIN = 'src/domain/fan-out/join.ts';
const READINESS = 'src/domain/schedule/readiness.ts';

function mutant(name: string, file: string, from: string, to: string): Mutant {
  return { name, file, changes: [[from, to]], focus: 'steps' };
}

function childMutant(...of: Parameters<typeof mutant>): Mutant {
  return { ...mutant(...of), focus: 'fan-outs' };
}

/** Versions that are lines of a file. */
const ADDING: readonly Mutant[] = [
  mutant('a line is not synced', PROTOCOL, 'durable = yield* quietly(io.syncFile(handle));', 'durable = true;'),
  mutant(
    'the name of a file is not durable before its second version',
    PROTOCOL,
    '  if (on.n === open.first && !(yield* quietly(io.syncDir(dir)))) return null;\n',
    '',
  ),
  mutant('a line counts whatever it follows', RECORDS, 'if (line?.after !== op ||', 'if (line === undefined ||'),
  mutant(
    'a line is not read again',
    PROTOCOL,
    'if (!(yield* readVersions(path)).text?.startsWith(open.text)) {',
    'if (failure !== null) {',
  ),
  mutant(
    'lines are added behind a part of one',
    RECORDS,
    "if (open?.end !== 'line') return null;",
    "if (open === undefined || open.end === 'closed') return null;",
  ),
  mutant(
    'a file is not closed before the next one is made',
    PROTOCOL,
    'const closing = encodeClosing(on);',
    "const closing = '';",
  ),
  mutant(
    'what was added before a file was closed is not looked at',
    PROTOCOL,
    'return (yield* readVersions(path)).text?.startsWith(on.open.text + closing) === true;',
    'return true;',
  ),
  mutant(
    'lines behind the end of a file count',
    RECORDS,
    "if (line?.after !== op || !Array.isArray(line.entries)) end = next === 0 ? 'cut' : 'closed';",
    "if (line?.after === op && !Array.isArray(line.entries)) at = next;\n    else if (line?.after !== op || !Array.isArray(line.entries)) end = next === 0 ? 'cut' : 'closed';",
  ),
  mutant(
    'a repeat is answered without fsync of the line',
    PROTOCOL,
    "  if (on?.open !== undefined) yield* unless('ENOENT', synced(`${dir}/${versionName(on.open.first)}`));\n",
    '',
  ),
  {
    ...mutant(
      'a file is added to after it could not be synced',
      PROTOCOL,
      '  if (!durable) yield* quietly(appended(path, encodeClosing(next.version)));\n',
      '',
    ),
    survives:
      'A file of the simulated disk that could not be synced once is whole when it is synced again. Linux may have dropped what it could not write.',
  },
];

export const STEP_MUTANTS: readonly Mutant[] = [
  ...ADDING,
  mutant(
    'a journal is written by whatever attempt the task had',
    CHANGES,
    'const by = workedOn(record, attemptId);\n  return { by, attemptId, entries',
    'const by = record.lease ?? workedOn(record, attemptId);\n  return { by, attemptId, entries',
  ),
  {
    ...mutant(
      'any owner may park a task',
      CHANGES,
      'const lease = workedOn(record, attemptId);\n  const park',
      'const lease = record.lease ?? workedOn(record, attemptId);\n  const park',
    ),
    late: true,
  },
  {
    name: 'a part of a journal is written after the commit',
    file: DOCUMENTS,
    focus: 'steps',
    changes: [
      ['const document = yield* standingAfter(file, op, created);', 'const document = null;'],
      [
        'const result = commit && (yield* commit.step);\n',
        'const result = commit && (yield* commit.step);\n    for (const file of files) yield* quietly(standingAfter(file, op, []));\n',
      ],
    ],
  },
  mutant(
    'the name of the folder of parts is not durable',
    DOCUMENTS,
    '  for (const folder of above) yield* io.syncDir(folder);\n',
    '',
  ),
  {
    ...mutant(
      'a part is taken back although its commit may have happened',
      DOCUMENTS,
      '(yield* isUndone(commit.dir, commit.request))',
      'true',
    ),
    seed: 37_713,
  },
  mutant(
    'a part begins without the parts that it replaces',
    JOURNAL,
    '[...(yield last), ...merged]',
    '(yield last, [...merged])',
  ),
  mutant(
    'a part leaves out what was in the record',
    JOURNAL,
    'const tail = [...kept, ...entries];',
    'const tail = [...entries];',
  ),
  mutant(
    'values of a step are left to a commit of their own',
    JOURNAL,
    'return { step, ...(Object.keys(values).length === 0 ? {} : { context: values }) };',
    'return Object.keys(values).length === 0 ? { step } : { step };',
  ),
  mutant(
    'a task that waits keeps its lease',
    PARKING,
    "moves: [...starting(record), 'park'],\n    lease: null,",
    "moves: [...starting(record), 'park'],\n    lease,",
  ),
  {
    ...mutant(
      'a task is parked although its signal has come',
      PARKING,
      'if (sleepers.some(({ isThere }) => isThere(read))) return null;\n',
      '',
    ),
    late: true,
  },
  mutant('a signal wakes nothing', PARKING, "if (state !== 'waiting' ||", "if (state === 'waiting' ||"),
  mutant(
    'a signal that is sent again is another one',
    WAITS,
    'if (signals.some(({ name, id }) => name === signal.name && id === signal.id)) return [];',
    'if (signals.length > 1000) return [];',
  ),
  mutant(
    'a signal is not taken by who waits for it',
    WAITS,
    '{ signal: { ...signal, data: null, taken: true } }',
    '{ signal }',
  ),
  mutant('a step is done again', TRIES, "if (before?.status === 'completed') throw stepRepeated(name);", ''),
  mutant(
    'a parked task goes on before its time',
    READINESS,
    'if (at !== null && msUntil(at, backoff, instant) <= 0) return [];',
    'if (at === null || msUntil(at, backoff, instant) < 1e9) return [];',
  ),
  childMutant(
    'a tick that is over is due again',
    TICKS,
    'next: next === null ? null : isoTime(next),\n    ran:',
    'next: ticks.next,\n    ran:',
  ),
  childMutant(
    'ticks of before are left out',
    JOURNAL,
    'yield* grown(journal.ticks ?? NO_TICKS, ticks, make)',
    'yield* grown(NO_TICKS, ticks, make)',
  ),
  childMutant(
    'a tick is counted and not recorded',
    TICKS,
    'const entries: Entry[] = [{ tick: tickOf(looker, at, { status, error }) }];',
    'const entries: Entry[] = [];',
  ),
  childMutant('a set is sealed again', SEAL, 'if (before !== undefined) return { sealed: before, also: {} };', ''),
  childMutant('a set is sealed in place of another', SEAL, '[...fanOutsOf(record), sealed]', '[sealed]'),
  childMutant('a set is sealed without its document', SEAL, 'documents: [document]', 'documents: []'),
  childMutant(
    'a task goes on before its children are over',
    READINESS,
    'if (joins.some(([over, all]) => over === all)) return [];',
    'if (joins.length > 0) return [];',
  ),
  childMutant(
    'a task does not go on when its children are over',
    READINESS,
    'if (joins.some(([over, all]) => over === all)) return [];\n',
    '',
  ),
  {
    name: 'a join is over before its children are',
    file: JOIN,
    focus: 'fan-outs',
    changes: [
      ["if (children === null) return stands(now, looker, 'join', before, null, { wake: null });\n", ''],
      ['missed = children.filter(', 'missed = (children ?? []).filter('],
      ['children: children.length', 'children: children?.length ?? 0'],
    ],
  },
];
