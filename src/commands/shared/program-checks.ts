/** Checks of `doctor` on the programs that workers call. They are judged by their files; none is started. */

import { loginOf, olderThan } from '../../domain/agents/accounts.ts';
import { isPresetAgent } from '../../domain/agents/known.ts';
import { agentsIn, installHint, otherMaker } from '../../domain/plan/agent-programs.ts';
import { commandFor, PRESETS, presetOf } from '../../domain/plan/task-command.ts';
import { reviewCommand, reviewWarnings } from '../../domain/review/reviewer.ts';
import { oneLine } from '../../lib/text.ts';
import { findProgram, isThisForge, missingProgram, packageOf } from '../../process/programs.ts';
import { isThere } from '../../project/user-files.ts';
import { type Facts, type Finding, fail, ok, warn } from './checks.ts';

function presetsIn(agents: Facts['settings']['agents'], plan: Facts['plan']): Set<keyof typeof PRESETS> {
  const tasks = plan?.tasks.filter(({ run, human }) => run === null && !human) ?? [];
  return new Set([{ worker: null }, ...tasks].flatMap((task) => presetOf(task, agents) ?? []));
}

/** The agents that settings and plan choose can be called; looked at only where they choose any. */
export function worker({ ctx, paths, settings: { agents }, plan }: Facts): Finding | null {
  const presets = presetsIn(agents, plan);
  if (presets.size === 0) return null;
  const missing = [...presets].filter((preset) => missingProgram(preset, ctx.env, paths.project) !== null);
  if (missing.length === 0)
    return ok(`tasks without run are done by ${[...presets].map((preset) => PRESETS[preset].program).join(', ')}`);
  const fixes = missing.map((preset) => installHint(PRESETS[preset].program));
  return fail(
    missing.map((preset) => `there is no ${PRESETS[preset].program} on PATH for worker: ${preset}`).join('; '),
    `${fixes.join('. ')}; put it on PATH; or set agents.worker_command.`,
  );
}

/** The agent that reviews can be called, and is another than the authors; looked at only where one reviews. */
export function reviewer({ ctx, paths, settings, plan }: Facts): Finding | null {
  const { worker: agent } = settings.review;
  if (agent === null) return null;
  const missing = missingProgram(agent, ctx.env, paths.project);
  if (missing !== null)
    return fail(
      `there is no ${missing} on PATH for review.worker: ${agent}`,
      `${installHint(missing)}; put it on PATH; or set review.command.`,
    );
  const [same] = reviewWarnings(plan?.tasks ?? [], settings);
  if (same !== undefined) return warn(same, 'Set review.model, or another review.worker.');
  return ok(`verified work is reviewed by ${PRESETS[agent].program}`);
}

/**
 * The agents that are there have a version that forge knows, and a login; looked at only where any is chosen. On macOS a login may be in the
 * keychain, which is not asked.
 */
export function accounts({ ctx, paths, settings, plan }: Facts): Finding | null {
  const agents = [...new Set([...presetsIn(settings.agents, plan), settings.review.worker])].filter(isPresetAgent);
  const found = agents.flatMap((agent) => {
    const file = findProgram(PRESETS[agent].program, ctx.env, paths.project);
    if (file === null) return [];
    const version = packageOf(file)?.version ?? '';
    const login = loginOf(agent, ctx.env, isThere);
    const tried = olderThan(agent, version);
    const old = tried === null ? [] : [`${agent} ${version} is older than ${tried}, with which forge was tried`];
    const lost = 'missing' in login && process.platform !== 'darwin' ? [login] : [];
    const fixes = [
      ...(tried === null ? [] : [installHint(PRESETS[agent].program)]),
      ...lost.map(({ login }) => `Log in: \`${login}\``),
    ];
    const words = `${agent} ${version}`.trim() + ('found' in login ? ` (login: ${login.found})` : '');
    return [{ words, wrong: [...old, ...lost.map(({ missing }) => missing)], fixes }];
  });
  if (found.length === 0) return null;
  const wrong = found.flatMap((each) => each.wrong);
  if (wrong.length === 0) return ok(found.map(({ words }) => words).join(', '));
  return warn(
    wrong.join('; '),
    `${found.flatMap(({ fixes }) => fixes).join('. ')}. Leave it if the agent has its login elsewhere.`,
  );
}

/** The agents that plan and settings call by name are those of their makers; looked at only where they call any. */
export function publishers({ ctx, paths, settings, plan }: Facts): Finding | null {
  const { agents } = settings;
  const none = { run: null, shell: null, worker: null, model: null, args: null };
  const commands = [none, ...(plan?.tasks ?? [])].map((task) => commandFor(task, agents)?.command ?? '');
  // That of an agent of the protocol is an argument.
  const others = [agents.worker_command ?? '', reviewCommand(settings.review)?.command ?? ''];
  const called = [...new Set([...commands, ...others].flatMap(agentsIn))].sort();
  const there = called.flatMap((program) => {
    const file = findProgram(program, ctx.env, paths.project);
    return file === null ? [] : [{ program, file }];
  });
  const found = there.flatMap(({ program, file }) => {
    const from = packageOf(file);
    const maker = from && otherMaker(program, from.name);
    return from === null || maker === null ? [] : [{ program, file, from, maker }];
  });
  if (found.length === 0)
    return there.length === 0
      ? null
      : ok(`no problem found with ${there.map(({ program }) => program).join(', ')} on PATH`);
  const told = found.map(({ program, file, from, maker }) => {
    return `${program} on PATH (${file}) is of the package ${oneLine(from.name, 80)}, not by ${maker}`;
  });
  const fixes = found.map(({ program, from }) => `npm uninstall -g ${oneLine(from.name, 80)}. ${installHint(program)}`);
  return fail(`${told.join('; ')}: workers would start it, with your rights`, `${fixes.join('. ')}.`);
}

/** The `forge` that workers may call by name is this one. */
export function forge({ ctx, paths }: Facts): Finding {
  const file = findProgram('forge', ctx.env, paths.project);
  if (file === null) return ok('there is no forge on PATH; workers find this one');
  if (isThisForge(file)) return ok('the forge on PATH is this one');
  const from = packageOf(file);
  const of = from === null ? '' : ` (of the package ${oneLine(`${from.name} ${from.version}`.trim(), 80)})`;
  return warn(
    `the first forge on PATH is ${file}${of}, not this one: an agent that calls \`forge\` starts that one`,
    'Call `"$FORGE_CLI" orchestrate` in commands of workers, and `forge-orchestrate` elsewhere; or put this one first on PATH.',
  );
}
