import { describe, expect, test } from 'vitest';
import {
  type MachineIdentity,
  OwnerIdentitySchema,
  rebootedSince,
  sameMachine,
} from '../../../src/domain/task/identity.ts';

const here: MachineIdentity = { host: 'alpha', boot_id: 'b1', pid_ns: 'pid:[4026531836]' };

describe('sameMachine', () => {
  test.each<[string, Partial<MachineIdentity>, boolean]>([
    ['equal in all three', {}, true],
    ['another host name', { host: 'beta' }, false],
    ['another boot', { boot_id: 'b2' }, false],
    ['another pid namespace', { pid_ns: 'pid:[4026532999]' }, false],
  ])('sameMachine: %s', (_, change, same) => {
    expect(sameMachine(here, { ...here, ...change })).toBe(same);
    expect(sameMachine({ ...here, ...change }, here)).toBe(same);
  });

  test('an unknown boot equals no other, not even an unknown one', () => {
    expect(sameMachine({ ...here, boot_id: '' }, { ...here, boot_id: '' })).toBe(false);
  });
});

describe('rebootedSince', () => {
  const container = { pid_ns: 'pid:[4026532999]' };
  const noNamespaces = { pid_ns: '' };
  test.each<[string, Partial<MachineIdentity>, Partial<MachineIdentity>, boolean]>([
    ['same host, later boot', {}, { boot_id: 'b2' }, true],
    ['same host, later boot, a system without namespaces', noNamespaces, { ...noNamespaces, boot_id: 'b2' }, true],
    ['same boot', {}, {}, false],
    ['another host', {}, { host: 'beta', boot_id: 'b2' }, false],
    ['no host names', { host: '' }, { host: '', boot_id: 'b2' }, false],
    ['machines that were given no name', { host: 'localhost' }, { host: 'localhost', boot_id: 'b2' }, false],
    ['the same with a domain', { host: 'localhost.lan' }, { host: 'localhost.lan', boot_id: 'b2' }, false],
    ['a name that begins so', { host: 'localhosts' }, { host: 'localhosts', boot_id: 'b2' }, true],
    ['then in a container', container, { boot_id: 'b2' }, false],
    ['now in a container', {}, { ...container, boot_id: 'b2' }, false],
    ['both in containers', container, { ...container, boot_id: 'b2' }, false],
    ['the old boot is unknown', { boot_id: '' }, {}, false],
    ['this boot is unknown', {}, { boot_id: '' }, false],
  ])('rebootedSince: %s', (_, then, now, rebooted) => {
    expect(rebootedSince({ ...here, ...then }, { ...here, ...now })).toBe(rebooted);
  });
});

test('unknown fields of an identity are kept', () => {
  const owner = { ...here, pid: 7, started_at: 'ticks:1', tool: 'other' };
  expect(OwnerIdentitySchema().parse(owner)).toEqual(owner);
});
