import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { sameMachine } from '../../src/domain/task/identity.ts';
import { thisMachine } from '../../src/process/machine.ts';

test('this machine is known by host name, boot and pid namespace', () => {
  const machine = thisMachine();
  expect(machine.host).toBe(hostname());
  expect(machine.boot_id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  expect(machine.pid_ns).toMatch(process.platform === 'darwin' ? /^$/ : /^pid:\[\d+\]$/);
});

test('two answers agree, and changing one does not change the next', () => {
  const first = thisMachine();
  first.host = 'changed';
  expect(thisMachine().host).toBe(hostname());
  expect(sameMachine(thisMachine(), thisMachine())).toBe(true);
});
