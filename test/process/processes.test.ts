import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { type OwnerIdentity, rebootedSince } from '../../src/domain/task/identity.ts';
import { thisMachine } from '../../src/process/machine.ts';
import {
  allStartedWith,
  groupMembers,
  identifyOwner,
  lookUp,
  ownerLiveness,
  parsePs,
  parseStat,
  processStart,
  startedWith,
} from '../../src/process/processes.ts';
import { until } from '../support/processes.ts';

const started: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'forge-test-'));

afterEach(async () => {
  for (const child of started.splice(0)) {
    const ended =
      child.exitCode !== null || child.signalCode !== null || new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A process that lives until the test is over. */
function sleeper(options: { detached?: boolean; env?: Record<string, string>; program?: string } = {}): number {
  // `read` on a pipe without input: the shell itself waits, without a child.
  const child = spawn(options.program ?? '/bin/sh', ['-c', 'read forever'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: options.detached ?? false,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  started.push(child);
  if (child.pid === undefined) throw new Error('the sleeper did not start');
  return child.pid;
}

/** A zombie that stays: its parent has become a program that does not know of it. */
async function zombie(): Promise<number> {
  // The pid is only printed by the program that the parent becomes: a shell might still have asked for its child.
  const file = join(folder, 'zombie');
  const script = `exec 3<&0; read word <&3 & echo $! > ${file}; exec tail -f ${file}`;
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  started.push(child);
  const pid = Number(await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve)));
  child.stdin.end();
  await until('the process has become a zombie', () => {
    const found = lookUp(pid);
    return typeof found !== 'string' && !found.live;
  });
  return pid;
}

function endedPid(): number {
  return spawnSync('/bin/sh', ['-c', 'exit 0']).pid;
}

function owner(pid: number): OwnerIdentity {
  const identity = identifyOwner(pid);
  if (identity === null) throw new Error(`process ${pid} is not there`);
  return identity;
}

describe('processStart', () => {
  test('processStart stays the same while the process lives', () => {
    const pid = sleeper();
    expect(processStart(pid)).toMatch(/^(ticks|lstart):./);
    expect(processStart(pid)).toBe(processStart(pid));
  });

  test('processStart is null for a process that has ended', () => {
    expect(processStart(endedPid())).toBe(null);
  });

  test('processStart is null for a zombie that is still in the process table', async () => {
    const pid = await zombie();
    expect(lookUp(pid)).toMatchObject({ pid, live: false });
    expect(processStart(pid)).toBe(null);
    expect(identifyOwner(pid)).toBe(null);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 60])('processStart is null for %d, which is not a valid pid', (pid) => {
    expect(processStart(pid)).toBe(null);
  });

  test('processStart reads past a command name that imitates the fields after it', () => {
    const name = join(folder, 'a) Z 1 (b');
    symlinkSync('/bin/sh', name);
    const pid = sleeper({ program: name, detached: true });
    expect(lookUp(pid)).toEqual({ pid, ppid: process.pid, pgid: pid, live: true, startedAt: processStart(pid) });
  });
});

describe('ownerLiveness', () => {
  test('ownerLiveness calls a running process alive', () => {
    expect(ownerLiveness(owner(sleeper()))).toBe('alive');
  });

  test('ownerLiveness calls a process that has ended dead', () => {
    expect(ownerLiveness({ ...owner(process.pid), pid: endedPid() })).toBe('dead');
  });

  test('ownerLiveness calls a zombie dead', async () => {
    const pid = await zombie();
    const found = lookUp(pid);
    if (typeof found === 'string') throw new Error('the zombie is gone');
    expect(ownerLiveness({ ...owner(process.pid), pid, started_at: found.startedAt })).toBe('dead');
  });

  test('ownerLiveness calls another process with the same pid dead', () => {
    const identity = owner(sleeper());
    expect(ownerLiveness({ ...identity, started_at: `${identity.started_at}0` })).toBe('dead');
  });

  test('ownerLiveness calls an owner of an earlier boot of this machine dead', () => {
    const earlier = { ...owner(sleeper()), boot_id: '00000000-0000-0000-0000-000000000000' };
    const expected = rebootedSince(earlier, thisMachine()) ? 'dead' : 'unknown';
    expect(ownerLiveness(earlier)).toBe(expected);
  });

  test.each<[string, Partial<OwnerIdentity>]>([
    ['another host', { host: 'elsewhere.invalid' }],
    ['another boot of a container', { boot_id: '00000000-0000-0000-0000-000000000000', pid_ns: 'pid:[1]' }],
    ['another pid namespace', { pid_ns: 'pid:[1]' }],
    ['an unknown boot', { boot_id: '' }],
    ['a start time in a form of another tool', { started_at: '2026-01-01T00:00:00.000Z' }],
    ['a number that no process can have', { pid: 0 }],
  ])('ownerLiveness of an owner with %s is unknown', (_, change) => {
    expect(ownerLiveness({ ...owner(sleeper()), ...change })).toBe('unknown');
  });
});

describe('hidden processes', () => {
  afterEach(() => vi.restoreAllMocks());

  test('a process that this user may not see is neither alive nor dead', () => {
    const pid = endedPid();
    vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    expect(lookUp(pid)).toBe('hidden');
    expect(ownerLiveness({ ...owner(process.pid), pid })).toBe('unknown');
  });
});

describe('groupMembers', () => {
  test('groupMembers lists exactly the group', () => {
    const pid = sleeper({ detached: true });
    sleeper({ detached: true });
    expect(groupMembers(pid).map((member) => member.pid)).toEqual([pid]);
  });

  test('groupMembers leaves zombies out', async () => {
    const pid = await zombie();
    const found = lookUp(pid);
    if (typeof found === 'string') throw new Error('the zombie is gone');
    const members = groupMembers(found.pgid).map((member) => member.pid);
    expect(members).toContain(process.pid);
    expect(members).not.toContain(pid);
  });

  test.each([0, 1, -1, Number.NaN])('groupMembers finds no group with the number %d', (pgid) => {
    expect(groupMembers(pgid)).toEqual([]);
  });

  test('groupMembers is empty for an empty group', () => {
    expect(groupMembers(endedPid())).toEqual([]);
  });
});

describe.skipIf(process.platform === 'darwin')('startedWith (environments cannot be read on macOS)', () => {
  test('startedWith compares the whole variable', () => {
    const pid = sleeper({ env: { FORGE_CLAIM_ID: 'claim-1', OTHER: 'FORGE_CLAIM_ID=claim-2' } });
    expect(startedWith(pid, { FORGE_CLAIM_ID: 'claim-1' })).toBe(true);
    expect(startedWith(pid, { FORGE_CLAIM_ID: 'claim' })).toBe(false);
    expect(startedWith(pid, { FORGE_CLAIM_ID: 'claim-2' })).toBe(false);
    expect(startedWith(pid, { CLAIM_ID: 'claim-1' })).toBe(false);
  });

  test('startedWith is false for a process that has ended', () => {
    expect(startedWith(endedPid(), { PATH: process.env['PATH'] ?? '' })).toBe(false);
  });
});

describe('parseStat', () => {
  const stat = (name: string, state: string, threads: number) =>
    `41 (${name}) ${state} 1 40 39 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 ${threads} 0 123456 2703360 200 18446744073709551615\n`;
  test.each<[string, string, boolean | null]>([
    ['a sleeping process', stat('sh', 'S', 1), true],
    ['one in uninterruptible sleep', stat('sh', 'D', 1), true],
    ['a stopped one', stat('sh', 'T', 1), true],
    ['a zombie', stat('sh', 'Z', 1), false],
    ['one that is being removed', stat('sh', 'X', 0), false],
    ['a program whose first thread has ended before the others', stat('python3', 'Z', 3), true],
    ['a name with parentheses and spaces', stat('a) Z 1 2 (b', 'S', 1), true],
    ['a name with a line break', stat('a\n7 (b) Z', 'R', 1), true],
    ['a torn text', '41 (sh) S 1 40', null],
    ['nothing', '', null],
  ])('parseStat reads %s', (_, text, live) => {
    const read = { pid: 41, ppid: 1, pgid: 40, live, startedAt: 'ticks:123456' };
    expect(parseStat(text)).toEqual(live === null ? null : read);
  });
});

describe('parsePs', () => {
  test('parsePs reads the columns and normalizes the spaces of the date', () => {
    const text =
      '    1     0     1 Ss   Mon Nov  3 09:34:10 2025    \n  812     7   811 Z    Fri Nov 21 10:00:48 2025    \n\nps: warning\n';
    expect(parsePs(text)).toEqual([
      { pid: 1, ppid: 0, pgid: 1, live: true, startedAt: 'lstart:Mon Nov 3 09:34:10 2025' },
      { pid: 812, ppid: 7, pgid: 811, live: false, startedAt: 'lstart:Fri Nov 21 10:00:48 2025' },
    ]);
  });
});

test.runIf(process.platform === 'linux')(
  'a look for processes by their environment settles, whatever threads the kernel has',
  () => {
    const known = new Set<number>();
    // Other processes of the machine come and go.
    const looks = Array.from({ length: 20 }, () => allStartedWith({ FORGE_CLAIM_ID: 'none' }, { known }));
    expect(looks.map(({ unsure }) => unsure)).toContain(false);
  },
);

test.runIf(process.platform === 'linux')(
  'a look for processes by their environment is sure of one that has none',
  async () => {
    const pid = sleeper({ env: {} });
    const known = new Set<number>();
    await until('it is known', () => allStartedWith({ FORGE_CLAIM_ID: 'none' }, { known }) && known.has(pid));
  },
);

test.runIf(process.platform === 'linux')(
  'a look for processes by their environment skips those that were started before it asks, at every look',
  async () => {
    const variables = { FORGE_CLAIM_ID: `of ${process.pid}` };
    const pid = sleeper({ env: variables });
    const since = processStart(pid) ?? '';
    const later = `ticks:${Number(since.slice('ticks:'.length)) + 1}`;
    const found = (from: string) => allStartedWith(variables, { since: from }).found.map((entry) => entry.pid);
    await until('the process shows its environment', () => found(since).includes(pid));
    for (let look = 0; look < 2; look++) {
      expect(found(later)).toEqual([]);
      expect(found(since)).toEqual([pid]);
    }
  },
);

test.runIf(process.platform === 'linux')(
  'a look for processes that were started after another finds those of them that carry the variables',
  async () => {
    const variables = { FORGE_CLAIM_ID: `after ${process.pid}` };
    const first = sleeper();
    const since = processStart(first) ?? '';
    const found = () => allStartedWith(variables, { since, after: first }).found.map((entry) => entry.pid);
    expect(found()).toEqual([]);
    const pid = sleeper({ env: variables });
    await until('the process shows its environment', () => found().includes(pid));
    expect(found()).toEqual([pid]);
  },
);
