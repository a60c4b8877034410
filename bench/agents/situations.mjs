/**
 * The situations that an agent can come into, and what forge makes of each: `spec/AGENTS.md` has the table.
 *
 * `steps`: commands that the model has the agent run, one after the other, before it says that all is done.
 * `failure`: how every request is refused. `silent`: no request is answered. `killed`: the agent is killed once it has asked.
 * `unreachable`: no server listens.
 * `outcome`: the task's state and the class of its error at the end, null for none. `except`: that of agents that come to another.
 */

const COMMIT = 'git add -A && git -c user.name=agent -c user.email=agent@example.org commit -q -m "Write hello.txt"';
const WORK = `echo hello > hello.txt && ${COMMIT}`;
/** Asks, and works once it has the answer. */
const ASK =
  'if forge orchestrate question --decision-key format --question "Keep the format?" ' +
  '--options-file "$FORGE_DIR/.forge/options.json" --json | grep -q \'"status":"answered"\'; ' +
  `then ${WORK}; fi`;

const failed = (errorClass) => ({ state: 'failed', class: errorClass });
/** It tries again by itself for longer than a try may take, and says nothing. */
const STILL_TRIES = { qwen: failed('timeout') };

export const SITUATIONS = {
  done: { steps: [WORK], outcome: { state: 'shipped', class: null } },
  dirty: { steps: ['echo hello > hello.txt'], outcome: failed('verify.uncommitted') },
  liar: { steps: [], outcome: failed('verify.unchanged') },
  asks: { steps: [ASK], outcome: { state: 'shipped', class: null } },
  401: { failure: { status: 401, cause: 'auth' }, outcome: failed('auth') },
  429: { failure: { status: 429, cause: 'limit', resetS: 2 }, outcome: failed('rate_limit'), except: STILL_TRIES },
  'used-up': {
    failure: { status: 429, cause: 'plan', resetS: 7200 },
    outcome: failed('rate_limit'),
    except: STILL_TRIES,
  },
  overloaded: { failure: { status: 503, cause: 'overloaded' }, outcome: failed('overloaded'), except: STILL_TRIES },
  refused: { unreachable: true, outcome: failed('network') },
  overflow: { failure: { status: 400, cause: 'context' }, outcome: failed('context') },
  hang: { silent: true, outcome: failed('timeout.stall') },
  kill: { silent: true, killed: true, outcome: failed('signal.SIGKILL') },
};
