/**
 * The protocol with one thing wrong, many times over. A harness that does not notice proves nothing about the rest.
 * `spec/COMMIT-PROTOCOL.md` says what is done with them.
 */

import { STEP_MUTANTS } from './mutants-steps.ts';
import type { Focus } from './world.ts';

export interface Mutant {
  name: string;
  /** The source file that is changed, from the project's folder. */
  file: string;
  changes: [from: string, to: string][];
  /** How much of the protocol its schedules run; the core alone when it is the core that is changed. */
  depth?: 'mixed' | 'whole';
  /** The corner that its schedules go to, when others hardly ever do. */
  focus?: Focus;
  /** How many schedules it may take, when it needs several rare things to meet; default: that of the tests. */
  schedules?: number;
  /** The one schedule, with its focus, that shows it where hardly any other does; it is the only one that is run. */
  seed?: number;
  /** It takes seconds to notice, unlike others of its kind; the short run leaves it out. */
  late?: boolean;
  /** Why no schedule tells it from the protocol. Without a reason it shows a hole in the harness. */
  survives?: string;
}

const PROTOCOL = 'src/store/file/protocol.ts';
const VIEWS = 'src/store/file/views.ts';
const FILES = 'src/store/file/task-files.ts';
const QUESTIONS = 'src/domain/question/questions.ts';

/** A mutant of one change. */
function mutant(name: string, file: string, from: string, to: string): Mutant {
  return { name, file, changes: [[from, to]], depth: file === PROTOCOL ? 'mixed' : 'whole' };
}

const COMMITTING: Mutant[] = [
  {
    name: 'look before the reservation',
    file: PROTOCOL,
    changes: [
      [
        '  const handle = yield* io.create(tmp);\n  let names: string[];\n',
        '  const names = yield* io.list(dir);\n  const handle = yield* io.create(tmp);\n',
      ],
      ['      names = yield* io.list(dir);\n      if (!(yield*', '      if (!(yield*'],
    ],
  },
  mutant(
    'no look after the reservation',
    PROTOCOL,
    'if (!(yield* isLast(dir, newestOf(names), expected, on))) {',
    'if (newestOf(names) < 0) {',
  ),
  mutant('rename in place of link', PROTOCOL, 'yield* io.link(tmp, target);', 'yield* io.rename(tmp, target);'),
  mutant(
    'a version is there before it is whole',
    PROTOCOL,
    '      yield* io.write(handle, text);',
    '      yield* io.link(tmp, `${dir}/${versionName(n)}`);\n      yield* io.write(handle, text);',
  ),
  mutant(
    'the error of a link is believed',
    PROTOCOL,
    "    if (decoded?.kind === 'valid' && makerOf(decoded.version) === op) return true;\n",
    '',
  ),
  mutant(
    'a lost race is an error once its winner is compacted',
    PROTOCOL,
    " || code === 'EEXIST') return false;",
    ') return false;',
  ),
  mutant(
    'no fsync of the version',
    PROTOCOL,
    '      yield* io.write(handle, text);\n      yield* io.syncFile(handle);\n',
    '      yield* io.write(handle, text);\n',
  ),
  mutant(
    'no fsync of the folder',
    PROTOCOL,
    'const durable = yield* quietly(io.syncDir(dir));',
    'const durable = true;',
  ),
  mutant(
    'a failed fsync of the folder is a failed commit',
    PROTOCOL,
    'const durable = yield* quietly(io.syncDir(dir));',
    'yield* io.syncDir(dir);\n  const durable = true;',
  ),
  mutant('no fsync of the folder above', FILES, '  yield* io.syncDir(path.dirname(dir));\n', ''),
  {
    ...mutant('what is not durable replaces what is', FILES, '  if (!result.durable) return done;\n', ''),
    focus: 'failures',
    seed: 20_036,
  },
  {
    ...mutant(
      'a repeat is answered without fsync',
      PROTOCOL,
      '  yield* io.syncDir(dir);\n}\n\n/** Makes what was added',
      '}\n\n/** Makes what was added',
    ),
    late: true,
  },
];

const COMPACTION: Mutant[] = [
  mutant(
    'compaction leaves reservations',
    PROTOCOL,
    'if (name.startsWith(TMP_PREFIX)) yield*',
    "if (name === '') yield*",
  ),
  {
    name: 'reservations are swept after the versions',
    focus: 'failures',
    late: true,
    file: PROTOCOL,
    changes: [
      [
        '  for (const name of names) {\n    if (name.startsWith(TMP_PREFIX)) yield* removed(`${dir}/${name}`);\n  }\n',
        '',
      ],
      [
        'for (const name of old) yield* removed(`${dir}/${name}`);',
        'for (const name of old) yield* removed(`${dir}/${name}`);\n  for (const name of names) if (name.startsWith(TMP_PREFIX)) yield* removed(`${dir}/${name}`);',
      ],
    ],
  },
  {
    ...mutant(
      'compaction takes its bound from the listing that it sweeps by',
      PROTOCOL,
      '  const old = names.filter(',
      '  newest = newestOf(names);\n  const old = names.filter(',
    ),
    focus: 'failures',
    seed: 311_451,
  },
  {
    ...mutant(
      'compaction goes on after a sweep that failed',
      PROTOCOL,
      'if (name.startsWith(TMP_PREFIX)) yield* removed(`${dir}/${name}`);',
      'if (name.startsWith(TMP_PREFIX)) yield* quietly(removed(`${dir}/${name}`));',
    ),
    focus: 'failures',
    schedules: 60_000,
    late: true,
  },
  {
    ...mutant('compaction leaves no mark', PROTOCOL, 'if (old.length > 0 &&', 'if (old.length < 0 &&'),
    focus: 'stillness',
    late: true,
  },
  {
    name: 'compaction leaves its mark after the versions are removed',
    focus: 'stillness',
    file: PROTOCOL,
    changes: [
      ['  if (old.length > 0 && !names.includes(COMPACTED)) yield* marked(`${dir}/${COMPACTED}`);\n', ''],
      [
        'for (const name of old) yield* removed(`${dir}/${name}`);',
        'for (const name of old) yield* removed(`${dir}/${name}`);\n  if (old.length > 0 && !names.includes(COMPACTED)) yield* marked(`${dir}/${COMPACTED}`);',
      ],
    ],
    schedules: 60_000,
    late: true,
  },
  mutant(
    'compaction removes the newest version',
    PROTOCOL,
    'old.splice(-kept);',
    'old.splice(1 - kept || old.length);',
  ),
  {
    ...mutant('compaction removes newer versions first', PROTOCOL, 'of old)', 'of old.reverse())'),
    survives:
      'A commit on the older version that a slow listing may then find conflicts with the newest one. Only what a command shows would be older than true, and a schedule checks what is committed.',
  },
];

const VANISHED =
  'What a compaction has removed, all before it are gone too, so no whole version is found, and the mark makes the reader list again all the same. Only versions that a person removes at that moment would be noticed.';

const READING: Mutant[] = [
  {
    ...mutant(
      'a version that vanished is passed over',
      PROTOCOL,
      'if (text === null && !foreign) return null;',
      'if (text === null && !foreign) continue;',
    ),
    survives: VANISHED,
  },
  {
    ...mutant(
      'only a vanished newest version restarts the read',
      PROTOCOL,
      'if (text === null && !foreign) return null;',
      'if (text === null && !foreign) {\n      if (number === n) return null;\n      continue;\n    }',
    ),
    survives: VANISHED,
  },
  mutant(
    'a damaged version ends the search',
    PROTOCOL,
    '    head.voided.push(versionName(number));\n',
    '    head.voided.push(versionName(number));\n    break;\n',
  ),
  {
    ...mutant('a listing without a version is believed', PROTOCOL, 'if (!found &&', 'if (!found && head.n > 0 &&'),
    focus: 'stillness',
    late: true,
  },
  {
    ...mutant('a listing of damaged versions is believed', PROTOCOL, 'if (!found &&', 'if (head.n === 0 &&'),
    seed: 104_801_809,
  },
  {
    name: 'two listings without a version are believed',
    file: PROTOCOL,
    changes: [
      [
        '++fruitless < FRUITLESS_LISTINGS && (yield* io.modified(`${dir}/${COMPACTED}`)) !== null) continue;',
        '++fruitless < 2) continue;',
      ],
      ['  if (old.length > 0 && !names.includes(COMPACTED)) yield* marked(`${dir}/${COMPACTED}`);\n', ''],
    ],
    seed: 7_374_811,
  },
];

const ADOPTION: Mutant[] = [
  mutant(
    'the slot of an adoption depends on what was read',
    PROTOCOL,
    '  const n = expected + 1;',
    '  const n = expected === 0 ? record.state.state_version : expected + 1;',
  ),
  {
    ...mutant('a view that the listing missed does not exist', FILES, '|| (thorough && ', '|| (false && '),
    focus: 'edits',
  },
  mutant(
    'the claim history is not asked',
    FILES,
    'record.memo.generation = Math.max(seen, ',
    'record.memo.generation = Math.max(0, ',
  ),
];

const PUBLISHING: Mutant[] = [
  mutant(
    'views that a process has shown are left alone by all that it commits',
    FILES,
    'shown === record.state.state_version ? null',
    'shown !== undefined ? null',
  ),
  mutant(
    'no second look after publishing',
    VIEWS,
    'if (newestOf(yield* io.list(dir)) === head.file) return',
    'if (head.file > 0) return',
  ),
  mutant('edits are written over', VIEWS, 'if (!ours && !missing) {', 'if (foreign) {'),
  {
    ...mutant(
      'the name that an edit is moved to is not synced',
      VIEWS,
      '  const moved = missing ? (yield* io.list(dir)).some((found) => found.startsWith(ASIDE_PREFIX)) : !ours;\n  if (moved) yield* io.syncDir(dir);\n',
      '',
    ),
    focus: 'edits',
    late: true,
  },
  {
    ...mutant(
      'a swept view is not written again',
      VIEWS,
      'if (yield* renamed(tmp, path)) return;',
      'yield* renamed(tmp, path);\n      return;',
    ),
    focus: 'failures',
    late: true,
  },
  mutant(
    'an edit of an older version is obeyed',
    VIEWS,
    'if (madeOn !== record.state.state_version) {',
    'if (madeOn > record.state.state_version) {',
  ),
  mutant('an edit may take the generation back', VIEWS, '    before.memo.generation + (given ? 1 : 0),\n', ''),
  { ...mutant('a claim by hand shares the generation of the last one', VIEWS, '(given ? 1 : 0)', '0'), late: true },
  mutant('a quick look trusts any time', VIEWS, '> 1) return false', '> Number.MAX_VALUE) return false'),
];

const CREATING: Mutant[] = [
  mutant('create once: no fsync of the file', FILES, '    yield* io.syncFile(handle);\n  } finally {', '  } finally {'),
  mutant(
    'create once: rename in place of link',
    FILES,
    '    yield* io.link(tmp, file);',
    '    yield* io.rename(tmp, file);',
  ),
  mutant(
    'create once: no fsync of the folder',
    FILES,
    '  yield* io.syncDir(dir);\n  yield* quietly(io.unlink(tmp));\n  return true;',
    '  yield* quietly(io.unlink(tmp));\n  return true;',
  ),
  mutant(
    'create once: a loser does not wait for the winner to be durable',
    FILES,
    '    yield* io.syncDir(dir);\n    return false;',
    '    return false;',
  ),
];

const ASKING: Mutant[] = [
  {
    ...mutant(
      'an answer settles whatever question is open',
      QUESTIONS,
      'if (open === null || open.question_id !== answer.question_id) {',
      'if (open === null) {',
    ),
    focus: 'questions',
    late: true,
  },
  {
    ...mutant(
      'a parked task keeps its lease',
      QUESTIONS,
      'const ended = { by: lease, lease: null, nowMs',
      'const ended = { by: lease, lease, nowMs',
    ),
    focus: 'questions',
  },
  {
    ...mutant('an answer is written over', FILES, '    yield* io.link(tmp, file);', '    yield* io.rename(tmp, file);'),
    focus: 'questions',
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...COMMITTING,
  ...COMPACTION,
  ...READING,
  ...ADOPTION,
  ...PUBLISHING,
  ...CREATING,
  ...ASKING,
  ...STEP_MUTANTS,
];
