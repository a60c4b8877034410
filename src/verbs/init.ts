/** `init`: a first plan and settings, to go on from. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstPlan, firstSettings } from '../core/templates.ts';
import { readShipped, writeNew } from '../store/init-files.ts';
import { layoutOf } from '../store/layout.ts';
import { findProject, planPlaceOf } from '../store/project.ts';
import { FileStore } from '../store/store.ts';
import type { Call } from './session.ts';

// The same way up from src/verbs and from the bundle in dist/cli.
const SCHEMAS = fileURLToPath(new URL('../../spec/schema/', import.meta.url));

export interface InitData {
  project: string;
  /** Files that were written, as seen from the project's folder. */
  created: string[];
  /** Files that were there already and were left as they are. */
  kept: string[];
}

/**
 * Writes what is missing of: a plan that runs as it is, settings with every key explained, and the JSON Schemas that
 * editors check both with. Works in the current folder, or in --dir. A second time it changes nothing.
 */
export async function init(call: Call): Promise<InitData> {
  const layout = findProject(call.ctx.cwd, call.dir ?? call.ctx.cwd) ?? layoutOf(call.ctx.cwd);
  new FileStore(layout).ensureTree();
  const plan = planPlaceOf(layout);
  const files: [string, () => string][] = [
    ['.forge/schema/phases.schema.json', () => readShipped(`${SCHEMAS}phases.schema.json`)],
    ['.forge/schema/settings.schema.json', () => readShipped(`${SCHEMAS}settings.schema.json`)],
    ['.forge/settings.yaml', () => firstSettings('schema/settings.schema.json')],
    [plan, () => firstPlan(path.basename(layout.project), '../.forge/schema/phases.schema.json')],
  ];
  const data: InitData = { project: layout.project, created: [], kept: [] };
  for (const [file, text] of files) {
    const written = writeNew(path.join(layout.project, file), text());
    (written ? data.created : data.kept).push(file);
  }
  return data;
}
