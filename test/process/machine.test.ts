import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { sameMachine } from '../../src/domain/task/identity.ts';
import { thisMachine } from '../../src/process/machine.ts';

test('a machine is identified by host name, boot and pid namespace', () => {
  const machine = thisMachine();
  expect(machine.host).toBe(hostname());
  expect(machine.boot_id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  expect(machine.pid_ns).toMatch(process.platform === 'darwin' ? /^$/ : /^pid:\[\d+\]$/);
});

test('thisMachine returns equal but separate objects', () => {
  const first = thisMachine();
  first.host = 'changed';
  expect(thisMachine().host).toBe(hostname());
  expect(sameMachine(thisMachine(), thisMachine())).toBe(true);
});
