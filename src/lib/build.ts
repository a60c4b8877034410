/** What this build of forge is. */

declare const FORGE_BUILD: string | undefined;

/** A checksum of the command's sources, set by scripts/build.mjs; null when they run without a build. */
export const BUILD: string | null = typeof FORGE_BUILD === 'string' ? FORGE_BUILD : null;
