/** Where a task, or a phase, stands in the texts of a plan. */

import { listAt, valueAt } from '../../lib/schema-issues.ts';
import { parseYaml, type Spelling, spellingIn, type YamlPath } from '../../lib/yaml.ts';

/** A file of a plan, as it was read. */
export interface PlanText {
  /** As a person writes it, relative to the project. */
  file: string;
  text: string;
}

export interface PlanPlace extends PlanText {
  path: YamlPath;
  /** Of the whole file. */
  value: unknown;
  spell: Spelling;
}

/** The place of a task of the plan; null without one of that id. */
export function taskPlace(texts: readonly PlanText[], id: string): PlanPlace | null {
  return placeIn(texts, (value, spell) => {
    for (const [i, phase] of listAt(value, 'phases').entries()) {
      const at = ['phases', i, 'tasks'];
      const found = indexOf(listAt(phase, 'tasks'), id, spell, at);
      if (found >= 0) return [...at, found];
    }
    return null;
  });
}

export function phasePlace(texts: readonly PlanText[], id: string): PlanPlace | null {
  return placeIn(texts, (value, spell) => {
    const found = indexOf(listAt(value, 'phases'), id, spell, ['phases']);
    return found < 0 ? null : ['phases', found];
  });
}

function placeIn(
  texts: readonly PlanText[],
  pathIn: (value: unknown, spell: Spelling) => YamlPath | null,
): PlanPlace | null {
  for (const { file, text } of texts) {
    const yaml = parseYaml(text, file);
    const spell = spellingIn(text);
    const path = yaml.ok ? pathIn(yaml.value, spell) : null;
    if (yaml.ok && path !== null) return { file, text, path, value: yaml.value, spell };
  }
  return null;
}

function indexOf(parts: readonly unknown[], id: string, spell: Spelling, path: YamlPath): number {
  return parts.findIndex((part, at) => {
    const named = valueAt(part, ['id']);
    const isScalar = typeof named === 'string' || typeof named === 'number' || typeof named === 'boolean';
    return isScalar && spell(named, [...path, at, 'id']) === id;
  });
}
