/** One agent in one situation: a project, a home, a run of forge, and what came of the task. */

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const FORGE = path.resolve(import.meta.dirname, '../../bin/forge.cjs');

/** The longest that a worker may take, seconds. Some agents try for minutes by themselves. */
const TIMEOUT_S = 900;

const PLAN = `project: tried
phases:
  - id: only
    name: Only
    tasks:
      - id: hello
        title: Write hello.txt
        verify: [test -s hello.txt]
        timeout: ${TIMEOUT_S}s
        retry: {max_attempts: 1}
`;

const OPTIONS = '[{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]';

/** Writes files below `dir`, by path. */
function write(dir, files) {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), text);
  }
}

export class Try {
  /**
   * `place`: an empty folder. `bins`: folders with the agents' programs. `set`: what leads the agent to the server (`programs.mjs`).
   * `stallS`: after how many seconds of doing nothing one that hangs is stopped.
   */
  constructor(agent, situation, { place, bins, set, stallS = 30 }) {
    this.situation = situation;
    this.place = place;
    this.project = path.join(place, 'project');
    this.home = path.join(place, 'home');
    const bin = path.join(place, 'bin');
    const hangs = situation.silent === true && situation.killed !== true;
    const stall = hangs ? `, stall_timeout: ${stallS}s` : '';
    for (const dir of [this.project, this.home, bin]) fs.mkdirSync(dir);
    fs.symlinkSync(FORGE, path.join(bin, 'forge'));
    write(this.home, set.files);
    write(this.project, {
      'plans/phases.yaml': PLAN,
      '.forge/settings.yaml': `workspace: worktree\nagents: {worker: ${agent}, kill_grace_ms: 1000${stall}}\n`,
      '.forge/options.json': OPTIONS,
      '.gitignore': '.forge/*\n!.forge/settings.yaml\n',
    });
    this.env = {
      ...set.env,
      PATH: [bin, ...bins, path.dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
      HOME: this.home,
      TERM: 'dumb',
      LANG: 'C.UTF-8',
      TMPDIR: fs.realpathSync(place),
      GIT_CONFIG_NOSYSTEM: '1',
    };
    write(this.home, { '.gitconfig': '[user]\n\tname = Ann\n\temail = ann@example.org\n' });
    for (const args of [
      ['init', '-q', '-b', 'main'],
      ['add', '-A'],
      ['commit', '-q', '-m', 'first'],
    ])
      spawnSync('git', args, { cwd: this.project, env: this.env });
  }

  /** Runs forge to its end. What it printed is in `run.log`; `onEvent` is told each event of a run. */
  forge(args, onEvent = () => {}) {
    const log = fs.openSync(path.join(this.place, 'run.log'), 'a');
    const command = [FORGE, 'orchestrate', ...args, '--json'];
    const child = spawn(process.execPath, command, {
      cwd: this.project,
      env: this.env,
      stdio: ['ignore', 'pipe', log],
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      fs.writeSync(log, `${line}\n`);
      onEvent(JSON.parse(line));
    });
    return new Promise((resolve) => {
      child.on('close', () => {
        fs.closeSync(log);
        resolve();
      });
    });
  }

  /** What a verb that takes no time answers. */
  ask(...args) {
    const command = [FORGE, 'orchestrate', ...args, '--json'];
    const { stdout } = spawnSync(process.execPath, command, { cwd: this.project, env: this.env, encoding: 'utf8' });
    return JSON.parse(stdout).data;
  }

  /** Does all of it. Returns the state of the task, the class of its error (null without one), and the seconds that it took. */
  async outcome() {
    const began = performance.now();
    // Without a terminal a run waits for answers only when it is told to.
    await this.forge(['run', '--wait'], ({ type, question_id }) => {
      if (type === 'question_opened') this.ask('answer', question_id, '--option', 'keep');
    });
    const { state } = this.ask('show', 'hello');
    const seconds = (performance.now() - began) / 1000;
    return { state: state.state, class: state.state === 'shipped' ? null : (state.last_error?.class ?? null), seconds };
  }

  /** Kills the process group of the worker, which is found by its environment. Needs /proc. */
  killWorker() {
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const leader = leaderIn(pid, this.home);
      if (leader === null) continue;
      try {
        process.kill(-leader, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
      return;
    }
  }
}

/** The leader of the worker's group that a process belongs to; null for a process of another try. */
function leaderIn(pid, home) {
  try {
    const env = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    const leader = env.find((line) => line.startsWith('FORGE_COMMAND_PID='));
    return leader !== undefined && env.includes(`HOME=${home}`) ? Number(leader.split('=')[1]) : null;
  } catch {
    return null;
  }
}
