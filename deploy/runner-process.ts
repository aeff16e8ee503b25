/**
 * How the runner's process is started so that it stays small. Left to itself, Node lets garbage pile up as the
 * machine's memory allows: 64 environments at once need some 60 MB, and take 550 MB.
 */

/**
 * Node's flags: space for new objects in MB (V8 takes 16 and more), and by how many percent the heap may grow before
 * what is unused is looked for (V8 takes 100 and more). Slower by little: most objects die young in 2 MB, too.
 */
export const RUNNER_FLAGS: readonly string[] = ['--max-semi-space-size=2', '--heap-growing-percent=20'];

/** glibc keeps freed memory in an arena for each of many threads; two are enough (mallopt(3), `M_ARENA_MAX`). */
export const RUNNER_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '2' };
