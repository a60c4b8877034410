import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parsePlan } from '../../src/domain/plan/parse.ts';
import { parseSettings } from '../../src/domain/settings/parse.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import { shippedText } from '../../src/project/build.ts';
import { firstPlan } from '../../src/project/init.ts';

const settings = shippedText('templates/settings.yaml');

/** The same text with its commented-out YAML in force: lines like `# key: ...`, `# - ...` and what belongs to them. */
function uncommented(text: string, indent: string): string {
  const line = new RegExp(`^${indent}# ((?: *)(?:- |[a-z_]+:(?: |$)).*)$`);
  return text.replace(/.+/g, (whole) => {
    const content = line.exec(whole)?.[1];
    return content === undefined ? whole : `${indent}${content}`;
  });
}

describe('first plan', () => {
  test('the first plan is valid and names its schema for editors', () => {
    const text = firstPlan('demo');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../.forge/schema/phases.schema.json');
    const result = parsePlan(text, 'f');
    expect(result).toMatchObject({ ok: true, warnings: [], plan: { project: 'demo' } });
    expect(result.ok && result.plan.tasks.map((task) => task.run === null)).toEqual([false, false, false, false]);
  });

  test('the first plan is valid with the task that it shows in a comment', () => {
    const text = firstPlan('demo').replace(/^ {6}# (?=- id| {2})/gm, '      ');
    const result = parsePlan(text, 'f');
    expect(result.ok && result.plan.tasks.map(({ id, run }) => [id, run === null])).toContainEqual([
      'improve-readme',
      true,
    ]);
  });

  test.each(['it\'s "so": #1', '', 'a\u0007b', '- x', 'ünïcode ✓'])(
    'the first plan accepts any project name: %j',
    (name) => {
      const result = parsePlan(firstPlan(name), 'f');
      expect(result.ok).toBe(true);
    },
  );

  describe('first plan in a folder', () => {
    let dir: string;
    beforeEach(() => {
      dir = fs.mkdtempSync(path.join(os.tmpdir(), 'forge-first-plan-'));
      fs.writeFileSync(path.join(dir, 'a file'), '');
    });
    afterEach(() => fs.rmSync(dir, { recursive: true }));

    test('the first plan runs with /bin/sh alone', () => {
      const result = parsePlan(firstPlan('demo'), 'f');
      const outputs = (result.ok ? result.plan.tasks : []).map((task) => {
        for (const command of [task.run ?? 'false', ...task.verify]) {
          const output = execFileSync('/bin/sh', ['-c', command], { cwd: dir, encoding: 'utf8' });
          if (command === task.run && task.id === 'show-summary') return output;
        }
        return '';
      });
      expect(outputs.at(-1)).toMatch(/^Files: +1\n/);
      expect(fs.readdirSync(dir).toSorted()).toEqual(['.forge', 'a file']);
    });
  });
});

describe('first settings', () => {
  test('the first settings change nothing', () => {
    expect(parseSettings(settings, 'f')).toEqual({ ok: true, settings: DEFAULT_SETTINGS, warnings: [] });
  });

  test('the first settings show existing keys with their real defaults', () => {
    const [head, body] = settings.split('version: 1\n');
    const result = parseSettings(`${head}version: 1\n${uncommented(body ?? '', '')}`, 'f');
    expect(result).toMatchObject({ ok: true, warnings: [] });
    if (!result.ok) return;
    const {
      hard_lock_globs: locks,
      worktree_copy: copies,
      max_parallel,
      worker,
      worker_command,
      ...agents
    } = result.settings.agents;
    expect(max_parallel).not.toBeNull();
    expect([worker, worker_command]).not.toContain(null);
    expect(DEFAULT_SETTINGS.agents.hard_lock_globs).toEqual(expect.arrayContaining([...locks]));
    expect(DEFAULT_SETTINGS.agents.worktree_copy).toEqual(expect.arrayContaining([...copies]));
    expect(DEFAULT_SETTINGS.agents).toMatchObject(agents);
    expect(result.settings.tracker).toEqual(DEFAULT_SETTINGS.tracker);
    expect(result.settings.workspace).toBe(DEFAULT_SETTINGS.workspace);
    expect(result.settings.errors).toHaveLength(1);
  });
});
