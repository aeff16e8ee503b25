/** All documents that a query finds, read in pages. */
import type { Query } from '@google-cloud/firestore';
import { asPipelineError, type PipelineError } from '../errors.ts';
import { type DocumentType, decodeDocument, type Stored, withDeadline } from './documents.ts';

export interface FindOptions<T> {
  readonly type: DocumentType<T>;
  /** Without a limit or an order of its own. */
  readonly query: Query;
  /** Is told of a document of another shape, which is left out. */
  readonly onBroken: (path: string, error: PipelineError) => void;
}

const PAGE = 500;

/**
 * Gives what the query finds in the order of the documents' names. What changes meanwhile is given as it was or as it
 * is, never twice.
 *
 * @throws PipelineError `firestore-failed` (`infra`).
 */
export async function* findDocuments<T>(options: FindOptions<T>): AsyncGenerator<Stored<T>> {
  const { type, query, onBroken } = options;
  let page = query.limit(PAGE);
  for (;;) {
    const { docs } = await withDeadline(`finding ${type.name} records`, page.get());
    for (const one of docs) {
      const { ref, updateTime, readTime } = one;
      let data: T;
      try {
        data = decodeDocument(type, ref.path, one.data());
      } catch (thrown) {
        onBroken(ref.path, asPipelineError(thrown));
        continue;
      }
      yield { ref, data, updateTime, readTime };
    }
    const last = docs.at(-1);
    if (last === undefined || docs.length < PAGE) return;
    page = query.startAfter(last).limit(PAGE);
  }
}
