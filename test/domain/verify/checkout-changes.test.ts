/** What is new in a checkout, as text. */

import { expect, test } from 'vitest';
import { type CheckoutState, checkoutChanges, elsewhereFault } from '../../../src/domain/verify/checkout-changes.ts';

const MAIN: CheckoutState = { branch: 'main', head: 'a'.repeat(40), files: new Map() };
const told = (now: Partial<CheckoutState>, strange: string[] = []) =>
  checkoutChanges(MAIN, { ...MAIN, ...now }, { tasks: ['build'], strange });

test('a checkout that is the same, or only further on its branch, has no changes', () => {
  expect(told({})).toBeNull();
  expect(told({ head: 'b'.repeat(40) })).toBeNull();
});

test('a detached checkout is named by its commit', () => {
  expect(told({ branch: null })).toContain('it is on commit aaaaaaaaaaaa now, and was on branch main');
});

test('of many files the first five are named', () => {
  const files = new Map(['f', 'e', 'd', 'c', 'b', 'a'].map((name) => [name, '']));
  expect(told({ files })).toMatch(/: a, b, c, d, e and 1 more$/);
});

test('without changes elsewhere there is no fault', () => {
  expect(elsewhereFault([])).toBeNull();
  expect(elsewhereFault(['x.txt'])).toMatchObject({ class: 'verify.elsewhere' });
});
