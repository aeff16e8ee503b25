/** `carryall schema`. */
import { buildFileSchema, pipelineFileSchema } from '../shared/build-file/json-schema.ts';

/** The JSON Schema as text. */
export function schemaText(of: 'build-file' | 'pipeline-file'): string {
  const schema = of === 'build-file' ? buildFileSchema() : pipelineFileSchema();
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}
