/** What keeps a review or a merge from beginning. */

import { ForgeError } from '../../lib/errors.ts';

/** A review or a merge can't begin, and the task's work is not to blame: it waits as before. */
export class CanNotIntegrate extends ForgeError {}
