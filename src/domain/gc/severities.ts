/** How much a divergence matters, and what a verb warns of. Apart from gc's plan, which few verbs load. */

/** `info`: tidying up. `warning`: work stands still, or two places disagree. `error`: something can't be read. */
export const GC_SEVERITIES = ['info', 'warning', 'error'] as const;
export type GcSeverity = (typeof GC_SEVERITIES)[number];
