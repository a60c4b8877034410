/**
 * A client of the Agent Client Protocol that has an agent do one task: it starts the agent, opens a session in the workspace, hands in the
 * prompt, allows what the presets of other agents allow, and ends with the turn. What happens it writes as lines of JSON.
 *
 * It offers neither files nor terminals: the agent has its own. Source: agentclientprotocol.com, version 1.
 */

import path from 'node:path';
import { fieldsOf, listOf, textOf } from '../domain/agents/events.ts';
import { errorMessage } from '../lib/errors.ts';
import { type PipedProgram, startPiped } from '../process/piped.ts';
import {
  type ClientContext,
  client,
  type InitializeResponse,
  methods,
  type NewSessionResponse,
  ndJsonStream,
  PROTOCOL_VERSION,
  type PromptResponse,
  RequestError,
  type RequestPermissionRequest,
} from './acp-sdk.ts';
import { AgentUpdates } from './updates.ts';

export interface AcpTask {
  /** The agent's command line, for /bin/sh, and further arguments of it. */
  command: string;
  args: readonly string[];
  prompt: string;
  /** Absolute path. */
  cwd: string;
  /** Folders besides `cwd` that it may write to. */
  writable: readonly string[];
  /** Null: what the agent itself is set to. */
  model: string | null;
  /** A session to go on with; null: a new one. */
  session: string | null;
}

type Write = (line: object) => void;

/** How long an agent may take to say what it is, milliseconds. What says nothing is no agent of this protocol. */
const HELLO_MS = 60_000;

/** How long the end of an agent may take to be known once its connection is closed, milliseconds. */
const END_MS = 3000;

/** What a shell says of a command that is not there, or can't be run. */
const NO_COMMAND = [126, 127];

/** What forge itself finds wrong with an agent that goes on. */
class Unfit extends Error {}

/** Has the agent do the task. Resolves with an exit code: 0 when its turn has ended as turns should. Never rejects. */
export async function doTask(task: AcpTask, write: Write): Promise<number> {
  const agent = startPiped(task.command, task.args, task.cwd);
  const turn = new Turn(task, write);
  const app = client({ name: 'forge' })
    .onRequest(methods.client.session.requestPermission, ({ params }) => turn.permission(params))
    // Also those of later versions of the protocol, which are no error.
    .onNotification('*', ({ params }) => turn.noted(params));
  try {
    return await app.connectWith(ndJsonStream(agent.stdin, agent.stdout), (context) => turn.take(context));
  } catch (error) {
    return await failed(error, turn.step, agent, write);
  } finally {
    await agent.end();
  }
}

class Turn {
  readonly #task: AcpTask;
  readonly #write: Write;
  readonly #told: AgentUpdates;
  /** What a session that is gone on with repeats is not told again. */
  #isLive = false;
  /** The request that is not answered yet. */
  step = '';

  constructor(task: AcpTask, write: Write) {
    this.#task = task;
    this.#write = write;
    this.#told = new AgentUpdates(write);
  }

  async take(context: ClientContext): Promise<number> {
    const hello = await this.#hello(context);
    const { protocolVersion: version } = hello;
    if (version !== PROTOCOL_VERSION)
      throw new Unfit(`the agent speaks version ${version} of ACP, and forge version ${PROTOCOL_VERSION}`);
    const { sessionId, ...opened } = await this.#open(context, hello);
    await this.#ask(context, sessionId, opened.modes);
    const { name, version: release } = hello.agentInfo ?? {};
    this.#write({
      type: 'session',
      sessionId,
      agent: name,
      version: release,
      model: await this.#model(context, sessionId, opened),
    });
    this.#isLive = true;
    this.step = methods.agent.session.prompt;
    const prompt = [{ type: 'text' as const, text: this.#task.prompt }];
    const end = await context.request<PromptResponse, object>(methods.agent.session.prompt, { sessionId, prompt });
    const counts = fieldsOf(end)['usage'] != null;
    const said = name === 'Copilot' && !counts ? this.#told.errorSaid : null;
    this.#write({ type: 'end', ...end, ...(said === null ? {} : { said }) });
    return end.stopReason === 'end_turn' && said === null ? 0 : 1;
  }

  /** What it wants to do outside of the folders of the task is refused, as far as it says where. */
  permission({ toolCall, options }: RequestPermissionRequest) {
    const { cwd, writable } = this.#task;
    const folders = [cwd, ...writable];
    const isInside = (named: string) => {
      const place = path.resolve(cwd, named);
      return folders.some((folder) => place === folder || place.startsWith(`${folder}/`));
    };
    const allowed = this.#told.asked(fieldsOf(toolCall), ({ kind, locations }) => {
      const writes = ['edit', 'delete', 'move'].includes(textOf(kind));
      return !writes || listOf(locations).every((location) => isInside(textOf(location['path'])));
    });
    // A yes for later as well would stay in the agent's own settings.
    const kinds = allowed ? (['allow_once', 'allow_always'] as const) : (['reject_once', 'reject_always'] as const);
    const chosen = kinds.flatMap((kind) => options.filter((option) => option.kind === kind))[0];
    if (chosen === undefined) return { outcome: { outcome: 'cancelled' as const } };
    return { outcome: { outcome: 'selected' as const, optionId: chosen.optionId } };
  }

  noted(params: unknown): void {
    const { update } = fieldsOf(params);
    if (this.#isLive && update !== undefined) this.#told.update(fieldsOf(update));
  }

  async #hello(context: ClientContext): Promise<InitializeResponse> {
    this.step = methods.agent.initialize;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), HELLO_MS);
    const request = {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
      clientInfo: { name: 'forge', version: '1' },
    };
    try {
      return await context.request(methods.agent.initialize, request, {
        cancellationSignal: late.signal,
        stopWaitingOnCancel: true,
      });
    } catch (error) {
      if (late.signal.aborted)
        throw new Unfit(`it has said nothing for ${HELLO_MS / 1000} s: is it an agent that speaks ACP?`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #open(
    context: ClientContext,
    hello: InitializeResponse,
  ): Promise<Partial<NewSessionResponse> & { sessionId: string }> {
    const { cwd, session } = this.#task;
    const where = { cwd, mcpServers: [] };
    if (session !== null && hello.agentCapabilities?.loadSession === true) {
      this.step = methods.agent.session.load;
      const loaded = await context.request(methods.agent.session.load, { sessionId: session, ...where });
      return { ...loaded, sessionId: session };
    }
    this.step = methods.agent.session.new;
    return context.request(methods.agent.session.new, where);
  }

  /** In the mode of this name an agent asks before it acts. In others it may refuse by itself what a task needs. */
  async #ask(context: ClientContext, sessionId: string, modes: NewSessionResponse['modes']): Promise<void> {
    const modeId = 'default';
    if (modes == null || modes.currentModeId === modeId || !modes.availableModes.some(({ id }) => id === modeId))
      return;
    this.step = methods.agent.session.setMode;
    await context.request(methods.agent.session.setMode, { sessionId, modeId });
  }

  /** Sets the model that is wanted; else says which one the session has. Null: it does not say. */
  async #model(context: ClientContext, sessionId: string, opened: object): Promise<string | null> {
    const { configOptions, models } = fieldsOf(opened);
    const option = listOf(configOptions).find(({ category, id }) => category === 'model' || id === 'model');
    const { model } = this.#task;
    if (model === null) return textOf(option?.['currentValue']) || textOf(fieldsOf(models)['currentModelId']) || null;
    if (option === undefined && models === undefined)
      throw new Unfit(`the agent has no choice of models: leave out ${model}`);
    this.step = option === undefined ? 'session/set_model' : methods.agent.session.setConfigOption;
    const request =
      option === undefined
        ? { sessionId, modelId: model }
        : { sessionId, configId: textOf(option['id']), value: model };
    await context.request<unknown, object>(this.step, request);
    return model;
  }
}

/** Says why there is no end of the turn. */
async function failed(error: unknown, step: string, agent: PipedProgram, write: Write): Promise<number> {
  if (error instanceof RequestError) {
    const { code, message, data } = error;
    write({ type: 'error', step, code, message, data });
    return 1;
  }
  // Its end closes the connection a moment before it is known.
  const ended = !(error instanceof Unfit) && (await agent.endsWithin(END_MS)) ? await agent.ended : null;
  if (typeof ended === 'number' && NO_COMMAND.includes(ended)) return ended;
  const how = typeof ended === 'number' ? `with exit code ${ended}` : `by ${ended}`;
  const what = ended === null ? errorMessage(error) : `the agent has ended ${how} before it answered ${step}`;
  write({ type: 'error', step, message: what });
  return typeof ended === 'number' && ended !== 0 ? ended : 1;
}
