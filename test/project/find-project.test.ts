/** How a command finds its project, its plan and its settings. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { pathsOf } from '../../src/domain/project-paths.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import { writeNew } from '../../src/lib/fs/new-file.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { findProject, PLAN_PLACES, requireProject } from '../../src/project/find-project.ts';
import { loadPlanned, parsePlanText, planPlaceOf, planStamp, requirePlan } from '../../src/project/plan-file.ts';
import { loadSettings } from '../../src/project/settings-file.ts';
import { readUserFile } from '../../src/project/user-files.ts';
import { openStores } from '../../src/store/open.ts';
import { refused, thrownBy } from '../support/refused.ts';
import { emptyFolder, refusal } from '../support/store/tree.ts';

let root: string;
beforeEach(() => {
  root = emptyFolder();
});

const PLAN =
  'project: mill\nphases:\n  - id: phase-1\n    name: One\n    tasks:\n      - id: build\n        title: Build\n';

/** Makes folders and files below the root; a path that ends with a slash is a folder. */
function make(...places: string[]): void {
  for (const place of places) {
    const full = path.join(root, place);
    fs.mkdirSync(place.endsWith('/') ? full : path.dirname(full), { recursive: true });
    if (!place.endsWith('/')) fs.writeFileSync(full, PLAN);
  }
}

const at = (place: string) => path.join(root, place);
const found = (cwd: string, dir?: string) => {
  const paths = findProject(at(cwd), dir);
  return paths === null ? null : path.relative(root, paths.project);
};

describe('project without --dir', () => {
  test.each(PLAN_PLACES)('the project is the folder that has %s', (place) => {
    make(`app/${place}`, 'app/src/deep/');
    expect(found('app')).toBe('app');
    expect(found('app/src/deep')).toBe('app');
  });

  test('the project is the folder that has .forge, also without a plan', () => {
    make('app/.forge/', 'app/src/');
    expect(found('app/src')).toBe('app');
  });

  test('the nearest project counts', () => {
    make('.forge/', 'apps/one/plans/phases.yaml', 'apps/one/src/');
    expect(found('apps/one/src')).toBe('apps/one');
    expect(found('apps')).toBe('');
  });

  test.each(['plans', '.forge/plans', '.forge'])('the project is not the folder %s that contains its plan', (dir) => {
    make('app/plans/phases.yaml', 'app/.forge/plans/phases.yaml');
    expect(found(`app/${dir}`)).toBe('app');
  });

  test('a file called .forge or a folder called phases.yaml does not make a project', () => {
    make('app/src/', 'app/phases.yaml/');
    fs.writeFileSync(at('app/.forge'), '');
    expect(found('app/src')).not.toBe('app');
  });

  test('there is no project without .forge and plan', () => {
    make('src/');
    expect(found('src')).toBeNull();
    expect(() => requireProject(at('src'), undefined, {})).toThrow(`${at('src')} or any folder above it`);
  });
});

describe('project with --dir or FORGE_DIR', () => {
  test('--dir is the project folder or its .forge', () => {
    make('app/.forge/', 'elsewhere/');
    expect(found('elsewhere', at('app'))).toBe('app');
    expect(found('elsewhere', at('app/.forge'))).toBe('app');
    expect(found('elsewhere', at('app/.forge/'))).toBe('app');
  });

  test('--dir is relative to the folder where the command was started', () => {
    make('app/.forge/', 'app/src/');
    expect(found('app/src', '..')).toBe('app');
    expect(found('app', '.forge')).toBe('app');
  });

  test('--dir is used as it is, without a search of the folders above', () => {
    make('.forge/', 'app/');
    expect(found('', at('app'))).toBe('app');
    expect(() => requireProject(root, at('app'), {})).toThrow('neither a plan');
  });

  test('an empty --dir counts as not given', () => {
    make('.forge/', 'src/');
    expect(found('src', '')).toBe('');
  });

  test.each(['gone', 'file'])('--dir is refused when it is not a folder (%s)', async (name) => {
    fs.writeFileSync(at('file'), '');
    expect(await refusal(() => findProject(root, name))).toBe('INVALID_ARGS');
  });
});

test('a missing project is PHASES_NOT_FOUND with a hint to create one', () => {
  const thrown = thrownBy(() => requireProject(root, undefined, {}));
  expect(thrown).toMatchObject({ code: 'PHASES_NOT_FOUND', hint: expect.stringContaining('init') });
});

// Only root can give files away.
describe.runIf(process.geteuid?.() === 0)('project of another user', () => {
  const NOBODY = 65534;
  const give = (place: string) => fs.lchownSync(at(place), NOBODY, NOBODY);
  const refused = (env: Record<string, string> = {}) => refusal(() => requireProject(at('app/mine'), undefined, env));

  beforeEach(() => {
    make('app/plans/phases.yaml', 'app/.forge/orchestrator/', 'app/mine/');
    fs.writeFileSync(at('app/.forge/settings.yaml'), '');
  });

  test('a project whose every part is own is used', async () => {
    expect(await refused()).toBe('done');
  });

  test.each([
    'app',
    'app/plans',
    'app/plans/phases.yaml',
    'app/.forge',
    'app/.forge/settings.yaml',
    'app/.forge/orchestrator',
  ])('a project is refused when %s belongs to another user', async (place) => {
    give(place);
    expect(await refused()).toBe('FOREIGN_PROJECT');
    expect(() => requireProject(at('app'), at('app'), {})).toThrow(/belongs to another user \(uid 65534; you are 0\)/);
  });

  test('a project is refused when its plan is an own link to a file of another user', async () => {
    fs.renameSync(at('app/plans/phases.yaml'), at('theirs.yaml'));
    fs.symlinkSync(at('theirs.yaml'), at('app/plans/phases.yaml'));
    give('theirs.yaml');
    expect(await refused()).toBe('FOREIGN_PROJECT');
  });

  test('a project is used when FORGE_SAFE_DIRECTORY names it, or all', async () => {
    give('app/plans');
    expect(await refused({ FORGE_SAFE_DIRECTORY: `/elsewhere:${at('app')}/` })).toBe('done');
    expect(await refused({ FORGE_SAFE_DIRECTORY: '*' })).toBe('done');
    expect(await refused({ FORGE_SAFE_DIRECTORY: `${at('app/mine')}:` })).toBe('FOREIGN_PROJECT');
  });

  test('a project is refused when the plan that its settings name belongs to another user', async () => {
    fs.writeFileSync(at('app/.forge/settings.yaml'), 'plan: mine/other.yaml\n');
    make('app/mine/other.yaml');
    const open = () => openSession({ ctx: { ...systemContext(), cwd: at('app') }, warn: () => {} });
    expect(await refusal(open)).toBe('done');
    give('app/mine/other.yaml');
    expect(await refusal(open)).toBe('FOREIGN_PROJECT');
  });

  test('under sudo a project of the user who called it is used', async () => {
    give('app/plans');
    expect(await refused({ SUDO_UID: String(NOBODY) })).toBe('done');
    expect(await refused({ SUDO_UID: '1000' })).toBe('FOREIGN_PROJECT');
  });
});

describe('project in a git worktree', () => {
  const git = (cwd: string, ...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
      cwd: at(cwd),
      stdio: 'pipe',
      env: { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_NOSYSTEM: '1' },
    });

  const repository = (...places: string[]) => {
    make(...places.map((place) => `main/${place}`));
    git('main', 'init', '-q');
    git('main', 'add', '-A');
    git('main', 'commit', '-q', '--allow-empty', '-m', 'first');
  };

  test('the project of a git worktree is that of the main checkout', () => {
    repository('plans/phases.yaml', 'src/index.ts');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(fs.existsSync(at('tree/plans/phases.yaml'))).toBe(true);
    expect(found('tree')).toBe('main');
    expect(found('tree/src')).toBe('main');
    expect(found('main/src')).toBe('main');
  });

  test('the project inside .forge/worktrees is that of the main checkout', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '.forge/worktrees/build');
    expect(found('main/.forge/worktrees/build')).toBe('main');
  });

  test('a project below the root of the repository is found at the same place from a worktree', () => {
    repository('apps/one/plans/phases.yaml', 'apps/one/src/index.ts', 'apps/two/index.ts');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(found('tree/apps/one/src')).toBe('main/apps/one');
    expect(found('tree/apps/two')).toBeNull();
  });

  test('a folder that exists only in the worktree leads to the project above it', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '../tree');
    make('tree/new/deep/');
    expect(found('tree/new/deep')).toBe('main');
  });

  test('--dir in a worktree means that very folder', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(found('main', at('tree'))).toBe('tree');
  });

  test('a worktree whose main checkout is gone is its own project', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '../tree');
    fs.rmSync(at('main'), { recursive: true });
    expect(found('tree')).toBe('tree');
  });

  test('a submodule is a project of its own', () => {
    make('outer/plans/phases.yaml', 'outer/.git/modules/inner/', 'outer/inner/plans/phases.yaml');
    fs.writeFileSync(at('outer/inner/.git'), 'gitdir: ../.git/modules/inner\n');
    expect(found('outer/inner')).toBe('outer/inner');
  });

  test('a .git file with other content is ignored', () => {
    make('app/plans/phases.yaml');
    fs.writeFileSync(at('app/.git'), 'nonsense');
    expect(found('app')).toBe('app');
  });
});

describe('settings file', () => {
  const settings = async (text: string) => {
    make('.forge/');
    fs.writeFileSync(at('.forge/settings.yaml'), text);
    return (await loadSettings(pathsOf(root))).settings;
  };

  test('settings are the defaults when there is no file', async () => {
    expect((await loadSettings(pathsOf(root))).settings).toBe(DEFAULT_SETTINGS);
  });

  test('settings are read with their defaults filled in', async () => {
    const { agents } = await settings('agents:\n  steal_grace_ms: 1s\n');
    expect(agents).toEqual({ ...DEFAULT_SETTINGS.agents, steal_grace_ms: 1000 });
  });

  test('invalid settings are refused with every place', async () => {
    const thrown = await refused(() => settings('agents:\n  steal_grace: 1s\nworkspace: here\n'));
    expect(thrown).toMatchObject({ code: 'SETTINGS_INVALID', message: '2 problems in .forge/settings.yaml' });
    expect(thrown.problems.map(({ place }) => [place.file, place.line])).toEqual([
      ['.forge/settings.yaml', 2],
      ['.forge/settings.yaml', 3],
    ]);
  });
});

describe('plan file', () => {
  const settings = (plan: string | null) => ({ ...DEFAULT_SETTINGS, plan });

  test('the plan is found in its usual places, in order', async () => {
    const paths = pathsOf(root);
    expect(await loadPlanned({ paths, settings: settings(null) })).toBeNull();
    expect(planPlaceOf(paths)).toBe(PLAN_PLACES[0]);
    for (const place of [...PLAN_PLACES].reverse()) {
      make(place);
      expect((await loadPlanned({ paths, settings: settings(null) }))?.file).toBe(place);
      expect(planPlaceOf(paths)).toBe(place);
    }
  });

  test('a plan place in the settings excludes all others', async () => {
    make('plans/phases.yaml', 'docs/plan.yaml');
    const paths = pathsOf(root);
    expect((await loadPlanned({ paths, settings: settings('docs/plan.yaml') }))?.file).toBe('docs/plan.yaml');
    expect(await refusal(() => loadPlanned({ paths, settings: settings('docs/gone.yaml') }))).toBe('PHASES_NOT_FOUND');
  });

  test('a required plan that is missing is PHASES_NOT_FOUND', async () => {
    make('.forge/');
    expect(
      await refusal(() =>
        requirePlan({ paths: pathsOf(root), settings: settings(null), store: openStores(pathsOf(root)).store }),
      ),
    ).toBe('PHASES_NOT_FOUND');
  });

  test('an invalid plan is refused with every place', async () => {
    const thrown = await refused(() =>
      parsePlanText({
        file: 'plans/phases.yaml',
        text: PLAN.replace('title', 'titel').replace('id: build', 'id: ../build'),
      }),
    );
    expect(thrown).toMatchObject({ code: 'PHASES_PARSE_ERROR', message: expect.stringContaining('plans/phases.yaml') });
    expect(thrown.problems.length).toBeGreaterThan(1);
  });

  test('a plan that cannot be read is IO_ERROR', async () => {
    make('plans/phases.yaml/');
    expect(await refusal(() => loadPlanned({ paths: pathsOf(root), settings: settings(null) }))).toBe('IO_ERROR');
  });

  test("the plan's stamp changes after an edit", () => {
    make('plans/phases.yaml');
    const paths = pathsOf(root);
    const stamps = [planStamp(paths, 'plans/phases.yaml')];
    expect(planStamp(paths, 'plans/phases.yaml')).toBe(stamps[0]);
    fs.appendFileSync(at('plans/phases.yaml'), '# more\n');
    stamps.push(planStamp(paths, 'plans/phases.yaml'));
    fs.writeFileSync(at('other'), fs.readFileSync(at('plans/phases.yaml')));
    fs.renameSync(at('other'), at('plans/phases.yaml'));
    stamps.push(planStamp(paths, 'plans/phases.yaml'));
    fs.rmSync(at('plans/phases.yaml'));
    stamps.push(planStamp(paths, 'plans/phases.yaml'));
    expect(new Set(stamps).size).toBe(4);
  });
});

describe('first files', () => {
  test('first files are written with the folders above them, and never over existing files', () => {
    expect(writeNew(at('a/b/plan.yaml'), 'first')).toBe(true);
    expect(writeNew(at('a/b/plan.yaml'), 'second')).toBe(false);
    expect(fs.readFileSync(at('a/b/plan.yaml'), 'utf8')).toBe('first');
    expect(fs.readdirSync(at('a/b'))).toEqual(['plan.yaml']);
  });

  test('first files are not written through a dangling symlink', () => {
    fs.symlinkSync(at('target'), at('plan.yaml'));
    expect(writeNew(at('plan.yaml'), 'text')).toBe(false);
    expect(fs.existsSync(at('target'))).toBe(false);
  });

  test('first files that cannot be written are IO_ERROR', async () => {
    fs.writeFileSync(at('file'), '');
    expect(await refusal(() => writeNew(at('file/plan.yaml'), 'text'))).toBe('IO_ERROR');
    expect(await refusal(() => writeNew(at('file/plans/plan.yaml'), 'text'))).toBe('IO_ERROR');
  });

  test('first files are written despite an incomplete file of a killed process', () => {
    fs.writeFileSync(at(`plan.yaml.${process.pid}.tmp`), 'half');
    expect(writeNew(at('plan.yaml'), 'text')).toBe(true);
    expect(fs.readdirSync(root)).toEqual(['plan.yaml']);
  });
});

describe('files named by flags', () => {
  const cases: [what: string, make: (file: string) => void, why: string][] = [
    ['is not there', () => {}, 'there is no such file'],
    ['is a folder', (file) => fs.mkdirSync(file), 'it is not a regular file'],
    ['is a symlink', (file) => fs.symlinkSync(at('elsewhere'), file), 'it is a symlink'],
    ['is too large', (file) => fs.writeFileSync(file, 'x'.repeat(101)), 'it is larger than 100 bytes'],
    ['is a pipe', (file) => execFileSync('mkfifo', [file]), 'it is not a regular file'],
  ];
  test.each(cases)('a file named by a flag is refused if it %s', (_what, prepare, why) => {
    prepare(at('verdict.json'));
    expect(() => readUserFile(at('verdict.json'), '--verdict-file', 100)).toThrow(
      `--verdict-file ${at('verdict.json')}: ${why}`,
    );
  });

  test('a file named by a flag is read whole', () => {
    fs.writeFileSync(at('verdict.json'), 'x'.repeat(100));
    expect(readUserFile(at('verdict.json'), '--verdict-file', 100)).toBe('x'.repeat(100));
  });
});
