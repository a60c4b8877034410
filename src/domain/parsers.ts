/**
 * What reads the files that people write. Most commands find what came of them kept by an earlier one, so the build puts
 * all of this, and the YAML parser with it, into a file of the bundle that is loaded when one of these is first called.
 */

export { parsePlan } from './plan/parse.ts';
export { parseSettings } from './settings/parse.ts';
