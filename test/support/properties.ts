/**
 * fast-check, for every property test. It draws the same cases in every run, so that a failure is caused
 * by the change at hand. `PROPERTY_SEED`, an integer from 1 on, draws others.
 */

import fc from 'fast-check';

const given = process.env['PROPERTY_SEED'] || '1';
if (!/^[1-9]\d{0,8}$/.test(given)) throw new Error(`PROPERTY_SEED must be a whole number from 1 on, not ${given}`);
fc.configureGlobal({ seed: Number(given) });

export default fc;
