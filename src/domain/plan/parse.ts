/** Parses the text of a plan file, or finds everything that is wrong with it. `spec/PLAN.md` describes the file. */

import type { Problem } from '../../lib/errors.ts';
import { parseDuration } from '../../lib/time.ts';
import { parseYaml, type Spelling, spellingIn, type YamlPath } from '../../lib/yaml.ts';
import { checkOutline, outlineOf } from './checks.ts';
import { shapeFindings, toProblems, WITHOUT_WORDS } from './findings.ts';
import { indexed, type Plan, type PlanPhase, type PlanSource, type PlanTask } from './plan.ts';
import { DEFERRED_STATUS, type PhaseYaml, type PlanYaml, planSchema, type TaskYaml } from './schema.ts';
import { checkTasks, planLabel, suggestIds } from './value-checks.ts';

type PlanResult = { ok: true; plan: Plan; warnings: string[] } | { ok: false; problems: Problem[] };

/**
 * Reads a plan. All problems are reported, in file order, each with line and column; `file` is the name they show. A plan that
 * cannot be completed is a problem too: one with cycles, or with tasks that wait for each other across phases. Warnings are for
 * what is legal and probably not meant.
 */
export function parsePlan(text: string, file: string): PlanResult {
  const yaml = parseYaml(text, file);
  if (!yaml.ok) return yaml;
  if (yaml.value === null) return { ok: false, problems: [emptyFile(file)] };
  const outline = outlineOf(yaml.value);
  const spell = spellingIn(text);
  const shape = planSchema().safeParse(yaml.value, WITHOUT_WORDS);
  const issues = shape.success ? [] : shape.error.issues;
  const findings = [
    ...suggestIds(shapeFindings(planSchema(), yaml.value, issues, planLabel(yaml.value)), yaml.value),
    ...checkOutline(outline, spell),
    ...checkTasks(yaml.value, outline),
  ];
  if (findings.length > 0 || !shape.success) return { ok: false, problems: toProblems(findings, text, file) };
  const plan = buildPlan(shape.data, spell);
  return { ok: true, plan, warnings: warningsOf(plan) };
}

function emptyFile(file: string): Problem {
  return {
    message: 'the plan is empty',
    place: { file, line: 1, column: 1 },
    suggestion: 'It needs at least project and phases.',
  };
}

// ---------------------------------------------------------------------------------------------- the plan itself

function buildPlan(yaml: PlanYaml, spell: Spelling): Plan {
  const tasks = yaml.phases.flatMap((phase, i) =>
    phase.tasks.map((task, j) => buildTask(task, phase.id, ['phases', i, 'tasks', j], spell)),
  );
  const phases = yaml.phases.map(buildPhase);
  return indexed({
    project: yaml.project,
    tracker_url: yaml.tracker_url || null,
    gate_check_command: yaml.gate_check_command || null,
    source: yaml.source ? buildSource(yaml.source, spell) : null,
    phases,
    tasks,
  });
}

function buildSource(source: NonNullable<PlanYaml['source']>, spell: Spelling): PlanSource {
  return {
    tracker: source.tracker || null,
    project_id: spell(source.project_id ?? '', ['source', 'project_id']) || null,
    synced_at: source.synced_at || null,
    spec_revision: spell(source.spec_revision ?? '', ['source', 'spec_revision']) || null,
  };
}

function buildPhase(phase: PhaseYaml): PlanPhase {
  return {
    id: phase.id,
    name: phase.name,
    status: phase.status ?? 'active',
    blocked_by: phase.blocked_by || null,
    goal: phase.goal || null,
    gate_criteria: phase.gate_criteria ?? [],
    task_ids: phase.tasks.map((task) => task.id),
  };
}

function buildTask(task: TaskYaml, phaseId: string, path: YamlPath, spell: Spelling): PlanTask {
  const env = Object.entries(task.env ?? {}).map(([name, value]) => [name, spell(value, [...path, 'env', name])]);
  const budget = task.question_budget;
  return {
    id: task.id,
    phase_id: phaseId,
    title: task.title,
    description: task.description || null,
    type: task.type || null,
    priority: task.priority ?? 'P1',
    estimate: task.estimate ?? null,
    owner_type: task.owner_type || null,
    human: task.owner_type === 'human',
    depends_on: [...new Set(task.depends_on)],
    acceptance: task.acceptance ?? [],
    write_globs: task.write_globs ?? [],
    tracker_issue_id: spell(task.tracker_issue_id ?? '', [...path, 'tracker_issue_id']) || null,
    status: task.status === DEFERRED_STATUS ? 'paused' : (task.status ?? 'active'),
    question_budget: budget ? { soft: budget.soft ?? null, hard: budget.hard ?? null } : null,
    run: task.run ?? null,
    verify: task.verify ?? [],
    timeout_ms: parseDuration(task.timeout),
    env: Object.fromEntries(env),
    retry: task.retry ?? null,
  };
}

// ---------------------------------------------------------------------------------------------- what is probably not meant

function warningsOf({ phases, tasks, byId }: Plan): string[] {
  const awaited = new Set(phases.map((phase) => phase.blocked_by));
  const empty = phases.filter(
    (phase) => phase.task_ids.length === 0 && phase.status !== 'done' && awaited.has(phase.id),
  );
  return [
    ...empty.map(({ id }) => `phase "${id}" has no tasks, so it counts as finished and blocks nothing`),
    ...tasks.flatMap((task) => {
      const dropped = task.depends_on.filter((id) => byId.get(id)?.status === 'dropped');
      const isOver = task.status === 'done' || task.status === 'dropped';
      return [
        ...(isOver
          ? []
          : dropped.map((id) => `task "${task.id}" depends on "${id}", which is dropped, so it can never start`)),
        ...(task.human && task.run !== null ? [`task "${task.id}" is for a human, so its run is never executed`] : []),
      ];
    }),
  ];
}
