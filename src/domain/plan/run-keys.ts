/** The keys that a task of a plan and a child of a fan-out have in common. */

import * as z from 'zod/mini';
import { retrySchema } from '../retry/schema.ts';
import { durationAboveZero, key, passedText } from './declare.ts';

const ENV_NAME_ERROR = 'a variable name has letters, digits and "_" only, and does not start with a digit';
const FORGE_NAME_ERROR = 'names that start with FORGE_ are set by forge itself';

const variable = z
  .string()
  .check(
    z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: ENV_NAME_ERROR }),
    z.regex(/^(?!FORGE_)/, { error: FORGE_NAME_ERROR }),
  );

export const timeoutKey = () =>
  key(
    durationAboveZero('Leave it out for no limit.'),
    'How long one attempt may take: milliseconds, or text such as 30s, 5m, 2h. Left out: as long as it takes.',
    null,
    { examples: ['10m'] },
  );

export const envKey = () =>
  key(
    z.record(variable, z.union([passedText, z.number(), z.boolean()])),
    'Environment variables for run and verify. Numbers are passed as they are spelled. Names that start with FORGE_ are reserved.',
    {},
  );

export const retryKey = () =>
  key(
    retrySchema(),
    'When a failed attempt is tried again: one policy, a list of them, or a list with a cap on the sum. Left out: as the settings say.',
    null,
    { examples: [{ max_attempts: 3, base: '10s' }] },
  );
