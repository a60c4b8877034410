/** Tells what `notify` of the settings names of a run: commands and web addresses. It stops and slows nothing; what fails is a warning. */

import type { RunEvent } from '../../domain/run/events.ts';
import { type Notification, notificationOf } from '../../domain/run/notifications.ts';
import { maskedIn } from '../../domain/secrets.ts';
import type { NotifySettings } from '../../domain/settings/settings.ts';
import { inherited } from '../../domain/task/workspaces.ts';
import { runWithInput } from '../../process/command-with-input.ts';
import { type Env, secretsOf } from '../env.ts';

/** How long one may take, and all that are left at the end, milliseconds. */
const ONE_MS = 10_000;
const END_MS = 10_000;
/** How many are told at once, and may wait for that. */
const AT_ONCE = 4;
const WAITING = 200;

type Run = { run_id: string; project: string; titleOf(taskId: string): string | null };

interface Message {
  target: NotifySettings;
  notification: Notification;
}

export class Notifier {
  readonly #env: Env;
  readonly #run: Run;
  readonly #queue: Message[] = [];
  readonly #telling = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** Targets of which a warning has said that they fail, and how often they have failed since. */
  readonly #failed = new Map<NotifySettings, number>();
  #dropped = 0;

  constructor(env: Env, run: Run) {
    this.#env = env;
    this.#run = run;
  }

  /** To be called when what `event` says is committed. Returns at once. */
  readonly see = (event: RunEvent): void => {
    const run = { ...this.#run, nowMs: this.#env.now() };
    for (const target of this.#env.settings.notify) {
      const notification = notificationOf(event, target.on, run);
      if (notification === null) continue;
      if (this.#queue.length >= WAITING) this.#dropped += 1;
      else this.#queue.push({ target, notification: maskedIn(notification, secretsOf(this.#env)) });
    }
    this.#next();
  };

  #next(): void {
    while (this.#telling.size < AT_ONCE && !this.#stop.signal.aborted) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      const telling = this.#tell(message).finally(() => {
        this.#telling.delete(telling);
        this.#next();
      });
      this.#telling.add(telling);
    }
  }

  /** Never rejects. */
  async #tell({ target, notification }: Message): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ONE_MS)]);
    const why =
      target.command === null
        ? await this.#post(target.webhook ?? '', notification, signal)
        : await this.#start(target.command, notification, signal);
    if (why === null) return;
    const before = this.#failed.get(target);
    this.#failed.set(target, (before ?? -1) + 1);
    const late = signal.aborted && !this.#stop.signal.aborted ? `it took longer than ${ONE_MS / 1000}s` : why;
    if (before === undefined) this.#env.warn(`notify: ${this.#nameOf(target)} failed: ${late}`);
  }

  #start(command: string, notification: Notification, signal: AbortSignal): Promise<string | null> {
    const input = JSON.stringify(notification);
    const { event, task_id, title, text, run_id } = notification;
    const given = Object.entries(inherited(this.#env.ctx.env)).filter(([, value]) => value !== undefined);
    const env = {
      ...(Object.fromEntries(given) as Record<string, string>),
      FORGE_NOTIFY_EVENT: event,
      FORGE_NOTIFY_RUN_ID: run_id,
      FORGE_NOTIFY_TASK_ID: task_id ?? '',
      FORGE_NOTIFY_TITLE: title ?? '',
      FORGE_NOTIFY_TEXT: text,
      FORGE_NOTIFY_JSON: input,
    };
    return runWithInput(command, { cwd: this.#env.paths.project, env, input: `${input}\n`, signal });
  }

  async #post(webhook: string, notification: Notification, signal: AbortSignal): Promise<string | null> {
    const url = this.#address(webhook);
    if (url === null) return `${webhook} is not an address, or not set`;
    try {
      const headers = { 'content-type': 'application/json', 'user-agent': 'forge-orchestrate', ...loginIn(url) };
      const withoutLogin = Object.assign(new URL(url), { username: '', password: '' });
      // Behind a redirect most servers get a GET without the message.
      const redirect = 'manual';
      const body = JSON.stringify(notification);
      const response = await fetch(withoutLogin, { method: 'POST', headers, body, signal, redirect });
      await response.body?.cancel();
      return response.ok ? null : `it answered with ${response.status}`;
    } catch (error) {
      if (signal.aborted) return 'it was stopped';
      // What undici says of the cause names a code and a host, and no path.
      const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string };
      return cause?.code ?? cause?.message ?? message;
    }
  }

  /** Null where it is none, or its variable is not set: an address that is a secret stands in a variable. */
  #address(webhook: string): URL | null {
    const name = /^\$\{?(\w+)\}?$/.exec(webhook)?.[1];
    const text = name === undefined ? webhook : (this.#env.ctx.env[name] ?? '');
    const url = URL.canParse(text) ? new URL(text) : null;
    return url !== null && /^https?:$/.test(url.protocol) ? url : null;
  }

  /** For people: of an address no more than the host, since its path may be a secret. */
  #nameOf({ command, webhook }: NotifySettings): string {
    if (command !== null) return `the command ${JSON.stringify(command.slice(0, 60))}`;
    return this.#address(webhook ?? '')?.host ?? 'a webhook';
  }

  /** To be called once, at the end: waits for what is left, for a while, and stops the rest. `atOnce`: waits for nothing. */
  async settled(atOnce = false): Promise<void> {
    const now = () => this.#env.ctx.monotonicMs();
    const end = now() + (atOnce ? 0 : END_MS);
    while (this.#telling.size > 0 && now() < end) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, Math.max(0, end - now()));
      });
      await Promise.race([...this.#telling, late]);
      clearTimeout(timer);
    }
    const left = this.#queue.length + this.#dropped + [...this.#failed.values()].reduce((sum, more) => sum + more, 0);
    this.#stop.abort();
    await Promise.all(this.#telling);
    if (left > 0) this.#env.warn(`notify: ${left} more notifications were not delivered`);
  }
}

/** The header for a user and a password in an address, which `fetch` takes in no other way. */
function loginIn({ username, password }: URL): { authorization?: string } {
  if (username === '' && password === '') return {};
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
}
