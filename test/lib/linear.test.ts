/**
 * Text of workers, plans, settings and trackers, of a million characters (a quarter of it in the short run) and of a kind that a search
 * that backtracks needs minutes or hours for. In linear time each takes milliseconds, so the tests need no clock: any other ends at the time
 * limit.
 */

import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { cut, widest, wrap } from '../../src/cli/layout.ts';
import { parsePlan } from '../../src/domain/plan/parse.ts';
import { classifyError, errorClassSchema } from '../../src/domain/retry/classify.ts';
import { errorLine } from '../../src/domain/retry/error-line.ts';
import { parseSettings } from '../../src/domain/settings/parse.ts';
import { verifyCommands } from '../../src/domain/verify/commands.ts';
import { readLines } from '../../src/lib/fs/json-lines.ts';
import { globOf, matches } from '../../src/lib/globs/globs.ts';
import { globFault } from '../../src/lib/globs/syntax.ts';
import { parseJson } from '../../src/lib/json.ts';
import { codeSpan, fenced, ownMarkdown } from '../../src/lib/markdown.ts';
import { matchesIn } from '../../src/lib/patterns.ts';
import { closest, lastLine, oneLine, outputText, plainText } from '../../src/lib/text.ts';
import { parseDuration } from '../../src/lib/time.ts';
import { parseYaml, positionsOf } from '../../src/lib/yaml.ts';
import { locateSection } from '../../src/project/agents-file.ts';
import { decodeVersion, isSealedView } from '../../src/store/file/record-file.ts';
import { sized } from '../support/faults/knobs.ts';

const SIZE = sized(250_000, 1_000_000, 1_000_000);
const LIMIT_MS = sized(30_000, 120_000, 120_000);
const ESC = '\u001b';

/** `part` as often as it fits. */
const many = (part: string) => part.repeat(SIZE / part.length);

/** What a pattern may repeat; behind each follows what it may not end with. */
const SPACES = [many(' '), many('\n'), many('\r\n')];
const ESCAPES = [many(`${ESC}[`), `${ESC}[${many('0')}`, `${ESC}[${many(' ')}`, many(`${ESC}]`), `${ESC}]${many('a')}`];
const MARKDOWN = [many('`'), `\`${many('a')}`, many('` '), many('~'), many('> ')];
const NAMES = [many('-'), many('.'), many('7'), many('a'), many('a.'), many('-.')];
const PATHS = [many('./'), many('a/'), many('a'), many('*'), many('{')];
const RECORDS = [many('['), many('{'), many('"'), many(',"sum":"'), many(',\n  "checksum": "')];
const MARKS = [many('<!-- forge:'), `<!-- forge:begin -->${many(' ')}`, `<!-- forge:begin -->${many('\r')}`];

const OUTPUTS = [
  ...SPACES,
  ...NAMES,
  many(' at x {\n'),
  many('  error: |-\n'),
  many('Error'),
  many(' a.go:1'),
  many('1 failed, '),
];

const settings = (value: object) => parseSettings(JSON.stringify(value), 'f').ok;

/** What reads text from elsewhere, and a part of what it makes of it. */
const READERS: [name: string, runs: readonly string[], read: (text: string) => unknown, expected: unknown][] = [
  ['plainText', [...SPACES, ...ESCAPES], (text) => plainText(text).includes(ESC), false],
  ['oneLine', [...SPACES, ...ESCAPES], (text) => oneLine(text).length <= 200, true],
  ['lastLine', [...SPACES, ...ESCAPES], (text) => lastLine(text).length <= 200, true],
  ['outputText', [...SPACES, ...ESCAPES, many('\r')], (text) => outputText(text).includes(ESC), false],
  ['errorLine', OUTPUTS, (text) => errorLine([text, `${text}\n# duration_ms 1`]).length <= 500, true],
  ['closest', NAMES, (text) => closest(text, [text, `${text}x`, 'status']), null],
  ['fenced', [...SPACES, ...MARKDOWN], (text) => fenced(text, { info: '', max: 9000 }).length <= 9128, true],
  ['codeSpan', [...SPACES, ...MARKDOWN], (text) => codeSpan(text).length <= 700, true],
  ['ownMarkdown', [...SPACES, ...MARKDOWN], (text) => ownMarkdown(text, SIZE).length > 3 * SIZE, false],
  ['cutting to a width', SPACES, (text) => cut(text, 80).length <= 80, true],
  ['wrap', [...SPACES, ...MARKDOWN], (text) => wrap(text, 80).length > 0, true],
  ['widest', SPACES, (text) => widest(80, [text]) <= 80, true],
  ['parseJson', RECORDS, parseJson, undefined],
  ['readLines', [...SPACES, ...RECORDS], readLines, []],
  ['decodeVersion', RECORDS, decodeVersion, { kind: 'void' }],
  ['isSealedView', RECORDS, isSealedView, false],
  ['parseDuration', NAMES, parseDuration, null],
  ['the schema of error classes', NAMES, (text) => z.safeParse(errorClassSchema(), text).success, false],
  ['verifyCommands', NAMES, (text) => verifyCommands([text], null).length, 1],
  ['globFault', PATHS, (text) => globFault(text)?.message, 'has more than 200 characters'],
  ['matches', [many('a/'), many('a')], (text) => matches(globOf('**/*a*{a,?}*b'), text), false],
  ['locateSection', [...SPACES, ...MARKS], (text) => locateSection(text).kind === 'found', false],
  ['parseYaml', [many(' '), ...RECORDS, ...NAMES], (text) => typeof parseYaml(`- ${text}`, 'f').ok, 'boolean'],
  ['positionsOf', [many(' '), ...RECORDS, ...NAMES], (text) => positionsOf(`- ${text}`).place(['x'])?.line ?? 1, 1],
  ['the check of ids', NAMES, (id) => parsePlan(JSON.stringify({ project: 'p', phases: [{ id }] }), 'f').ok, false],
  ['the check of durations', NAMES, (text) => settings({ agents: { kill_grace_ms: text } }), false],
  ['the check of patterns', NAMES, (text) => settings({ errors: [{ class: 'a', output: text }] }), false],
  ['a pattern of errors', NAMES, (text) => matchesIn('(a+a+)+y|(-|-)*y|^(\\d*)*y', text), false],
  ['the message of an error', [...SPACES, ...ESCAPES], (outputTail) => failure(outputTail).message.length <= 200, true],
];

const failure = (outputTail: string) => classifyError({ exitCode: 1, signal: null, outputTail });

describe('text from elsewhere', () => {
  test.each(READERS)(
    '%s takes linear time on adversarial text',
    { timeout: LIMIT_MS },
    (_name, runs, read, expected) => {
      for (const run of runs) {
        for (const text of [`${run}!`, `x${run}!`]) expect(read(text)).toEqual(expected);
      }
    },
  );
});
