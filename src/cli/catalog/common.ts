/** Operands and options that several verbs share, each with the variable that a worker finds it in. */

import type { PhaseOfWork } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import type { Input } from '../input.ts';
import type { OperandSpec, OptionSpec } from '../spec.ts';

export const TASK: OperandSpec = { name: 'task', about: 'Id of a task', env: 'FORGE_TASK_ID' };
export const RUN: OptionSpec = { name: 'run', value: 'id', about: 'The run to work under', env: 'FORGE_RUN_ID' };
export const CLAIM: OptionSpec = {
  name: 'claim',
  value: 'id',
  about: 'The claim that you hold',
  env: 'FORGE_CLAIM_ID',
};
export const ATTEMPT: OptionSpec = {
  name: 'attempt',
  value: 'id',
  about: 'The attempt that you work on',
  env: 'FORGE_ATTEMPT_ID',
};

/** The schema's own list would load all of zod before a verb is known. */
export const PHASES_OF_WORK = ['implement', 'review', 'ship'] as const satisfies readonly PhaseOfWork[];

/** Ids for the examples. */
export const SAMPLE = {
  run: '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01',
  claim: '01997b62-6f7d-7a52-8e10-5c3d9b8a4f02',
  attempt: '01997b62-7c21-7b90-a1f3-9e2d4c6b8a03',
  question: '01997b62-8d44-7e15-b6c2-4f7a1d9e0b04',
} as const;

/** For verbs that take a task or `--next`; the environment's task counts for less than either. Throws INVALID_ARGS. */
export function taskOrNext(input: Input): { task: string | undefined; next: boolean } {
  const written = input.writtenTask();
  const next = input.flag('next');
  if (written !== undefined && next) {
    throw new ForgeError('INVALID_ARGS', `both a task (${written}) and --next are given`, { hint: 'Leave one out.' });
  }
  return next ? { task: undefined, next } : { task: input.task('--next'), next };
}
