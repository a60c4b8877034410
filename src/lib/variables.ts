/** The variables of an environment, as in `process.env`. */
export type Variables = Readonly<Record<string, string | undefined>>;
