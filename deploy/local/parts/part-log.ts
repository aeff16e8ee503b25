/** How the local parts tell what they do: a constant message, and the data in fields. */
export type PartLog = (message: string, fields?: Readonly<Record<string, unknown>>) => void;
