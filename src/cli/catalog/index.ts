/** Every verb of `forge orchestrate`, in the order of the help. */

import type { VerbGroup } from '../spec.ts';
import { FINISHING } from './finishing.ts';
import { HOME, LOOKING } from './looking.ts';
import { ANSWERING } from './questions.ts';
import { RUNNING } from './running.ts';
import { TIDYING } from './tidying.ts';
import { STEERING, WORKING } from './working.ts';

export { HOME };

/** `run` stands before the verbs below it: they are added to it. */
export const GROUPS: readonly VerbGroup[] = [
  { title: 'Run a plan', verbs: RUNNING },
  { title: 'Look', verbs: LOOKING },
  { title: 'Work on a task', verbs: WORKING },
  { title: 'Review and merge', verbs: FINISHING },
  { title: 'Ask and answer', verbs: ANSWERING },
  { title: 'Steer', verbs: STEERING },
  { title: 'Tidy up', verbs: TIDYING },
];
