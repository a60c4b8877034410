/** Which project a command is about, and the files that a person writes for it. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { pathsOf } from '../../src/domain/project-paths.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { writeNew } from '../../src/lib/fs/new-file.ts';
import { findProject, PLAN_PLACES, requireProject } from '../../src/project/find-project.ts';
import { loadPlan, parsePlanText, planPlaceOf, planStamp, requirePlan } from '../../src/project/plan-file.ts';
import { loadSettings } from '../../src/project/settings-file.ts';
import { readUserFile } from '../../src/project/user-files.ts';
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

describe('without --dir the project', () => {
  test.each(PLAN_PLACES)('is where %s is', (place) => {
    make(`app/${place}`, 'app/src/deep/');
    expect(found('app')).toBe('app');
    expect(found('app/src/deep')).toBe('app');
  });

  test('is where .forge is, also without a plan', () => {
    make('app/.forge/', 'app/src/');
    expect(found('app/src')).toBe('app');
  });

  test('is the nearest one', () => {
    make('.forge/', 'apps/one/plans/phases.yaml', 'apps/one/src/');
    expect(found('apps/one/src')).toBe('apps/one');
    expect(found('apps')).toBe('');
  });

  test.each(['plans', '.forge/plans', '.forge'])('is not the folder %s that its plan lies in', (dir) => {
    make('app/plans/phases.yaml', 'app/.forge/plans/phases.yaml');
    expect(found(`app/${dir}`)).toBe('app');
  });

  test('is not found by a file that is called .forge, nor by a folder that is called phases.yaml', () => {
    make('app/src/', 'app/phases.yaml/');
    fs.writeFileSync(at('app/.forge'), '');
    expect(found('app/src')).not.toBe('app');
  });

  test('is none where there is none', () => {
    make('src/');
    expect(found('src')).toBeNull();
    expect(() => requireProject(at('src'), undefined)).toThrow(`${at('src')} or any folder above it`);
  });
});

describe('with --dir, or FORGE_DIR, the project', () => {
  test('is that folder, or the one that the .forge is in', () => {
    make('app/.forge/', 'elsewhere/');
    expect(found('elsewhere', at('app'))).toBe('app');
    expect(found('elsewhere', at('app/.forge'))).toBe('app');
    expect(found('elsewhere', at('app/.forge/'))).toBe('app');
  });

  test('is taken from where the command was started', () => {
    make('app/.forge/', 'app/src/');
    expect(found('app/src', '..')).toBe('app');
    expect(found('app', '.forge')).toBe('app');
  });

  test('is taken at its word: nothing above it is looked at', () => {
    make('.forge/', 'app/');
    expect(found('', at('app'))).toBe('app');
    expect(() => requireProject(root, at('app'))).toThrow('neither a plan');
  });

  test('of an empty name is as if it were not given', () => {
    make('.forge/', 'src/');
    expect(found('src', '')).toBe('');
  });

  test.each(['gone', 'file'])('that is no folder (%s) is refused', async (name) => {
    fs.writeFileSync(at('file'), '');
    expect(await refusal(() => findProject(root, name))).toBe('INVALID_ARGS');
  });
});

test('no project at all is PHASES_NOT_FOUND, with the way to make one', () => {
  let thrown: unknown;
  try {
    requireProject(root, undefined);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ForgeError);
  expect(thrown).toMatchObject({ code: 'PHASES_NOT_FOUND', hint: expect.stringContaining('init') });
});

describe('in a git worktree', () => {
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

  test('the project is that of the main checkout', () => {
    repository('plans/phases.yaml', 'src/index.ts');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(fs.existsSync(at('tree/plans/phases.yaml'))).toBe(true);
    expect(found('tree')).toBe('main');
    expect(found('tree/src')).toBe('main');
    expect(found('main/src')).toBe('main');
  });

  test('inside of .forge/worktrees it is the same', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '.forge/worktrees/build');
    expect(found('main/.forge/worktrees/build')).toBe('main');
  });

  test('a project below the root of the repository is found at the same place', () => {
    repository('apps/one/plans/phases.yaml', 'apps/one/src/index.ts', 'apps/two/index.ts');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(found('tree/apps/one/src')).toBe('main/apps/one');
    expect(found('tree/apps/two')).toBeNull();
  });

  test('a folder that only the worktree has leads to what is above it', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '../tree');
    make('tree/new/deep/');
    expect(found('tree/new/deep')).toBe('main');
  });

  test('--dir means that very folder', () => {
    repository('plans/phases.yaml');
    git('main', 'worktree', 'add', '-q', '../tree');
    expect(found('main', at('tree'))).toBe('tree');
  });

  test('whose main checkout is gone the worktree stands for itself', () => {
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

  test('a .git file that says something else is passed over', () => {
    make('app/plans/phases.yaml');
    fs.writeFileSync(at('app/.git'), 'nonsense');
    expect(found('app')).toBe('app');
  });
});

describe('settings', () => {
  const settings = (text: string) => {
    make('.forge/');
    fs.writeFileSync(at('.forge/settings.yaml'), text);
    return loadSettings(pathsOf(root));
  };

  test('are the defaults where there is no file', () => {
    expect(loadSettings(pathsOf(root))).toBe(DEFAULT_SETTINGS);
  });

  test('are read with their defaults filled in', () => {
    const { agents } = settings('agents:\n  steal_grace_ms: 1s\n');
    expect(agents).toEqual({ ...DEFAULT_SETTINGS.agents, steal_grace_ms: 1000 });
  });

  test('that are wrong are refused with every place', () => {
    let thrown: unknown;
    try {
      settings('agents:\n  steal_grace: 1s\nworkspace: here\n');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'SETTINGS_INVALID', message: '2 problems in .forge/settings.yaml' });
    expect((thrown as ForgeError).problems.map(({ place }) => [place.file, place.line])).toEqual([
      ['.forge/settings.yaml', 2],
      ['.forge/settings.yaml', 3],
    ]);
  });
});

describe('the plan', () => {
  const settings = (plan: string | null) => ({ ...DEFAULT_SETTINGS, plan });

  test('is looked for in its places, in their order', () => {
    const paths = pathsOf(root);
    expect(loadPlan({ paths, settings: settings(null) })).toBeNull();
    expect(planPlaceOf(paths)).toBe(PLAN_PLACES[0]);
    for (const place of [...PLAN_PLACES].reverse()) {
      make(place);
      expect(loadPlan({ paths, settings: settings(null) })?.file).toBe(place);
      expect(planPlaceOf(paths)).toBe(place);
    }
  });

  test('is where the settings say, and nowhere else', async () => {
    make('plans/phases.yaml', 'docs/plan.yaml');
    const paths = pathsOf(root);
    expect(loadPlan({ paths, settings: settings('docs/plan.yaml') })?.file).toBe('docs/plan.yaml');
    expect(await refusal(() => loadPlan({ paths, settings: settings('docs/gone.yaml') }))).toBe('PHASES_NOT_FOUND');
  });

  test('that is needed and not there is PHASES_NOT_FOUND', async () => {
    make('.forge/');
    expect(await refusal(() => requirePlan({ paths: pathsOf(root), settings: settings(null) }))).toBe(
      'PHASES_NOT_FOUND',
    );
  });

  test('that is wrong is refused with every place', () => {
    let thrown: unknown;
    try {
      parsePlanText({
        file: 'plans/phases.yaml',
        text: PLAN.replace('title', 'titel').replace('id: build', 'id: ../build'),
      });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'PHASES_PARSE_ERROR', message: expect.stringContaining('plans/phases.yaml') });
    expect((thrown as ForgeError).problems.length).toBeGreaterThan(1);
  });

  test('that can not be read is IO_ERROR', async () => {
    make('plans/phases.yaml/');
    expect(await refusal(() => loadPlan({ paths: pathsOf(root), settings: settings(null) }))).toBe('IO_ERROR');
  });

  test('has a stamp that differs after an edit', () => {
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

describe('files for a person to go on from', () => {
  test('are written with the folders above them, and never over what is there', () => {
    expect(writeNew(at('a/b/plan.yaml'), 'first')).toBe(true);
    expect(writeNew(at('a/b/plan.yaml'), 'second')).toBe(false);
    expect(fs.readFileSync(at('a/b/plan.yaml'), 'utf8')).toBe('first');
    expect(fs.readdirSync(at('a/b'))).toEqual(['plan.yaml']);
  });

  test('are not written through a symlink that leads nowhere', () => {
    fs.symlinkSync(at('target'), at('plan.yaml'));
    expect(writeNew(at('plan.yaml'), 'text')).toBe(false);
    expect(fs.existsSync(at('target'))).toBe(false);
  });

  test('that can not be written are IO_ERROR', async () => {
    fs.writeFileSync(at('file'), '');
    expect(await refusal(() => writeNew(at('file/plan.yaml'), 'text'))).toBe('IO_ERROR');
    expect(await refusal(() => writeNew(at('file/plans/plan.yaml'), 'text'))).toBe('IO_ERROR');
  });

  test('are written although a killed process has left its own half done', () => {
    fs.writeFileSync(at(`plan.yaml.${process.pid}.tmp`), 'half');
    expect(writeNew(at('plan.yaml'), 'text')).toBe(true);
    expect(fs.readdirSync(root)).toEqual(['plan.yaml']);
  });
});

describe('a file that a user names', () => {
  const cases: [what: string, make: (file: string) => void, why: string][] = [
    ['is not there', () => {}, 'there is no such file'],
    ['is a folder', (file) => fs.mkdirSync(file), 'it is not a regular file'],
    ['is a symlink', (file) => fs.symlinkSync(at('elsewhere'), file), 'it is a symlink'],
    ['is too large', (file) => fs.writeFileSync(file, 'x'.repeat(101)), 'it is larger than 100 bytes'],
    ['is a pipe', (file) => execFileSync('mkfifo', [file]), 'it is not a regular file'],
  ];
  test.each(cases)('and that %s is refused by its flag', (_what, prepare, why) => {
    prepare(at('verdict.json'));
    expect(() => readUserFile(at('verdict.json'), '--verdict-file', 100)).toThrow(
      `--verdict-file ${at('verdict.json')}: ${why}`,
    );
  });

  test('is read whole', () => {
    fs.writeFileSync(at('verdict.json'), 'x'.repeat(100));
    expect(readUserFile(at('verdict.json'), '--verdict-file', 100)).toBe('x'.repeat(100));
  });
});
