/** The same policies decide in the same way wherever something fails. */

import { describe, expect, it } from 'vitest';
import { SHORT, varied } from '../support/faults/knobs.ts';
import { type Failure, failAt, RETRY_SITES, type RetrySite } from '../support/retry-sites.ts';

const of = (...classes: string[]): Failure[] => classes.map((name) => ({ class: name }));
const budget = (name: string, max_attempts: number) => ({ retry_on: [name], max_attempts, base: '1ms' });
const network = (max_attempts: number) => [budget('network', max_attempts), budget('declined', 1)];

interface Case {
  what: string;
  retry: unknown;
  failures: Failure[];
  reordered?: unknown;
  /** Default: as many as there are failures. */
  made?: number;
  tries: number;
  counts: Record<string, number> | undefined;
  error: string;
}

const CASES: Case[] = [
  {
    what: 'counts each class on its own',
    retry: network(4),
    failures: of('network', 'network', 'network', 'declined'),
    tries: 4,
    counts: { network: 3, declined: 1 },
    error: 'declined',
  },
  {
    what: 'ends with the failure that uses a budget up',
    retry: network(3),
    failures: of('network', 'network', 'network', 'network'),
    made: 3,
    tries: 3,
    counts: { network: 3 },
    error: 'network',
  },
  {
    what: 'charges a subclass to its parent',
    retry: network(3),
    failures: of('network.dns', 'network', 'network.timeout'),
    tries: 3,
    counts: { network: 3 },
    error: 'network.timeout',
  },
  {
    what: 'does not try what no policy matches',
    retry: network(3),
    failures: of('odd', 'odd'),
    made: 1,
    tries: 1,
    counts: undefined,
    error: 'odd',
  },
  {
    what: 'writes no counts of a single policy',
    retry: { max_attempts: 3, base: '1ms' },
    failures: of('network', 'declined', 'network'),
    tries: 3,
    counts: undefined,
    error: 'network',
  },
  {
    what: 'keeps to the cap on the sum',
    retry: { policies: [budget('a', 5), budget('b', 5)], max_total_attempts: 3 },
    failures: of('a', 'b', 'a', 'b'),
    made: 3,
    tries: 3,
    counts: { a: 2, b: 1 },
    error: 'a',
  },
  {
    what: 'reaches the ninth try of two budgets of five whose errors take turns',
    retry: [budget('a', 5), budget('b', 5)],
    failures: of(...Array(6).fill(['a', 'b']).flat()),
    made: 9,
    tries: 9,
    counts: { a: 5, b: 4 },
    error: 'a',
  },
  {
    what: 'keeps its counts when it is killed and its list is put in another order',
    retry: network(3),
    failures: [...of('network', 'network'), 'killed', ...of('network', 'network')],
    reordered: network(3).reverse(),
    made: 4,
    tries: 3,
    counts: { network: 3 },
    error: 'network',
  },
  {
    what: 'spends nothing on failures that are not charged',
    retry: [{ retry_on: ['busy'], charge: false, base: '1ms' }, budget('network', 2)],
    failures: of('network', 'busy', 'busy', 'busy', 'network'),
    tries: 2,
    counts: { network: 2 },
    error: 'network',
  },
];

/** Sites that decide by the same code have a case or two in the short run, and all of them in the sample. */
const isWhole = ({ name }: RetrySite) => name === 'a task' || name === 'a step in shell';
const casesAt = (site: RetrySite) => (isWhole(site) ? CASES : varied(CASES, 2));
const levelsOf = (site: RetrySite) => (isWhole(site) ? site.levels.slice(1) : varied(site.levels.slice(1), 0));

describe.each(RETRY_SITES.map((site): [string, RetrySite] => [site.name, site]))('%s', (_name, site) => {
  it.each(casesAt(site).map((one): [string, Case] => [one.what, one]))('%s', async (_what, one) => {
    const { times, message: _, ...standing } = await failAt(site, one);
    const { tries, counts, error } = one;
    expect({ ...standing, made: times.length }).toEqual({
      tries,
      counts,
      error,
      made: one.made ?? one.failures.length,
    });
  });

  it.each(levelsOf(site))('takes a list from its level: %s', async (level) => {
    const failures = of('network', 'network', 'declined');
    expect(await failAt(site, { retry: network(4), failures, level })).toMatchObject({
      tries: 3,
      counts: { network: 2, declined: 1 },
    });
  });

  it.runIf(isWhole(site) || !SHORT)('fails when failures that are not charged have gone on for max_wait', async () => {
    const retry = [{ retry_on: ['busy'], charge: false, max_wait: '300ms', base: '100ms', factor: 1, cap: '1s' }];
    const { tries, counts, message, times } = await failAt(site, { retry, failures: of(...Array(30).fill('busy')) });
    expect({ tries, counts }).toEqual({ tries: 1, counts: { busy: 1 } });
    expect(message).toMatch(/; it has waited for .*s, and its max_wait is 300ms$/);
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(300);
  });

  it.runIf(isWhole(site) || !SHORT)(
    'is tried again when its failure says, sooner or later than its policy',
    async () => {
      const failures: Failure[] = [
        { class: 'network', retry_after: '0s' },
        { class: 'network', retry_after: '2s' },
      ];
      const { times } = await failAt(site, {
        retry: [{ ...budget('network', 3), base: '1h', cap: '1h' }],
        failures,
      });
      expect(times).toHaveLength(3);
      const [first = 0, second = 0, third = 0] = times;
      expect(second - first).toBeLessThan(60_000);
      expect(third - second).toBeGreaterThanOrEqual(2000);
    },
  );
});
