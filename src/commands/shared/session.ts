/** What a command works with: the project, its settings and stores, opened once a command. */

import { type Context, newId } from '../../domain/context.ts';
import type { Warning } from '../../domain/warnings.ts';
import { type Env, instantOf, secretsOf } from '../../engine/env.ts';
import { cacheOf } from '../../lib/fs/cache.ts';
import type { Driver } from '../../lib/fs/drivers.ts';
import { type Interrupts, UNINTERRUPTED } from '../../process/interrupts.ts';
import { BUILD } from '../../project/build.ts';
import { refuseForeign, requireProject } from '../../project/find-project.ts';
import { loadSettings } from '../../project/settings-file.ts';
import { claimHistory, publisher, questionNotices, type Subscriber } from '../../store/events.ts';
import { journalIn } from '../../store/journal.ts';
import { maskedArtifacts } from '../../store/masked-artifacts.ts';
import { openStores, type Stores } from '../../store/open.ts';
import type { TrackerKeeper } from '../../trackers/sync.ts';

/** How a command is called: the outside, and what holds for every command. */
export interface CommandContext<E = never> {
  ctx: Context;
  /** --dir, else FORGE_DIR. */
  dir?: string | undefined;
  /** Where state is kept. Default: in the project's state tree. */
  stores?: Stores;
  /** Opened for this call before. Default: the command opens it. */
  session?: Session | undefined;
  /** Called with what a person should know although nothing failed. */
  warn(message: string): void;
  /** Begins to listen for interruptions of this call; `stop` of what it returns ends that. Default: there are none. */
  interrupts?(options?: { leavesKeys(): boolean }): Interrupts & { stop(): void };
  /** Whether there is a terminal that a command can be given. Default: false. */
  terminal?: boolean;
  /** Called before what may take long, when the program can still read what it may need. Default: nothing is. */
  lasts?(): void;
  /** Aborted when the caller wants no more; for commands that follow what others do. */
  signal?: AbortSignal;
  /** Takes the events of a command that goes on over time, as they happen. `logs` waits for what it returns. */
  emit?(event: E): void | Promise<void>;
  /** Receives notes about slow work. Default: they are dropped. */
  note?(message: string): void;
  /** Called with what gc would apply, which is printed whatever form the answer has. Default: it is not printed. */
  say?(warning: Warning): void;
}

export type Session = Env & {
  /** What a person should know of the settings file. */
  settingsWarnings: readonly string[];
  /** As in `CommandContext`. */
  note(message: string): void;
  say(warning: Warning): void;
  interrupts(): Interrupts & { stop(): void };
  /** From here on commits don't wait for the tracker. What this returns waits for the calls under way, as long as for one. */
  background(): () => Promise<void>;
};

/** Opens the project that the call is about. Throws PHASES_NOT_FOUND, FOREIGN_PROJECT, SETTINGS_INVALID. */
export async function openSession(context: CommandContext, driver?: Driver): Promise<Session> {
  if (context.session !== undefined) return context.session;
  const paths = requireProject(context.ctx.cwd, context.dir, context.ctx.env);
  const { ctx } = context;
  const cache = cacheOf(paths.project, ctx.env, BUILD);
  const { settings, warnings: settingsWarnings } = await loadSettings(paths, cache);
  if (settings.plan !== null) refuseForeign(paths, ctx.env, [settings.plan]);
  const stores = context.stores ?? openStores(paths, driver, cache);
  const artifacts = maskedArtifacts(stores.artifacts, secretsOf({ ctx, settings }));
  const env = { ...stores, artifacts, now: ctx.now, instant: () => instantOf({ ctx }), newOp: () => newId(ctx) };
  const journal = journalIn(paths, ctx.now, settings.agents.log_rotate_max_bytes);
  const subscribers = [claimHistory(env), journal, questionNotices(env)];
  const session: Session = {
    ctx,
    paths,
    settings,
    settingsWarnings,
    cache,
    ...env,
    publish: publisher(subscribers, context.warn),
    warn: context.warn,
    note: (message) => context.note?.(message),
    say: (warning) => context.say?.(warning),
    lasts: () => context.lasts?.(),
    interrupts: () => context.interrupts?.() ?? UNINTERRUPTED,
    background: () => async () => {},
  };
  if (settings.tracker.type !== 'none') subscribers.push(syncTracker(session));
  return session;
}

/** Does `work` with the interruptions of the caller. */
export async function interruptible<T>(
  { interrupts: open }: Pick<CommandContext, 'interrupts'>,
  work: (interrupts: Interrupts) => Promise<T>,
): Promise<T> {
  const interrupts = open?.() ?? UNINTERRUPTED;
  try {
    return await work(interrupts);
  } finally {
    interrupts.stop();
  }
}

/** Keeps the tracker in step with what is committed. Nothing is loaded before something is. */
function syncTracker(session: Session): Subscriber {
  let keeper: Promise<TrackerKeeper | null> | undefined;
  let waits = true;
  session.background = () => {
    waits = false;
    return async () => {
      await (await keeper?.catch(() => null))?.settled();
    };
  };
  return async (events) => {
    keeper ??= import('../../trackers/sync.ts').then(({ keeperOf }) => keeperOf(session));
    const done = keeper
      .then((loaded) => loaded?.follow(events))
      .catch((error) => session.warn(`the tracker is not in step: ${String(error)}`));
    if (waits) await done;
  };
}
