/** The files that a plan is made of: the one that is named, and those that it includes. Each is read once. Pure: reading is passed in. */

import { posix as path } from 'node:path';
import { ForgeError, type Problem } from '../../lib/errors.ts';
import { listAt } from '../../lib/schema-issues.ts';
import { parseYaml, type Spelling, spellingIn, type YamlPath } from '../../lib/yaml.ts';
import type { Finding } from './findings.ts';
import type { PlanText } from './places.ts';
import { SMALLEST_PLAN } from './schema.ts';

export interface PlanPart extends PlanText {
  /** The whole file, with ids as it spells them. */
  value: unknown;
  spell: Spelling;
  /** Index of its first phase among those of all files. */
  offset: number;
  /** Files from the one that includes it up to the first. */
  above: readonly PlanPart[];
}

/** The text of a file, by its path from the project; null where there is none. What it throws is a problem of the plan, but for FOREIGN_PROJECT. */
export type ReadPlan = (file: string) => string | null;

interface Reading {
  parts: PlanPart[];
  problems: Problem[];
  /** By files: what is wrong with their `include`. Paths are those of the file. */
  findings: { part: PlanPart; finding: Finding }[];
}

/** What to write for a file that is not there: the way to it where it was named from the project. */
function wayTo(named: string, file: string, read: ReadPlan): string {
  const place = path.normalize(named);
  if (place.startsWith('../') || read(place) === null) return 'A path is relative to the file that includes it.';
  return `Write ${path.relative(path.dirname(file), place)}: a path is relative to the file that includes it.`;
}

/** Reads a plan and what it includes, in the order of the phases: first those of a file, then those of the files that it includes. */
export function readParts(
  first: PlanText,
  read: ReadPlan,
  prepare: (value: unknown, spell: Spelling) => unknown,
): Reading {
  const reading: Reading = { parts: [], problems: [], findings: [] };
  let offset = 0;
  const add = ({ file, text }: PlanText, above: readonly PlanPart[]): void => {
    const yaml = parseYaml(text, file);
    if (!yaml.ok) return void reading.problems.push(...yaml.problems);
    if (yaml.value === null) return void reading.problems.push(emptyFile(file));
    const spell = spellingIn(text);
    const part: PlanPart = { file, text, value: prepare(yaml.value, spell), spell, offset, above };
    reading.parts.push(part);
    offset += phasesOf(part).length;
    for (const [at, named] of listAt(part.value, 'include').entries()) {
      if (typeof named !== 'string' || named === '') continue;
      const place = path.normalize(path.join(path.dirname(file), named));
      const wrong = (message: string, suggestion?: string) =>
        reading.findings.push({
          part,
          finding: {
            path: ['include', at],
            message: `include: ${message}`,
            ...(suggestion === undefined ? {} : { suggestion }),
          },
        });
      if (path.isAbsolute(named) || place.startsWith('../')) {
        wrong(`${named} is not in the project`, 'Name a file of it, relative to this one.');
      } else if ([part, ...above].some((other) => other.file === place)) {
        const way = [...[part, ...above].map((other) => other.file).reverse(), place];
        wrong(`the files include each other in a circle: ${way.slice(way.indexOf(place)).join(' -> ')}`);
      } else if (!reading.parts.some((other) => other.file === place)) {
        const included = textOr(wrong, () => {
          const text = read(place);
          if (text === null) wrong(`there is no file ${place}`, wayTo(named, file, read));
          return text;
        });
        if (included !== null) add({ file: place, text: included }, [part, ...above]);
      }
    }
  };
  add(first, []);
  return reading;
}

/** Null, and a finding, where a file can't be read. Throws FOREIGN_PROJECT: nothing of such a project is told. */
function textOr(wrong: (message: string, suggestion: string) => void, read: () => string | null): string | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code === 'FOREIGN_PROJECT') throw error;
    wrong(error.message, 'Name a file of the project that can be read.');
    return null;
  }
}

function phasesOf({ value }: Pick<PlanPart, 'value'>): unknown[] {
  return listAt(value, 'phases');
}

/** The value of the first file, with the phases of all. */
export function mergedValue(parts: readonly PlanPart[]): unknown {
  const [first] = parts;
  if (first === undefined || parts.length === 1) return first?.value;
  return { ...(first.value as object), phases: parts.flatMap(phasesOf) };
}

/** From a path in the merged value to the file, and the path in that. What is not of a phase is in the first. */
export function partAt(parts: readonly PlanPart[], at: YamlPath): { part: PlanPart; path: YamlPath } {
  const [key, index, ...rest] = at;
  const owner =
    key === 'phases' && typeof index === 'number' ? parts.findLast(({ offset }) => offset <= index) : undefined;
  const part = (owner ?? parts[0]) as PlanPart;
  return { part, path: owner === undefined ? at : ['phases', Number(index) - part.offset, ...rest] };
}

/** The spelling of values by their paths in the merged value. */
export function spellingOf(parts: readonly PlanPart[]): Spelling {
  return (value, at) => {
    if (typeof value === 'string') return value;
    const { part, path: inside } = partAt(parts, at);
    return part.spell(value, inside);
  };
}

function emptyFile(file: string): Problem {
  return {
    message: 'the plan is empty',
    place: { file, line: 1, column: 1 },
    suggestion: `The smallest one that works: ${SMALLEST_PLAN}`,
  };
}
