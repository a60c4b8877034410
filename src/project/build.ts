/** Which build of forge this is. */

declare const FORGE_BUILD: string | undefined;

/** A checksum of the sources that the command was made of, put in by scripts/build.mjs; null where they run as they are. */
export const BUILD: string | null = typeof FORGE_BUILD === 'string' ? FORGE_BUILD : null;
