/** Fetches the files of a repository, and tries again what may pass by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PipelineError } from '../../shared/errors.ts';
import { unlessAborted } from '../../shared/shared-work.ts';
import type { Repository } from './repository.ts';
import { type RawAnswer, requestFile } from './repository-request.ts';
import { isPassingFailure, isPassingStatus, retryAfterMs } from './transient-failures.ts';

/** How long a file of a repository may take. */
export interface FetchLimits {
  /** Without the answer, or another piece of it. */
  readonly idleMs: number;
  /** All in all, with every try; the largest packages have some gigabytes. */
  readonly totalMs: number;
  /** Before the second try, give or take a half; four times as long before the third. */
  readonly pauseMs: number;
}

export const FETCH_LIMITS: FetchLimits = { idleMs: 30_000, totalMs: 30 * 60_000, pauseMs: 250 };

/** Requests for one file, the resumed ones included: with more, a repository that is ill gets no rest. */
export const MAX_TRIES = 3;

export interface RepositoryAnswer {
  readonly status: number;
  /** Headers that ask for this file again only if it has changed; none where the server gives nothing to tell it by. */
  readonly conditions: Readonly<Record<string, string>>;
  /** To be read once, while `read` runs; throws `repository-unavailable` (`infra`) where it breaks off. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface FetchOptions<T> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly limits?: FetchLimits | undefined;
  readonly signal?: AbortSignal;
  /**
   * What a body means that breaks off and cannot be resumed: the end (the default), or that `read` is called again with
   * a new answer.
   */
  readonly whenBroken?: 'fail' | 'read-again';
  /** What is made of the answer; when it is done the request is over, be the body read or not. */
  readonly read: (answer: RepositoryAnswer) => Promise<T>;
}

/**
 * Requests a file of a repository. A connection that breaks and an answer such as 503 are tried again after a pause, or
 * after what `Retry-After` asks for where that is no longer than the idle limit. A body that breaks off goes on where
 * it ended, if the server gives a strong ETag (RFC 9110, sections 13.1.5 and 14).
 *
 * @throws PipelineError `repository-unavailable` (`infra`) where no answer comes, or not all of it, or not in time;
 *   `repository-refused` (`user`) where a build file may not lead there; what `read` throws; the signal's reason.
 */
export async function fetchFrom<T>(
  repository: Repository,
  url: string,
  options: FetchOptions<T>,
): Promise<T> {
  const { idleMs, totalMs, pauseMs } = options.limits ?? FETCH_LIMITS;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  let isWaiting = false;
  let tries = 0;
  /** Why the body ended before its end, where it could not be resumed. */
  let broken: unknown;
  const idle = setTimeout(() => {
    if (isWaiting) over.abort(new Error(`nothing came for ${idleMs} ms`));
  }, idleMs);
  const total = setTimeout(() => over.abort(new Error(`it took longer than ${totalMs} ms`)), totalMs);

  /** Waits no longer than the signal allows, and says what went wrong. */
  const explained = async <R>(work: Promise<R>): Promise<R> => {
    try {
      return await unlessAborted(work, signal);
    } catch (thrown) {
      options.signal?.throwIfAborted();
      if (thrown instanceof PipelineError) throw thrown;
      const cause: unknown = over.signal.aborted ? over.signal.reason : thrown;
      throw unavailable(url, reasonOf(cause), cause);
    }
  };
  const waitFor = async <R>(work: Promise<R>): Promise<R> => {
    isWaiting = true;
    idle.refresh();
    try {
      return await explained(work);
    } finally {
      isWaiting = false;
    }
  };
  const mayTryAgain = (failure: unknown): boolean =>
    tries < MAX_TRIES && !signal.aborted && isPassingFailure(failure);
  const pause = (askedMs = 0): Promise<void> => {
    const ownMs = pauseMs * 4 ** (tries - 1) * (0.5 + Math.random());
    return explained(sleep(Math.max(ownMs, askedMs), undefined, { signal }));
  };

  /** The first answer that is none to try again after; the last one in any case. */
  const ask = async (headers: Readonly<Record<string, string>>): Promise<RawAnswer> => {
    for (;;) {
      tries += 1;
      let askedMs = 0;
      try {
        const answer = await waitFor(requestFile(repository, url, { headers, signal }));
        askedMs = retryAfterMs(answer.header('retry-after'), Date.now());
        if (tries >= MAX_TRIES || !isPassingStatus(answer.status) || askedMs > idleMs) return answer;
        answer.close();
      } catch (thrown) {
        if (!mayTryAgain(thrown)) throw thrown;
      }
      await pause(askedMs);
    }
  };

  const wholeBody = async function* (first: RawAnswer): AsyncGenerator<Uint8Array> {
    let answer = first;
    /** Bytes given to the reader. */
    let given = 0;
    /** Bytes of this answer that the reader has already. */
    let known = 0;
    for (;;) {
      try {
        for await (const piece of pieces(answer, waitFor)) {
          const fresh = piece.subarray(known);
          known -= piece.length - fresh.length;
          given += fresh.length;
          if (fresh.length > 0) yield fresh;
        }
        return;
      } catch (thrown) {
        broken = thrown;
        if (!mayTryAgain(thrown) || (given > 0 && !isResumable(first))) throw thrown;
        await pause();
        answer = await ask(given === 0 ? (options.headers ?? {}) : resuming(first, given));
        const start = startOf(answer, { first, given });
        if (start === undefined) throw thrown;
        known = given - start;
        broken = undefined;
      }
    }
  };

  try {
    for (;;) {
      broken = undefined;
      const answer = await ask(options.headers ?? {});
      try {
        const { status } = answer;
        return await options.read({ status, conditions: conditionsOf(answer), body: wholeBody(answer) });
      } catch (thrown) {
        if (broken === undefined || options.whenBroken !== 'read-again' || !mayTryAgain(broken)) throw thrown;
      }
      await pause();
    }
  } finally {
    clearTimeout(idle);
    clearTimeout(total);
    over.abort(new Error('the request is over'));
  }
}

async function* pieces(
  answer: RawAnswer,
  waitFor: <R>(work: Promise<R>) => Promise<R>,
): AsyncGenerator<Uint8Array> {
  const body = answer.body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await waitFor(body.next());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: a piece that never comes would hold it up. The end of the request closes the rest.
    body.return?.().catch(() => undefined);
  }
}

/** Whether the rest of an answer can be asked for: its bytes are those of the file, and a strong ETag names them. */
function isResumable(answer: RawAnswer): boolean {
  return answer.status === 200 && answer.header('etag').startsWith('"') && !isEncoded(answer);
}

function resuming(first: RawAnswer, given: number): Readonly<Record<string, string>> {
  return { Range: `bytes=${given}-`, 'If-Range': first.header('etag') };
}

/** At which byte of the first answer's file this one begins; undefined where it is of another file, or no whole rest. */
function startOf(
  answer: RawAnswer,
  begun: { readonly first: RawAnswer; readonly given: number },
): number | undefined {
  const { first, given } = begun;
  if (given === 0) {
    const isSame = JSON.stringify(conditionsOf(answer)) === JSON.stringify(conditionsOf(first));
    return answer.status === first.status && isSame ? 0 : undefined;
  }
  if (answer.header('etag') !== first.header('etag') || isEncoded(answer)) return undefined;
  if (answer.status === 200) return 0;
  const [, start, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.header('content-range')) ?? [];
  const isRest = answer.status === 206 && Number(start) === given && Number(last) + 1 === Number(size);
  return isRest ? given : undefined;
}

/**
 * An ETag, weak or strong, or else the time of the last change; that one only if it lies a second before the answer,
 * since the file may change again within the second (RFC 9110, section 8.8.2.2).
 */
function conditionsOf(answer: RawAnswer): Readonly<Record<string, string>> {
  const etag = answer.header('etag');
  if (etag !== '') return { 'If-None-Match': etag };
  const modified = answer.header('last-modified');
  const ageMs = Date.parse(answer.header('date')) - Date.parse(modified);
  return ageMs >= 1000 ? { 'If-Modified-Since': modified } : {};
}

function isEncoded(answer: RawAnswer): boolean {
  return !['', 'identity'].includes(answer.header('content-encoding'));
}

/** Why a request got no answer, in the words of what lies deepest. */
export function reasonOf(thrown: unknown): string {
  const inner = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  // A host with several addresses, none of which answered.
  const one: unknown = inner instanceof AggregateError ? inner.errors[0] : inner;
  return one instanceof Error ? one.message : String(one);
}

export function unavailable(url: string, reason: string, cause?: unknown): PipelineError {
  return new PipelineError({
    code: 'repository-unavailable',
    kind: 'infra',
    message: `the repository file ${url} cannot be read: ${reason}`,
    hint: 'check that the repository exists and that its credentials are configured',
    cause,
  });
}
