import { describe, expect, test } from 'vitest';
import { coercePolicy } from '../../../src/domain/retry/retry.ts';
import { TASK_RETRY_DEFAULT } from '../../../src/domain/retry/schema.ts';
import { parseSettings } from '../../../src/domain/settings/parse.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../../src/domain/settings/settings.ts';
import fc, { runs } from '../../support/properties.ts';

const FILE = '.forge/settings.yaml';

function settingsOf(text: string): Settings {
  const result = parseSettings(text, FILE);
  if (!result.ok) throw new Error(linesOf(text).join('\n'));
  return result.settings;
}

/** The problems, each as `line:column message` and its suggestion behind ` | `. */
function linesOf(text: string): string[] {
  const result = parseSettings(text, FILE);
  if (result.ok) return [];
  return result.problems.map(({ message, place, suggestion }) => {
    expect(place.file).toBe(FILE);
    return `${place.line}:${place.column} ${message}${suggestion === undefined ? '' : ` | ${suggestion}`}`;
  });
}

const NO_BUDGET = { cost: null, tokens: null, attempts: null, wall_clock: null };

describe('default settings', () => {
  test.each([
    ['nothing at all', ''],
    ['comments', '# agents:\n#   max_parallel: 3\n'],
    ['a version', 'version: 1'],
    ['keys with nothing behind them', 'project:\nagents:\nretry:\nerrors:\nverify:\nreview:\nship:\ntracker:\n'],
    ['empty blocks', 'agents: {question_budget: {}}\nverify: {}\nreview: {}\nship: {}\nproject: {}'],
  ])('settings are the defaults for %s', (_, text) => {
    expect(settingsOf(text)).toEqual(DEFAULT_SETTINGS);
  });

  test('durations in the settings are milliseconds', () => {
    expect(DEFAULT_SETTINGS.agents).toMatchObject({
      max_parallel: null,
      lease_ttl_ms: 30 * 60_000,
      heartbeat_interval_ms: 5 * 60_000,
      steal_grace_ms: 5 * 60_000,
      self_lease_ttl_ms: 60_000,
      self_heartbeat_ms: 15_000,
      kill_grace_ms: 10_000,
      retry_attempts: 10,
      retry_backoff_ms_max: 5 * 60_000,
      question_timeout_ms: 30 * 60_000,
      question_max_attempts: 3,
      question_budget: { soft: 3, hard: 6 },
    });
  });

  test('the default settings are frozen', () => {
    expect(() => Object.assign(DEFAULT_SETTINGS.agents, { lease_ttl_ms: 1 })).toThrow(TypeError);
    expect(() => Object.assign(DEFAULT_SETTINGS.agents.hard_lock_globs, { 0: 'x' })).toThrow(TypeError);
  });
});

describe('given settings', () => {
  test('given settings replace only their own defaults', () => {
    const settings = settingsOf(`
version: 1
project: {name: demo, description: A demo}
plan: work/phases.yaml
agents:
  max_parallel: 4
  lease_ttl_ms: 10m
  heartbeat_interval_ms: 60000
  steal_grace_ms: 0
  self_lease_ttl_ms: 30s
  self_heartbeat_ms: 500ms
  kill_grace_ms: 0
  retry_attempts: 1
  retry_backoff_ms_max: 1h
  question_timeout_ms: 1d
  question_max_attempts: 2
  question_budget: {hard: 4}
  worktree_root: ../trees
  branch_prefix: ai/work
  port_base: 30000
  worktree_copy: ['.env', 'config/*.local']
  setup: npm ci
  setup_timeout_ms: 5m
  timeout: 2h
  stall_timeout: 20m
  hard_lock_globs: []
  preflight_globs: ['src/api/**']
  overlap: strict
  worker: codex
  worker_command: codex exec
  model: gpt-5.5
  args: [--search]
  resume: true
  log_rotate_max_bytes: 1000
retry: {max_attempts: unlimited, base: 2s}
errors: [{class: network, exit: [7], output: 'ECONN'}]
redact: [DATABASE_URL]
verify: {commands: [npm test]}
budget: {task: {cost: 2}, run: {wall_clock: 8h}, project: {tokens: 2M, attempts: 40}}
workspace: worktree
steps: {park_after: 2m}
worktrees: {keep: 3d}
retention: {older_than: 30d, failed_older_than: 180d}
notify: [{on: [failed], command: page-me}, {on: [question, finished], webhook: $HOOK}]
bell: false
changes: required
review: {command: ./review.sh, timeout: 10m}
logs: {max_bytes: 1GB}
ship: {policy: merge, base: trunk, sign: never}
tracker: {type: github, config: {repo: acme/demo}}
`);
    expect(settings).toEqual({
      version: 1,
      project: { name: 'demo', description: 'A demo' },
      plan: 'work/phases.yaml',
      agents: {
        max_parallel: 4,
        lease_ttl_ms: 600_000,
        heartbeat_interval_ms: 60_000,
        steal_grace_ms: 0,
        self_lease_ttl_ms: 30_000,
        self_heartbeat_ms: 500,
        kill_grace_ms: 0,
        retry_attempts: 1,
        retry_backoff_ms_max: 3_600_000,
        question_timeout_ms: 86_400_000,
        question_max_attempts: 2,
        question_budget: { soft: 3, hard: 4 },
        worktree_root: '../trees',
        branch_prefix: 'ai/work',
        port_base: 30_000,
        worktree_copy: ['.env', 'config/*.local'],
        setup: ['npm ci'],
        setup_timeout_ms: 300_000,
        timeout: 7_200_000,
        stall_timeout: 1_200_000,
        hard_lock_globs: [],
        preflight_globs: ['src/api/**'],
        overlap: 'strict',
        worker: 'codex',
        worker_command: 'codex exec',
        model: 'gpt-5.5',
        args: ['--search'],
        resume: true,
        log_rotate_max_bytes: 1000,
      },
      retry: { max_attempts: 'unlimited', base: '2s' },
      redact: ['DATABASE_URL'],
      errors: [{ class: 'network', exit: [7], output: 'ECONN' }],
      verify: { commands: ['npm test'], timeout_ms: 600_000 },
      limits: {},
      budget: {
        task: { ...NO_BUDGET, cost: 2 },
        run: { ...NO_BUDGET, wall_clock: 28_800_000 },
        project: { ...NO_BUDGET, tokens: 2_000_000, attempts: 40 },
      },
      workspace: 'worktree',
      steps: { park_after_ms: 120_000 },
      worktrees: { keep_ms: 259_200_000 },
      notify: [
        { on: ['failed'], command: 'page-me', webhook: null },
        { on: ['question', 'finished'], command: null, webhook: '$HOOK' },
      ],
      bell: false,
      retention: { olderThanMs: 2_592_000_000, failedOlderThanMs: 15_552_000_000 },
      changes: 'required',
      review: { command: './review.sh', worker: null, model: null, args: [], timeout_ms: 600_000 },
      logs: { max_bytes: 1_000_000_000 },
      ship: { policy: 'merge', base: 'trunk', sign: 'never' },
      tracker: { type: 'github', path: 'plans/tracker.yaml', options: { config: { repo: 'acme/demo' } } },
    });
    expect(coercePolicy(settings.retry ?? {}, TASK_RETRY_DEFAULT).maxAttempts).toBeNull();
  });

  test('settings warn of short durations without a unit, with their places and both readings', () => {
    const text =
      'agents: {kill_grace_ms: 10, retry_attempts: 3}\nverify: {timeout: 90}\nretry: {base: 2, max_attempts: 3}\n';
    expect(parseSettings(text, FILE)).toMatchObject({
      warnings: [
        `${FILE}:1:25 agents.kill_grace_ms: 10 is 10 ms; for 10 seconds write 10s`,
        `${FILE}:2:19 verify.timeout: 90 is 90 ms; for 90 seconds write 90s`,
        `${FILE}:3:15 retry.base: 2 is 2 ms; for 2 seconds write 2s`,
      ],
    });
  });

  test.each([
    ['unlimited', null],
    ['64KiB', 65_536],
    ['2000', 2000],
  ])('logs.max_bytes %s is %s bytes', (written, max_bytes) => {
    const parsed = parseSettings(`logs: {max_bytes: ${written}}`, FILE);
    expect(parsed).toMatchObject({ ok: true, settings: { logs: { max_bytes } } });
  });

  test.each(['worktrees: {keep: 3}', 'retention: {older_than: 90}', 'retention: {failed_older_than: 180}'])(
    '%s is refused, since what a run removes by it does not come back',
    (written) => {
      const parsed = parseSettings(written, FILE);
      const [, number] = /: (\d+)/.exec(written) ?? [];
      const message = expect.stringContaining(`that is ${number} ms, and another unit was probably meant`);
      expect(parsed).toMatchObject({
        ok: false,
        problems: [{ message, suggestion: expect.stringMatching(/^Write /) }],
      });
    },
  );

  test.each([
    ['50TB', 'expected a size such as 500kB, 50MB or 1GB, or unlimited'],
    ['[1]', 'expected a size such as 500kB, 50MB or 1GB, or unlimited'],
    ['1.5', 'expected a size such as 500kB, 50MB or 1GB, or unlimited'],
    ['10', 'must be at least 1000 bytes, or unlimited'],
  ])('logs.max_bytes %s is refused', (written, why) => {
    const parsed = parseSettings(`logs: {max_bytes: ${written}}`, FILE);
    expect(parsed).toMatchObject({
      ok: false,
      problems: [{ message: `logs.max_bytes: ${why}`, place: { line: 1, column: 19 } }],
    });
  });

  test.each([
    ['{port_base: 64000, max_parallel: 15}', []],
    [
      '{port_base: 64000, max_parallel: 16}',
      ['agents.port_base: 64000 leaves ports for 15 of 16 slots; the others have no FORGE_PORT_BASE'],
    ],
  ])('a warning says of agents: %s how many slots have ports, where not all have', (agents, warnings) => {
    expect(parseSettings(`agents: ${agents}`, FILE)).toMatchObject({ ok: true, warnings });
  });

  test('keys that start with x- are ignored at every level', () => {
    const text =
      'x-mine: {any: thing}\nagents: {x-note: 1, question_budget: {x-y: 2}}\nerrors: [{class: a, exit: [1], x-why: z}]';
    expect(parseSettings(text, FILE)).toEqual({
      ok: true,
      settings: { ...DEFAULT_SETTINGS, errors: [{ class: 'a', exit: [1] }] },
      warnings: [],
    });
  });

  test('blocks of the older tool are accepted with a warning that they have no effect', () => {
    const text = `
version: 1
project: {name: demo}
tracker: {type: github, config: {repo: acme/demo}}
secrets: {manager: env_file, env_file_path: ./.env.local}
agents: {max_concurrent: 10, retry_attempts: 10, poll_interval_ms: 30000, primary_host_cli: claude, review_host_cli: null}
design: {mode: project_owned}
second_opinion: {auto_enabled: true}
drive: {review_loop_cap: 4}
codex: {auto_codex_enabled: true}
decisions: {decision_dir: ./spec/decisions}
doctor: {spec_code_check_enabled: true}
models: {ttl_days: 14}
methodology_version: 0.4.5
`;
    const result = parseSettings(text, FILE);
    expect(result).toMatchObject({ ok: true, settings: { agents: DEFAULT_SETTINGS.agents } });
    const warnings = result.ok ? result.warnings : [];
    expect(warnings).toHaveLength(13);
    expect(warnings).toContain('secrets has no effect');
    expect(warnings).toContain('agents.max_concurrent has no effect: set max_parallel instead');
  });
});

describe('invalid settings', () => {
  test.each<[string, string, ...string[]]>([
    ['another kind of value', '- a', '1:1 expected a mapping, found a list'],
    [
      'keys outside of their blocks',
      'max_parallel: 4\nworker: claude',
      '1:1 unknown key "max_parallel" | Did you mean "agents.max_parallel"?',
      '2:1 unknown key "worker" | Did you mean "agents.worker" or "review.worker"?',
    ],
    ['unknown block', 'agent: {}', '1:1 unknown key "agent" | Did you mean "agents"?'],
    [
      'unknown key',
      'agents:\n  max_paralel: 3',
      '2:3 agents: unknown key "max_paralel" | Did you mean "max_parallel"?',
    ],
    ['another version', 'version: 2', '1:10 version: forge reads settings of version 1 only'],
    [
      'bad enum',
      'workspace: worktre',
      '1:12 workspace: expected none or worktree, found text "worktre" | Did you mean "worktree"?',
    ],
    [
      'bad duration',
      'agents: {kill_grace_ms: ten seconds}',
      '1:25 agents.kill_grace_ms: expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found text "ten seconds"',
    ],
    ['a name that is empty', 'limits: {"": 3}', '1:10 limits.: not a legal name'],
    [
      'a prefix that git refuses',
      'agents: {branch_prefix: a..b}',
      '1:25 agents.branch_prefix: is not a name that git allows for branches | Write a word, or several with a slash between them.',
    ],
    [
      'a folder that only a shell could find',
      'agents: {worktree_root: ~/trees}',
      '1:25 agents.worktree_root: has a ~ or a $, which only a shell replaces | Write the path in full, or from the project.',
    ],
    ['a number as a command', 'agents: {setup: 3}', '1:17 agents.setup: expected a command line, or a list of them'],
    ['no time at all', 'agents: {lease_ttl_ms: 0}', '1:24 agents.lease_ttl_ms: must be more than 0'],
    ['no attempt', 'agents: {retry_attempts: 0}', '1:26 agents.retry_attempts: expected 1 or more, found the number 0'],
    [
      'half a task',
      'agents: {max_parallel: 1.5}',
      '1:24 agents.max_parallel: expected a whole number, found the number 1.5',
    ],
    [
      'a lease shorter than the usual heartbeat',
      'agents: {lease_ttl_ms: 1m}',
      '1:24 agents.lease_ttl_ms: the lease (lease_ttl_ms: 1m) would run out between two heartbeats (heartbeat_interval_ms: 5m, the default) | Set heartbeat_interval_ms to less than lease_ttl_ms, for example 15s.',
    ],
    [
      'a heartbeat as long as its lease',
      'agents:\n  self_lease_ttl_ms: 2m\n  self_heartbeat_ms: 120s',
      '3:22 agents.self_heartbeat_ms: the lease (self_lease_ttl_ms: 2m) would run out between two heartbeats (self_heartbeat_ms: 2m) | Set self_heartbeat_ms to less than self_lease_ttl_ms, for example 30s.',
    ],
    [
      'a soft limit above the usual hard one',
      'agents: {question_budget: {soft: 8}}',
      '1:34 agents.question_budget.soft: the soft limit (8) is above the hard one (6)',
    ],
    [
      'a hard limit below the usual soft one',
      'agents: {question_budget: {hard: 1}}',
      '1:27 agents.question_budget.soft: the soft limit (3) is above the hard one (1)',
    ],
    [
      'a worker that there is no preset for',
      'agents: {worker: cluade}',
      '1:18 agents.worker: expected acp, claude, codex, copilot, cursor, gemini, opencode, qwen or custom, found text "cluade" | Did you mean "claude"?',
    ],
    [
      'a worker of your own that is not there',
      'agents:\n  worker: custom',
      '2:11 agents.worker: custom needs worker_command | Write `worker_command: my-agent < "$FORGE_PROMPT_FILE"` beside it, or name a preset.',
    ],
    [
      'a command for a block',
      'verify: npm test',
      '1:9 verify: expected a mapping, found text "npm test" | It has the keys commands, timeout.',
    ],
    ['NUL in a command', 'review: {command: "a\\0"}', '1:19 review.command: may not hold a NUL character'],
    [
      'a tracker of another kind',
      'tracker: {type: linear}',
      '1:17 tracker.type: expected none, file or github, found text "linear"',
    ],
    [
      'globs with faults',
      'agents:\n  hard_lock_globs: [/etc/passwd]\n  preflight_globs: ["a{b"]',
      '2:21 agents.hard_lock_globs[0]: text "/etc/passwd" must name files below the project | Leave out / at the start.',
      '3:21 agents.preflight_globs[0]: text "a{b" has a { that is not closed | For the character itself, write \\{.',
    ],
    ['a tracker of no kind', 'tracker: {path: x}', '1:10 tracker: "type" is missing'],
    [
      'a retry policy that cannot be meant',
      'retry:\n  max_attempt: 3',
      '2:3 retry.max_attempt: unknown key "max_attempt" | Did you mean "max_attempts"?',
    ],
    ['a rule for nothing', 'errors: [{class: a}]', '1:10 errors[0]: a rule needs a condition: exit, signal or output'],
    [
      'a misspelt rule',
      'errors: [{class: a, exits: [1]}]',
      '1:10 errors[0]: a rule needs a condition: exit, signal or output',
      '1:21 errors[0]: unknown key "exits" | Did you mean "exit"?',
    ],
    [
      'a key that is like none of a few',
      'errors: [{class: a, exit: [1], zzz: x}]',
      '1:32 errors[0]: unknown key "zzz" | It has the keys class, exit, signal, output.',
    ],
    [
      'a pattern with look-around',
      "errors:\n  - class: a\n    output: 'x(?!y)'",
      '3:13 errors[0].output: output uses look-around ((?!), which RE2 does not have | Write it in the syntax of RE2, without look-around and back-references: spec/RETRY.md, "Error rules".',
    ],
    ['no YAML', 'a: [', expect.stringContaining('not valid YAML')],
  ])('settings are refused for: %s', (_, text, ...expected) => {
    expect(linesOf(text)).toEqual(expected);
  });

  test('all problems of the settings are reported at once, in file order', () => {
    const text = 'workspace: x\nagents: {overlap: y}\nretry: []\nship: {polcy: merge}\nverify: {commands: [1]}';
    expect(linesOf(text).map((line) => line.split(' ', 1)[0])).toEqual(['1:12', '2:19', '3:8', '4:8', '5:21']);
  });

  test('any settings file is read, or refused with reasons that have a place', () => {
    const key = fc.constantFrom(
      'agents',
      'retry',
      'errors',
      'verify',
      'tracker',
      'version',
      'ship',
      'review',
      'plan',
      'x-a',
    );
    const values = fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(fc.dictionary(key, values), (any) => {
        const result = parseSettings(JSON.stringify(any, null, 1), FILE);
        if (result.ok) return;
        expect(result.problems.length).toBeGreaterThan(0);
        for (const { place } of result.problems) expect(place.line).toBeGreaterThan(0);
      }),
      runs(500),
    );
  });
});
