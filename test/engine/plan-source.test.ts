import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { PlanSource } from '../../src/engine/run/plan-source.ts';
import { requirePlan } from '../../src/project/plan-file.ts';
import { planOf, World } from '../support/commands/world.ts';

let world: World;
let source: PlanSource;
beforeEach(async () => {
  world = new World(planOf('a'));
  const session = await world.session();
  source = new PlanSource(session, await requirePlan(session));
});

const ids = () => source.current.plan.tasks.map((task) => task.id);
/** An edit that no clock is too coarse to tell: under another inode, as most editors do it. */
const edit = (text: string) => {
  fs.writeFileSync(world.path('plans/next'), text);
  fs.renameSync(world.path('plans/next'), world.path('plans/phases.yaml'));
};

describe('plan of a run', () => {
  test('a run keeps its plan while the file is unchanged', async () => {
    const before = source.current;
    expect(await source.refresh()).toBe(false);
    expect(source.current).toBe(before);
  });

  test('a run follows an edit of its plan once', async () => {
    edit(planOf('a', 'b'));
    expect(await source.refresh()).toBe(true);
    expect(ids()).toEqual(['a', 'b']);
    expect(await source.refresh()).toBe(false);
  });

  test('a run ignores a plan file with only a new time', async () => {
    edit(planOf('a'));
    const before = source.current;
    expect(await source.refresh()).toBe(false);
    expect(source.current).toBe(before);
  });

  test('an edit that does not parse leaves the last good plan in force, with a warning that names the place', async () => {
    edit(planOf('a', 'b').replace('title', 'titel'));
    expect(await source.refresh()).toBe(false);
    expect(ids()).toEqual(['a']);
    expect(world.warnings).toEqual([
      expect.stringMatching(/phases\.yaml \(line 6: .*"title" is missing\); going on with the plan as it was before/),
    ]);
    expect(await source.refresh()).toBe(false);
    expect(world.warnings).toHaveLength(1);
  });

  test.each([
    ['plan: docs/plan.yaml\n', 'docs/plan.yaml', 'there is no plan at docs/plan.yaml'],
    ['', 'plans/phases.yaml', 'plans/phases.yaml is gone; going on with the plan as it was before'],
  ])('a missing plan is reported once, not at every look, with the settings %j', async (settings, file, warning) => {
    world = new World(null, settings);
    world.write(file, planOf('a'));
    const session = await world.session();
    source = new PlanSource(session, await requirePlan(session));
    fs.rmSync(world.path(file));
    for (let look = 0; look < 3; look++) expect(await source.refresh()).toBe(false);
    expect(world.warnings).toEqual([expect.stringContaining(warning)]);
    world.write(file, planOf('a', 'b'));
    expect(await source.refresh()).toBe(true);
  });

  test('a run follows its plan again once it is fixed', async () => {
    edit('project: [');
    await source.refresh();
    edit(planOf('a', 'c'));
    expect(await source.refresh()).toBe(true);
    expect(ids()).toEqual(['a', 'c']);
  });

  test('a plan restored after an error is in force', async () => {
    edit('project: [');
    await source.refresh();
    edit(planOf('a'));
    await source.refresh();
    expect(ids()).toEqual(['a']);
    edit(planOf('a', 'b'));
    expect(await source.refresh()).toBe(true);
  });

  test('a deleted plan leaves the last one in force until there is one again', async () => {
    fs.rmSync(world.path('plans/phases.yaml'));
    expect(await source.refresh()).toBe(false);
    expect(ids()).toEqual(['a']);
    edit(planOf('d'));
    expect(await source.refresh()).toBe(true);
    expect(ids()).toEqual(['d']);
  });
});
