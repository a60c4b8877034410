/** The way through one command: read the command line, ask the verb, print its answer. */

import type { VerbName } from '../commands/registry.ts';
import type { Warning } from '../domain/warnings.ts';
import { EXIT } from '../lib/errors.ts';
import { isTerminal, leaveTerminal, Output } from './output.ts';
import { parseArgv, type Request } from './program.ts';
import { Screen } from './screen.ts';
import type { View } from './view.ts';

export interface MainOptions {
  /** Without node and script. */
  argv: readonly string[];
  version(): string;
  /** Reads into memory what may still be loaded, before a command that goes on for long. Default: nothing. */
  keep?: (() => void) | undefined;
}

/**
 * Whether the command line was understood. Never rejects. The exit code is left in `process.exitCode`, so that what is still being written
 * can go out.
 */
export async function main({ argv, version, keep }: MainOptions): Promise<boolean> {
  if (argv[0] === '__complete') {
    const { candidateLines } = await import('./candidates.ts');
    new Output().write('stdout', await candidateLines(argv.slice(2)));
    return true;
  }
  const screen = await Screen.open(argv, process.env);
  process.on('uncaughtException', (error) => {
    // Whatever threw outside of every promise may also have been what would end this process.
    void screen.fail(error).then((code) => process.exit(code));
  });
  let understood = false;
  try {
    if (argv[0] === '__acp') {
      keep?.();
      const { actOn } = await import('./act.ts');
      process.exitCode = await actOn(argv.slice(1), { env: process.env, cwd: process.cwd(), output: screen.output });
    } else {
      const request = await parseArgv(argv, process.env);
      understood = true;
      process.exitCode = await answer(request, screen, { version, keep });
    }
  } catch (error) {
    process.exitCode = await screen.fail(error);
  }
  if (screen.output.failed) process.exitCode = EXIT.failed;
  return understood;
}

async function answer(request: Request, screen: Screen, { version, keep }: Omit<MainOptions, 'argv'>): Promise<number> {
  if (request.kind === 'version') {
    screen.output.line('stdout', version());
    return EXIT.ok;
  }
  if (request.kind === 'help') {
    const { helpFor, schemaOf } = await import('./help.ts');
    const data = screen.json && request.verb !== null ? await schemaOf(request.verb) : null;
    if (data !== null) screen.give(data, () => '');
    else screen.print('stdout', await helpFor(request.verb, screen.renderContext('stdout')));
    return EXIT.ok;
  }
  const { verb, command, dir } = request;
  process.once('exit', leaveTerminal);
  screen.dir = dir;
  screen.verb = verb || null;
  // Only now: neither help nor a slip on the command line needs them.
  const { systemContext } = await import('../process/system-context.ts');
  const { listenToSignals } = await import('../process/interrupts.ts');
  const { asIoError } = await import('../lib/fs/io-errors.ts');
  const { VIEWS } = await import('./views.ts');
  const { withStdin } = await import('./input.ts');
  try {
    const given = withStdin(command.input, request.input);
    const context = {
      ctx: systemContext(),
      interrupts: listenToSignals,
      ...(keep === undefined ? {} : { lasts: keep }),
      terminal: verb === 'exec' && isTerminal('stdin'),
      dir,
      warn: (message: string) => screen.warn(message),
      note: (message: string) => screen.note(message),
      say: (warning: Warning) => screen.say(warning),
    };
    const whole =
      request.ids.length === 0
        ? { input: given }
        : await (await import('../commands/shared/whole-ids.ts')).withWholeIds(context, request.ids, given);
    const { input, session } = whole;
    const view = VIEWS[verb] as View<VerbName>;
    const followed = view.follow?.({ context, screen, version }, input as never) ?? null;
    if (followed !== null) return await followed;
    const data = await command.run({ ...context, session }, input as never);
    const render = (screen.json ? undefined : await view.text?.())?.[verb] as
      | ((...given: unknown[]) => string)
      | undefined;
    screen.give(data, (renderContext) => render?.(data, renderContext, input) ?? '', view);
    return (await view.exitCode?.(data as never, input as never)) ?? EXIT.ok;
  } catch (error) {
    throw asIoError(error, verb || 'forge orchestrate');
  }
}
